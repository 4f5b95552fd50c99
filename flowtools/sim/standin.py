"""The stand-in as a whole: the HTTP side, the broker, the messages between them, the stream.

`StandIn.start` starts everything, `close` ends it, in the order: stream, HTTP, broker.
"""

import secrets
from dataclasses import dataclass
from urllib.parse import quote

from flowtools.errors import ConfigurationError, UnreachableError
from flowtools.sim import documents
from flowtools.sim.catalogue import Asset, Catalogue, File, Kind, Watchers
from flowtools.sim.people import ADMIN, People
from flowtools.sim.resources import Resources
from flowtools.sim.stream import Stream, asset_steps, file_steps
from flowtools.sim.web import WebServer
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE
from flowtools.vizone.document import serialise

try:
    from flowtools.sim.broker import Broker
except ModuleNotFoundError as missing:
    if missing.name != "coilmq":
        raise
    raise ConfigurationError(
        "cannot start the stand-in: there is no module 'coilmq'; pip install 'flowtools[sim]'"
    ) from None

ASSETS = "/topic/vizone.assets"
"""Where changes of assets are told."""

FILES = "/topic/vizone.unmanaged"
"""Where changes of files are told; the storage's handle follows after a dot."""


@dataclass(frozen=True)
class Plan:
    """What the stand-in is to do by itself, and how.

    Attributes:
        assets: How many changes of assets the stream has.
        files: How many files arrive in the first import storage.
        rate: How many of them a second.
        seed: What the stream starts from: the same seed, the same sequence.
        echo: Whether metadata written over HTTP is told, too.
        tells_action: Whether a message's `action` header says what happened.
    """

    assets: int = 0
    files: int = 0
    rate: float = 20.0
    seed: int = 1
    echo: bool = False
    tells_action: bool = True


class StandIn:
    """A stand-in Viz One.

    Attributes:
        url: Its address.
        user: Who may do everything there.
        password: That user's, and the other user's, password.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        http: tuple[str, int] = ("127.0.0.1", 0),
        stomp: tuple[str, int] = ("127.0.0.1", 0),
        password: str | None = None,
    ) -> None:
        """Take the ports (0: a free one); `password` is made up if not given.

        Raises:
            UnreachableError: A port cannot be had.
        """
        self.user = ADMIN
        self.password = password or secrets.token_urlsafe(12)
        self._tells_action = plan.tells_action
        people = People(self.password)
        try:
            at = http
            self._web = WebServer(*http, people)
            at = stomp
            self._broker = Broker(*stomp, people)
        except OSError as error:
            raise UnreachableError(
                f"cannot listen on '{_shown(at[0])}:{at[1]}': {error.strerror or error}"
            ) from None
        self.url = f"http://{_shown(http[0])}:{self._web.port}"
        self._stomp_url = f"stomp://{_shown(stomp[0])}:{self._broker.port}/"
        self.catalogue = Catalogue(
            lambda asset: documents.new_payload(asset, self.url),
            echo=plan.echo,
            watchers=Watchers(self._tell_of_asset, self._tell_of_file),
        )
        handles = self.catalogue.locations
        self._web.resources = Resources(
            self.catalogue,
            self.url,
            self._monitor(ASSETS),
            {handle: self._monitor(f"{FILES}.{handle}") for handle in handles},
        )
        steps = asset_steps(self.catalogue, plan.assets, plan.seed)
        arrivals = file_steps(self.catalogue, handles[0], plan.files, plan.seed)
        self._streams = [
            Stream(each, plan.rate, lambda seconds, to=to: self._broker.has_subscriber(to, seconds))  # type: ignore[misc]
            for each, to in ((steps, ASSETS), (arrivals, f"{FILES}.{handles[0]}"))
            if each
        ]

    @property
    def stomp_url(self) -> str:
        """The address of its broker."""
        return self._stomp_url

    def start(self) -> None:
        """Serve; the stream starts once somebody listens, for a topic keeps nothing."""
        self._broker.start()
        self._web.start()
        for each in self._streams:
            each.start()

    def close(self) -> None:
        """End everything."""
        for each in self._streams:
            each.close()
        self._web.close()
        self._broker.close()

    def environment(self) -> dict[str, str]:
        """Return the settings by which the other commands find the stand-in."""
        return {
            "VIZONE_URL": self.url,
            "VIZONE_USER": self.user,
            "VIZONE_PASSWORD": self.password,
        }

    def _monitor(self, destination: str) -> str:
        return f"{self._stomp_url}?destination={quote(destination, safe='/')}"

    def _tell_of_asset(self, kind: Kind, asset: Asset) -> None:
        location = f"{self.url}{documents.ASSETS_PATH}/{asset.number}"
        if kind == "delete":
            body, type_ = documents.tombstone(asset.urn, asset.updated), "application/xml"
        else:
            body, type_ = serialise(documents.asset_entry(asset, self.url)), ENTRY_TYPE
        self._broker.publish(ASSETS, self._headers(kind, asset.urn, location, type_), body)

    def _tell_of_file(self, kind: Kind, file: File) -> None:
        destination = f"{FILES}.{file.location}"
        deleted = kind == "delete"
        body = documents.file_feed(
            [] if deleted else [file],
            file.location,
            self.url,
            self._monitor(destination),
            deleted=[file] if deleted else [],
        )
        location = f"{self.url}{documents.file_path(file)}"
        urn = documents.file_urn(file)
        self._broker.publish(destination, self._headers(kind, urn, location, FEED_TYPE), body)

    def _headers(self, kind: Kind, identity: str, location: str, type_: str) -> dict[str, str]:
        headers = {"identity": identity, "location": location, "content-type": type_}
        return headers | ({"action": kind} if self._tells_action else {})


def _shown(host: str) -> str:
    """Return `host` as others reach it, for a URL."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
