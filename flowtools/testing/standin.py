"""A stand-in Viz One in this process: what flow-sim is, for tests."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from flowtools.vizone.account import Account
from flowtools.vizone.client import Client
from flowtools.vizone.plugindata import PluginData

if TYPE_CHECKING:
    from flowtools.sim.standin import StandIn


class VizOne:
    """A running stand-in.

    Attributes:
        url: Its address, http://HOST:PORT.
        user: Who may do everything there.
        password: That user's password.
        stomp_url: The address of its broker.
    """

    def __init__(self, server: "StandIn") -> None:
        self._server = server
        self.url = server.url
        self.user = server.user
        self.password = server.password
        self.stomp_url = server.stomp_url

    def account(self) -> Account:
        """Return the login there."""
        return Account(self.url, self.user, self.password)

    def client(self, **options: Any) -> Client:
        """Return a new client of it, to be closed by the caller; `options` are those of Client."""
        return Client(self.account(), **options)

    def environment(self) -> dict[str, str]:
        """Return VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD, for commands."""
        return self._server.environment()

    def plugin_document(self, **parts: str) -> bytes:
        """Return the document that a transfer plugin gets on standard input.

        Args:
            parts: `source` and `destination` (URLs), `title` (of the asset), `step` (a number),
                and settings of the plugin, as `suffix="xml"` for `plugin.suffix`.
        """
        own = ("source", "destination", "title", "step")
        query = {name if name in own else f"plugin.{name}": part for name, part in parts.items()}
        login = b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = Request(  # noqa: S310  our own server
            f"{self.url}/sim/plugindata?{urlencode(query)}",
            headers={"Authorization": f"Basic {login}"},
        )
        with urlopen(request) as answer:  # noqa: S310
            return bytes(answer.read())

    def plugin_data(self, **parts: str) -> PluginData:
        """Return that document as `flowtools.transferplugin` reads it; `parts`: the same."""
        return PluginData.read(self.plugin_document(**parts))

    def reports(self, step: int = 1) -> list[tuple[str | None, int | None, str | None]]:
        """Return what a transfer plugin has reported of its step: state, per cent done, error."""
        return list(self._server.steps.reports.get(str(step), ()))


@contextmanager
def viz_one(**plan: Any) -> Iterator[VizOne]:
    """Run a stand-in for as long as the context lasts, on free ports of this machine.

    Args:
        plan: What it does by itself, as the options of flow-sim: `assets`, `files`, `rate`,
            `seed`, `order`, `session` and others (flowtools.sim.settings.Plan).

    Raises:
        ConfigurationError: The package coilmq is missing: pip install 'flowtools[sim]'.
    """
    from flowtools.sim.settings import Plan
    from flowtools.sim.standin import StandIn

    server = StandIn(Plan(**plan))
    server.start()
    try:
        yield VizOne(server)
    finally:
        server.close()
