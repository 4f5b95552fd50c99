"""AssetEntryListener: an event for each change of an asset in Viz One."""

from typing import Any, ClassVar

from flowtools.core.described import Described
from flowtools.core.errors import RefusedError
from flowtools.core.event import Event
from flowtools.core.kind import Kind
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop
from flowtools.source.vizone.details import Details
from flowtools.source.vizone.entries import (
    addresses_in,
    amended,
    event_id,
    event_time,
    links_of,
    public_headers,
)
from flowtools.source.vizone.listening import Listening
from flowtools.source.vizone.lookup import Lookup
from flowtools.source.vizone.monitor import listen
from flowtools.source.vizone.shown import Shown
from flowtools.stomp.message import Message
from flowtools.vizone.account import Account
from flowtools.vizone.assets import Asset, as_asset
from flowtools.vizone.changes import Change, read_changes
from flowtools.vizone.client import Client
from flowtools.vizone.errors import NotFoundError

DELETED, CHANGED = f"flow.asset.{Kind.DELETED}", f"flow.asset.{Kind.CHANGED}"


class AssetEntryListener(Described):
    """A source of asset entries as they are created, updated and deleted.

    The event types are flow.asset.created, updated, deleted, and changed if the message does not
    say which. `data` is an object of id, title, identifiers, status, media, updated, links (by
    relation), keywords, and the headers of the message; a value that the message does not give is
    null or empty. If the details ask for them, `data` also has xml (the entry, as text) and
    metadata (the fields by name: text, null, or a list of objects for a table).

    Attributes:
        url: The address of Viz One.
        listening: The options of the listener.
    """

    FACTS = ("url",)

    redelivers: ClassVar = True
    """Events that are not done are delivered again."""

    def __init__(
        self,
        account: Account,
        listening: Listening | None = None,
        details: Details | None = None,
    ) -> None:
        """Prepare to listen to the assets of `account`'s Viz One."""
        self.url = account.url
        self._account = account
        self.listening = listening or Listening()
        self._details = details or Details()

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until `stop` is set or their count is reached.

        Raises:
            RefusedError: The login, or the permission Asset/Admin, is missing.
            UnreachableError: Viz One does not answer, or its broker was away for too long.
            ProtocolError: The server that answers is not a Viz One.
            ReaderGone: Nobody reads any more.
        """
        listen(
            self._account,
            self.listening,
            self.find_monitor,
            self.to_events,
            Shown("assets", lambda client: client.assets.newest(), self._shown),
            self._lookup,
            outlet=outlet,
            stop=stop,
        )

    def _lookup(self) -> Lookup | None:
        if not self._details.asks:
            return None
        return Lookup(self._account, self.look_up, self.listening.hosts)

    def find_monitor(self, client: Client) -> str:
        """Return the address at which Viz One publishes changes of assets.

        Raises:
            RefusedError: Viz One shows no such address to this user.
        """
        monitor = client.assets.feed().link("monitor")
        if monitor is None:
            raise RefusedError(
                f"cannot listen to the assets of '{self._account.url}': its asset feed shows"
                f" no monitor link to user '{self._account.user}', who needs the permission"
                " Asset/Admin"
            )
        return monitor

    def to_events(self, message: Message) -> list[Event]:
        """Return the events of a message: one for each change that is, or may be, wanted."""
        changes = read_changes(message.headers, message.body, self._account.url)
        events = [self._event(change, message) for change in changes if self._may_want(change.kind)]
        # With resolve, the server's answer may still supply what the filters look at.
        return events if self._details.resolve else list(filter(self._wants, events))

    def look_up(self, client: Client, event: Event) -> Event | None:
        """Return `event` with the server's details added; None if they show that it is not wanted.

        Raises:
            FlowError: As Client.
        """
        details = self._details
        # An event without a time of change: its message had no entry.
        says_little = event.type == CHANGED or event["updated"] is None
        if details.resolve and says_little and event.type != DELETED:
            event = self._resolved(client, event)
        if details.metadata and event.type != DELETED and event["metadata"] is None:
            event = amended(event, {"metadata": _metadata_of(client, event["links"])})
        return event if self._wants(event) else None

    def _resolved(self, client: Client, event: Event) -> Event:
        address = event["links"].get("self")
        if not address:
            return event
        try:
            asset = client.assets.get(address, inline=self._details.metadata)
        except NotFoundError:
            return amended(event, {}, DELETED)  # It was deleted after the message was sent.
        data = _said(asset) | {"links": event["links"] | addresses_in(asset)}
        self._details.add_to(data, asset)
        return amended(event, data, DELETED if asset.status == "deleted" else None)

    def _may_want(self, kind: Kind) -> bool:
        kinds = self.listening.kinds
        # The server's answer may be that the changed asset has been deleted since.
        is_unclear = self._details.resolve and kind is Kind.CHANGED
        return kind in kinds or (is_unclear and Kind.DELETED in kinds)

    def _wants(self, event: Event) -> bool:
        kind = Kind.of(event.type)
        replayed = "replayed" in event.attributes
        kinds = self.listening
        is_kind = kinds.wants_replayed(kind) if replayed else kind in kinds.kinds
        return is_kind and self._details.want(event.data)

    def _shown(self, change: Change, message: Message) -> Event | None:
        if not self.listening.wants_replayed(change.kind) and not self._may_want(change.kind):
            return None
        event = self._event(change, message)
        return event if self._details.resolve or self._details.want(event.data) else None

    def _event(self, change: Change, message: Message) -> Event:
        asset = as_asset(change.entry) if change.entry else None
        data = _said(asset) | {
            "id": change.identity,
            "links": links_of(change),
            "headers": public_headers(message),
        }
        self._details.add_to(data, asset)
        return Event(
            f"flow.asset.{change.kind}",
            data,
            source=self._account.url,
            id=event_id(change, message),
            subject=change.identity or change.location,
            time=event_time(change),
        )


def _metadata_of(client: Client, links: dict[str, str]) -> dict[str, Any] | None:
    if "describedby" not in links:
        return None
    try:
        return client.metadata(links["describedby"]).as_dict()
    except NotFoundError:
        return None  # The asset has no metadata, or it was deleted meanwhile.


def _said(asset: Asset | None) -> dict[str, Any]:
    return {
        "id": asset.id if asset else None,
        "title": asset.title if asset else None,
        "identifiers": asset.identifiers if asset else {},
        "status": asset.status if asset else None,
        "media": asset.media if asset else None,
        "updated": asset.updated if asset else None,
        "keywords": [
            {"scheme": scheme, "term": term} for scheme, term in (asset.keywords if asset else ())
        ],
    }
