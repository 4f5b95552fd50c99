"""UnmanagedFilesListener: an event for each change of a file in an import storage."""

from collections.abc import Iterator
from typing import Any, ClassVar

from flowtools.core.described import Described
from flowtools.core.errors import RefusedError
from flowtools.core.event import Event
from flowtools.core.kind import Kind
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop
from flowtools.source.settings import Importing
from flowtools.source.vizone.entries import (
    amended,
    event_id,
    event_time,
    links_of,
    public_headers,
    xml_of,
)
from flowtools.source.vizone.listening import Listening
from flowtools.source.vizone.monitor import listen
from flowtools.source.vizone.settling import Settling
from flowtools.source.vizone.shown import Shown
from flowtools.stomp.message import Message
from flowtools.vizone.account import Account
from flowtools.vizone.atom import Entry, Feed
from flowtools.vizone.changes import Change, read_changes
from flowtools.vizone.client import Client
from flowtools.vizone.errors import NotFoundError
from flowtools.vizone.files import as_file
from flowtools.vizone.transport import without_user


class UnmanagedFilesListener(Described):
    """A source of the files in one import storage.

    The event types are flow.file.created, updated, deleted, and changed if the message does not say
    which. A message about several files becomes one event for each. `data` is an object of
    location, name, size, url, id, updated, links (by relation), and the headers of the message;
    with `xml` also the file's entry. A file that is being written causes several events, the first
    with size 0.

    Attributes:
        url: The address of Viz One.
        listening: The options of the listener.
    """

    FACTS = ("_location", "url")

    redelivers: ClassVar = True
    """Events that are not done are delivered again."""

    def __init__(
        self,
        account: Account,
        location: str,
        listening: Listening | None = None,
        *,
        skip_empty: bool = False,
        settle: float = Importing.settle,
        xml: bool = False,
    ) -> None:
        """Prepare to listen to an import storage.

        Args:
            account: The Viz One, and the login there.
            location: The handle of the import storage.
            listening: The options of the listener.
            skip_empty: Whether a file is not reported while its size is 0.
            settle: Seconds that the size of a file must be unchanged before it is reported.
            xml: Whether the data of each event has the file's entry, as text.
        """
        self.url = account.url
        self._account = account
        self._location = location
        self.listening = listening or Listening()
        self._skip_empty = skip_empty
        self._settle = settle
        self._xml = xml

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until `stop` is set or their count is reached.

        Raises:
            ConfigurationError: There is no such location.
            RefusedError: The login, or a permission, is missing.
            UnreachableError: Viz One does not answer, or its broker was away for too long.
            ProtocolError: The server that answers is not a Viz One.
            ReaderGone: Nobody reads any more.
        """
        # A file keeps its time when it is moved into the storage, so the feed's order says nothing.
        # The stage is needed without a settle time, too: it drops repeated events of a file.
        listen(
            self._account,
            self.listening,
            self.find_monitor,
            self.to_events,
            Shown(f"the files of '{self._location}'", self._pages, self._shown, ordered=False),
            lambda: Settling(self._account, self._settle, self.look_up, self.listening.hosts),
            outlet=outlet,
            stop=stop,
        )

    def find_monitor(self, client: Client) -> str:
        """Return the address at which Viz One publishes changes in this import storage.

        Raises:
            RefusedError: Viz One shows no such address to this user.
        """
        location = client.files.location(self._location)
        monitor = client.files.feed(location).link("monitor")
        if monitor is None:
            raise RefusedError(
                f"cannot listen to location '{self._location}': its feed shows no monitor link"
                f" to user '{self._account.user}'; check the user's permissions"
            )
        return monitor

    def to_events(self, message: Message) -> list[Event]:
        """Return the events of a message: one for each file that is wanted."""
        changes = read_changes(message.headers, message.body, self._account.url)
        return [
            self._event(change, message)
            for change in changes
            if change.kind in self.listening.kinds and not self._skips(change.entry)
        ]

    def look_up(self, client: Client, event: Event) -> Event | None:
        """Return the event of a file as the server shows it now; None if it is not wanted.

        Raises:
            FlowError: As Client.
        """
        address = event["links"].get("self")
        if not address:
            return event
        try:
            entry = client.entry(address)
        except NotFoundError:
            # The file was deleted while it was held. Its own message may have been lost.
            gone = amended(event, {}, f"flow.file.{Kind.DELETED}")
            return gone if Kind.DELETED in self.listening.kinds else None
        return None if self._skips(entry) else amended(event, self._said(entry))

    def _skips(self, entry: Entry | None) -> bool:
        return self._skip_empty and entry is not None and as_file(entry).size == 0

    def _pages(self, client: Client) -> Iterator[Feed]:
        return client.files.pages(client.files.location(self._location))

    def _shown(self, change: Change, message: Message) -> Event | None:
        wanted = self.listening.wants_replayed(change.kind)
        return self._event(change, message) if wanted and not self._skips(change.entry) else None

    def _event(self, change: Change, message: Message) -> Event:
        said = self._said(change.entry)
        data = said | {
            "id": change.identity,
            "links": links_of(change),
            "headers": public_headers(message),
        }
        return Event(
            f"flow.file.{change.kind}",
            data,
            source=self._account.url,
            id=event_id(change, message),
            subject=said["name"] or change.identity or change.location,
            time=event_time(change),
        )

    def _said(self, entry: Entry | None) -> dict[str, Any]:
        file = as_file(entry) if entry else None
        # The address of a file may hold a login, which must not get into an event.
        url = file.url if file else None
        said: dict[str, Any] = {
            "location": self._location,
            "name": file.name if file else None,
            "size": file.size if file else None,
            "url": without_user(url) if url else None,
            "updated": file.updated if file else None,
        }
        if self._xml:
            said["xml"] = xml_of(file) if file else None
        return said
