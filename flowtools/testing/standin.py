"""A stand-in Viz One in the process of the test; the command flow-sim runs the same server."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from flowtools.core.described import Described
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client
from flowtools.vizone.plugindata import PluginData

if TYPE_CHECKING:
    from flowtools.sim.standin import StandIn


class VizOne(Described):
    """A running stand-in Viz One, with its broker.

    Attributes:
        url: The URL of the server, http://HOST:PORT.
        user: The name of a user with all permissions.
        password: The password of that user.
        stomp_url: The URL of the broker.
    """

    FACTS = ("url", "user")

    def __init__(self, server: "StandIn") -> None:
        self._server = server
        self.url = server.url
        self.user = server.user
        self.password = server.password
        self.stomp_url = server.stomp_url

    def account(self) -> Account:
        """Return the server's URL with the user and password, as one Account."""
        return Account(self.url, self.user, self.password)

    def client(self, **options: Any) -> Client:
        """Return a new client of the server, which the caller closes; `options`: see Client."""
        return Client(self.account(), **options)

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which commands find the server, by name.

        These are VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD.
        """
        return self._server.environment()

    def plugin_document(self, **parts: str) -> bytes:
        """Return a document as a transfer plugin gets it on standard input (plugin data, XML).

        Args:
            parts: The contents of the document: `source` and `destination` (URLs), `title` (of the
                asset), `step` (a number as text). Any other name is a setting of the plugin:
                `suffix="xml"` sets `plugin.suffix`.
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
        """Return such a document as an object, for `TransferPlugin.use`.

        `parts` are those of `plugin_document`.
        """
        return PluginData.read(self.plugin_document(**parts))

    def reports(self, step: int = 1) -> list[tuple[str | None, int | None, str | None]]:
        """Return the reports about the transfer step number `step`, the first one first.

        Each report is the state, the per cent done, and the error; None where it has none.
        """
        return list(self._server.steps.reports.get(str(step), ()))


@contextmanager
def viz_one(**plan: Any) -> Iterator[VizOne]:
    """Run a stand-in Viz One while the block runs, on free ports of this machine.

    Args:
        plan: The options of flow-sim, which say what the server contains and does by itself:
            `assets`, `files`, `rate`, `seed`, `order`, `session` and others
            (flowtools.sim.settings.Plan).

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
