"""What flow-watch was asked for: every setting of a hot folder, with its default."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flowtools.core.errors import UsageError
from flowtools.core.kind import OF_FILES, ON_DEMAND, Kind, chosen
from flowtools.source.folder.checksums import refuse_unless
from flowtools.source.folder.clearing import Places
from flowtools.source.folder.sidecars import Template
from flowtools.source.folder.wanted import SettleTimes, Wanted
from flowtools.source.settings import Taking, Watching


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
        sidecar: Names of the files that each file comes with, such as "{stem}.xml": its event
            comes when all are whole.
        verify: "md5" or "xxh64": compare each file with the checksum file that comes with it,
            and refuse it where they differ.
        unit: "folder": all that is in a folder is one event; "sequence": numbered frames are;
            None: each file is one.
        state: Path of a file that remembers what has been reported; None: nothing does.
        ack: "pipe": an event is over once its line is written; "worker": once it is done.
        done: With ack="worker", move files whose event is done to this folder.
        failed: With ack="worker", move files whose event was rejected to this folder.
        remove: With ack="worker", remove files whose event is done.
        prefetch: With ack="worker", how many events may be unacknowledged.
        drain: With ack="worker", seconds for the acknowledgements missing after a stop.
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
    sidecar: Sequence[str] = ()
    verify: str | None = None
    unit: str | None = None
    state: str | None = None
    ack: Literal["pipe", "worker"] = Taking.ack
    done: str | None = None
    failed: str | None = None
    remove: bool = False
    prefetch: int = Taking.prefetch
    drain: float = Taking.drain
    min_free: int = 0
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def kinds(self) -> frozenset[Kind]:
        """Return the kinds of change that are wanted.

        Raises:
            UsageError: None is left.
        """
        return chosen(OF_FILES + ON_DEMAND * bool(self.include), self.include, self.exclude)

    def templates(self) -> list[Template]:
        """Return what the sidecars of a file are called.

        Raises:
            UsageError: One has a form that is not understood, none can be a checksum file, or
                sidecars cannot be had because of `unit`.
        """
        if self.verify is not None and self.sidecar:
            refuse_unless(self.verify, list(self.sidecar))
        names = self.sidecar or (() if self.verify is None else (f"{{name}}.{self.verify}",))
        if names and self.unit is not None:
            raise UsageError("--unit cannot be combined with --sidecar or --verify")
        return [Template(name, ignore_case=self.ignore_case) for name in names]

    def check(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            UsageError: Two settings do not go together, or one has a form that is not understood.
        """
        self.kinds()
        self.templates()
        clears = self.remove or self.done is not None
        if self.remove and self.done is not None:
            raise UsageError("--done and --remove exclude each other")
        if self.ack != "worker" and (clears or self.failed is not None):
            raise UsageError("--done, --failed and --remove need --ack worker")
        if self.ack == "worker" and not (clears or self.state is not None or self.existing):
            raise UsageError(
                "--ack worker needs --done, --remove or --state, so that what is not done is"
                " reported again at the next start; or --existing, to report everything"
            )

    def places(self) -> Places:
        """Return what becomes of files whose event is settled."""
        return Places(self.done, self.failed, self.remove)

    def begins_with_existing(self) -> bool:
        """Return whether what is there at the first start is reported."""
        return self.existing or self.remove or self.done is not None

    def wanted(self, never: frozenset[str] = frozenset()) -> Wanted:
        """Return which files are wanted; `never`: paths that are not looked at."""
        return Wanted(
            match=tuple(self.match),
            ignore=tuple(self.ignore),
            never=never,
            recursive=self.recursive or self.unit == "folder",
            skip_empty=self.skip_empty,
            ignore_case=self.ignore_case,
            temporary=tuple(self.temporary),
            beside=tuple(template.pattern for template in self.templates()),
        )

    def settle_times(self, *, is_remote: bool) -> SettleTimes:
        """Return the settle times; `is_remote`: on a network mount."""
        default = Watching.remote_settle if is_remote else Watching.settle
        seconds = default if self.settle is None else self.settle
        return SettleTimes(seconds, tuple(self.settle_for), self.ignore_case)
