"""A folder of this machine, as a stream of findings: everything that looks, in one object."""

from collections.abc import Callable, Iterator

from flowtools.core.log import get_log
from flowtools.source.folder import mounts
from flowtools.source.folder.files import Files, Finding
from flowtools.source.folder.lookout import Lookout
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.space import FreeSpace
from flowtools.source.folder.tree import Tree
from flowtools.source.folder.writers import Writers
from flowtools.source.settings import Watching

log = get_log("flowtools.source.watch")


class Watcher:
    """Finds out what becomes of the files in a folder; for one thread.

    Its file descriptor becomes readable when there may be a reason to look.
    """

    def __init__(self, path: str, rules: Rules, monotonic: Callable[[], float]) -> None:
        """Prepare to watch the folder `path`, an absolute path."""
        kind = mounts.kind_of(path)
        is_remote = mounts.is_remote(kind)
        settle = rules.settle_times(is_remote=is_remote)
        poll = rules.poll
        if is_remote and poll is None:
            poll = Watching.remote_poll
            log.warning(
                "'%s' is on a network mount (%s), where changes give no notice: looking every %g"
                " s; a file counts as whole when it has not changed for %g s",
                path,
                kind,
                poll,
                settle.seconds,
            )
        wanted = rules.wanted()
        writers = Writers(monotonic)
        self._files = Files(
            look=lambda name: self._tree.look(name),
            has_writers=lambda name: writers.has_any(f"{path}/{name}"),
            is_temporary=wanted.may_become,
            settle=settle,
            stalled=rules.stalled,
            trusts_closing=poll is None,
            monotonic=monotonic,
        )
        lasting = not is_remote or kind in mounts.LASTING
        self._tree = Tree(path, wanted, self._files, lasting=lasting)
        self._lookout = Lookout(self._tree, self._files.due, poll=poll, monotonic=monotonic)
        self._space = FreeSpace(path, rules.min_free, monotonic)
        self._existing = rules.existing

    def start(self) -> None:
        """Begin to watch.

        Raises:
            ConfigurationError: There is no such folder, or it cannot be read.
        """
        self._lookout.start(old=not self._existing)

    def findings(self) -> Iterator[Finding]:
        """Look where there is a reason to, and yield what has become certain."""
        self._space.look()
        # While the folder is away, all that was in it would count as deleted.
        if self._lookout.look():
            yield from self._files.findings()

    def due(self) -> float:
        """Return the seconds after which to ask for findings again, at the latest."""
        return self._lookout.due()

    def fileno(self) -> int:
        """Return what becomes readable when there may be findings before that."""
        return self._lookout.fileno()

    def close(self) -> None:
        """Look no more."""
        self._lookout.close()
