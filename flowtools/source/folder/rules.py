"""What flow-watch was asked for: every setting of a hot folder, with its default."""

from collections.abc import Sequence
from dataclasses import dataclass

from flowtools.core.kind import OF_FILES, ON_DEMAND, Kind, chosen
from flowtools.source.folder.wanted import SettleTimes, Wanted
from flowtools.source.settings import Watching


@dataclass(frozen=True)
class Rules:
    """Which files of a hot folder are reported, and when.

    Attributes:
        match: Patterns as of a shell; a file is wanted that fits one of them. None: all but
            those whose name begins with a dot.
        ignore: Patterns of files that are not wanted in spite of that.
        ignore_case: Let the patterns match capital and small letters alike.
        temporary: More patterns of names that a file has while it is being transferred; "none"
            clears those before it.
        recursive: Look into sub-folders, too.
        existing: Begin with the files that are there already.
        skip_empty: Say nothing about a file while its size is 0.
        settle: Seconds that a file may not change before it counts as whole; None: the default,
            which is longer on a network mount.
        settle_for: Pairs of a pattern and the seconds for files that fit it.
        stalled: Seconds after which a file that is not whole is reported; 0: never.
        poll: Look at everything every so many seconds instead of waiting for notices; None:
            only where there are none, as on a network mount.
        min_free: Bytes of free space below which a warning is given; 0: none is.
        include: Kinds of change that are wanted; none: all of OF_FILES.
        exclude: Kinds that are not.
    """

    match: Sequence[str] = ()
    ignore: Sequence[str] = ()
    ignore_case: bool = False
    temporary: Sequence[str] = ()
    recursive: bool = False
    existing: bool = False
    skip_empty: bool = False
    settle: float | None = None
    settle_for: Sequence[tuple[str, float]] = ()
    stalled: float = Watching.stalled
    poll: float | None = None
    min_free: int = 0
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def kinds(self) -> frozenset[Kind]:
        """Return the kinds of change that are wanted.

        Raises:
            UsageError: None is left.
        """
        return chosen(OF_FILES + ON_DEMAND * bool(self.include), self.include, self.exclude)

    def wanted(self) -> Wanted:
        """Return which files are wanted."""
        return Wanted(
            match=tuple(self.match),
            ignore=tuple(self.ignore),
            recursive=self.recursive,
            skip_empty=self.skip_empty,
            ignore_case=self.ignore_case,
            temporary=tuple(self.temporary),
        )

    def settle_times(self, *, is_remote: bool) -> SettleTimes:
        """Return the settle times; `is_remote`: on a network mount."""
        default = Watching.remote_settle if is_remote else Watching.settle
        seconds = default if self.settle is None else self.settle
        return SettleTimes(seconds, tuple(self.settle_for), self.ignore_case)
