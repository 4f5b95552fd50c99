"""AssetEntryListener: an event for each change of an asset in Viz One."""

from typing import Any

from flowtools.broker import Message
from flowtools.errors import RefusedError
from flowtools.event import Event
from flowtools.source import Outlet
from flowtools.source.entries import event_id, event_time, links_of, public_headers
from flowtools.source.listening import Listening
from flowtools.source.monitor import Shown, listen
from flowtools.stop import Stop
from flowtools.vizone.account import Account
from flowtools.vizone.assets import Asset, as_asset
from flowtools.vizone.changes import Change, read_changes
from flowtools.vizone.client import Client


class AssetEntryListener:
    """A source of asset entries as they are created, updated and deleted.

    Its types are flow.asset.created, updated, deleted, and changed where the message does
    not tell which. `data` is an object of id, title, identifiers, status, media, updated,
    links (by relation), keywords, and the headers of the message; what a message does not
    say is null or empty.
    """

    def __init__(self, account: Account, listening: Listening | None = None) -> None:
        """Prepare to listen to the assets of `account`'s Viz One."""
        self._account = account
        self._listening = listening or Listening()

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until `stop` is set or their count is reached.

        Raises:
            RefusedError: The login, or the permission Asset/Admin, is missing.
            UnreachableError: Viz One does not answer, or its broker stays away.
            ProtocolError: What answers is no Viz One.
            ReaderGone: Nobody reads any more.
        """
        listen(
            self._account,
            self._listening,
            self._find_monitor,
            self.to_events,
            Shown("assets", lambda client: client.assets.newest(), self._shown),
            outlet=outlet,
            stop=stop,
        )

    def to_events(self, message: Message) -> list[Event]:
        """Return the events of a message: one for each change of the wanted kinds."""
        changes = read_changes(message.headers, message.body, self._account.url)
        return [
            self._event(change, message)
            for change in changes
            if change.kind in self._listening.kinds
        ]

    def _shown(self, change: Change, message: Message) -> Event | None:
        wanted = self._listening.wants_replayed(change.kind)
        return self._event(change, message) if wanted else None

    def _find_monitor(self, client: Client) -> str:
        monitor = client.assets.feed().link("monitor")
        if monitor is None:
            raise RefusedError(
                f"cannot listen to the assets of '{self._account.url}': its asset feed shows"
                f" no monitor link to user '{self._account.user}'; that takes the permission"
                " Asset/Admin"
            )
        return monitor

    def _event(self, change: Change, message: Message) -> Event:
        asset = as_asset(change.entry) if change.entry else None
        data = _said(asset) | {
            "id": change.identity,
            "links": links_of(change),
            "headers": public_headers(message),
        }
        return Event(
            f"flow.asset.{change.kind}",
            data,
            source=self._account.url,
            id=event_id(change, message),
            subject=change.identity or change.location,
            time=event_time(change),
        )


def _said(asset: Asset | None) -> dict[str, Any]:
    return {
        "id": None,
        "title": asset.title if asset else None,
        "identifiers": asset.identifiers if asset else {},
        "status": asset.status if asset else None,
        "media": asset.media if asset else None,
        "updated": asset.updated if asset else None,
        "keywords": [
            {"scheme": scheme, "term": term} for scheme, term in (asset.keywords if asset else ())
        ],
    }
