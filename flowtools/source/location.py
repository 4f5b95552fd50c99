"""UnmanagedFilesListener: an event for each change of a file in an import storage."""

from collections.abc import Iterator

from flowtools.broker import Message
from flowtools.errors import RefusedError
from flowtools.event import Event
from flowtools.source import Outlet
from flowtools.source.entries import event_id, event_time, links_of, public_headers
from flowtools.source.listening import Listening
from flowtools.source.monitor import Shown, listen
from flowtools.stop import Stop
from flowtools.vizone.account import Account
from flowtools.vizone.atom import Feed
from flowtools.vizone.changes import Change, read_changes
from flowtools.vizone.client import Client
from flowtools.vizone.files import as_file
from flowtools.vizone.transport import without_user


class UnmanagedFilesListener:
    """A source of the files in one import storage.

    Its types are flow.file.created, updated, deleted, and changed where the message does
    not tell which. A message may be about several files: each is an event. `data` is an
    object of location, name, size, url, id, updated, links (by relation), and the headers
    of the message. A file that is being written comes several times, first with size 0.
    """

    def __init__(
        self,
        account: Account,
        location: str,
        listening: Listening | None = None,
        *,
        skip_empty: bool = False,
    ) -> None:
        """Prepare to listen to the import storage with the handle `location`.

        With `skip_empty` nothing is said of a file while its size is 0.
        """
        self._account = account
        self._location = location
        self._listening = listening or Listening()
        self._skip_empty = skip_empty

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until `stop` is set or their count is reached.

        Raises:
            ConfigurationError: There is no such location.
            RefusedError: The login, or a permission, is missing.
            UnreachableError: Viz One does not answer, or its broker stays away.
            ProtocolError: What answers is no Viz One.
            ReaderGone: Nobody reads any more.
        """
        listen(
            self._account,
            self._listening,
            self._find_monitor,
            self.to_events,
            Shown(f"the files of '{self._location}'", self._pages, self._shown, ordered=False),
            outlet=outlet,
            stop=stop,
        )

    def to_events(self, message: Message) -> list[Event]:
        """Return the events of a message: one for each file that is wanted."""
        changes = read_changes(message.headers, message.body, self._account.url)
        return [
            self._event(change, message)
            for change in changes
            if change.kind in self._listening.kinds and not (self._skip_empty and _is_empty(change))
        ]

    def _pages(self, client: Client) -> Iterator[Feed]:
        return client.files.pages(client.files.location(self._location))

    def _shown(self, change: Change, message: Message) -> Event | None:
        wanted = self._listening.wants_replayed(change.kind)
        if not wanted or (self._skip_empty and _is_empty(change)):
            return None
        return self._event(change, message)

    def _find_monitor(self, client: Client) -> str:
        location = client.files.location(self._location)
        monitor = client.files.feed(location).link("monitor")
        if monitor is None:
            raise RefusedError(
                f"cannot listen to location '{self._location}': its feed shows no monitor link"
                f" to user '{self._account.user}'; check the user's permissions"
            )
        return monitor

    def _event(self, change: Change, message: Message) -> Event:
        file = as_file(change.entry) if change.entry else None
        url = file.url if file else None
        data = {
            "location": self._location,
            "name": file.name if file else None,
            "size": file.size if file else None,
            "url": without_user(url) if url else None,
            "id": change.identity,
            "updated": file.updated if file else None,
            "links": links_of(change),
            "headers": public_headers(message),
        }
        return Event(
            f"flow.file.{change.kind}",
            data,
            source=self._account.url,
            id=event_id(change, message),
            subject=(file.name if file else None) or change.identity or change.location,
            time=event_time(change),
        )


def _is_empty(change: Change) -> bool:
    return change.entry is not None and as_file(change.entry).size == 0
