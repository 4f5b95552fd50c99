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
        match: Shell patterns of the files that are wanted; empty: all but those whose name begins
            with a dot.
        ignore: Patterns of files that are not wanted although they match.
        ignore_case: Whether the patterns match capital and small letters alike.
        temporary: Further patterns of the names of files that are being transferred; "none"
            clears those before it.
        recursive: Whether files in sub-folders are wanted.
        existing: Whether the files that exist at the start are reported.
        skip_empty: Whether a file is not reported while its size is 0.
        settle: Seconds that a file must be unchanged before it counts as whole; None: the default,
            which is longer on a network mount.
        settle_for: Pairs of a pattern and the settle time of files that match it, in seconds.
        stalled: Seconds after which a file that is not whole is reported; 0: never.
        poll: Seconds between two scans of everything, instead of notices; None: use notices, except
            on a network mount, which has none.
        sidecar: Names of the files that come with each file, such as "{stem}.xml". The event comes
            when all of them are whole.
        verify: "md5" or "xxh64": compare each file with the checksum file that comes with it, and
            refuse the file if they differ. None: compare nothing.
        unit: What one event is about. "folder": everything in a folder; "sequence": numbered
            frames; None: one file.
        state: Path of a file that remembers what has been reported; None: nothing is remembered.
        ack: When an event is done. "pipe": once its line is written; "worker": once the reader
            acknowledges it.
        done: With ack="worker", the folder to which files are moved whose event is done.
        failed: With ack="worker", the folder to which files are moved whose event was rejected.
        remove: With ack="worker", whether files are removed whose event is done.
        prefetch: With ack="worker", maximum number of unacknowledged events.
        drain: With ack="worker", seconds to wait for missing acknowledgements after a stop.
        min_free: Bytes of free space below which there is a warning; 0: never.
        include: Kinds of change that are wanted; empty: all of OF_FILES.
        exclude: Kinds of change that are not wanted.
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
            UsageError: No kind is left.
        """
        return chosen(OF_FILES + ON_DEMAND * bool(self.include), self.include, self.exclude)

    def templates(self) -> list[Template]:
        """Return the patterns of the sidecars' names.

        Raises:
            UsageError: A pattern is malformed, none is for the checksum file that `verify` needs,
                or sidecars are combined with `unit`.
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
            UsageError: Two settings contradict each other, or one is malformed.
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
                "--ack worker needs --done, --remove, --state or --existing: without one of them"
                " a file whose event is not done is not reported again after a restart"
            )

    def places(self) -> Places:
        """Return what happens to files whose event is settled."""
        return Places(self.done, self.failed, self.remove)

    def begins_with_existing(self) -> bool:
        """Return whether the files that exist at the first start are reported."""
        # A folder whose files are moved or removed when they are done holds only undone ones.
        return self.existing or self.remove or self.done is not None

    def wanted(self, never: frozenset[str] = frozenset()) -> Wanted:
        """Return which files are wanted; paths in `never` are not looked at."""
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
        """Return the settle times; `is_remote` says that the folder is on a network mount."""
        default = Watching.remote_settle if is_remote else Watching.settle
        seconds = default if self.settle is None else self.settle
        return SettleTimes(seconds, tuple(self.settle_for), self.ignore_case)
