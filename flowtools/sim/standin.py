"""The stand-in as a whole: builds its parts from a plan and connects them.

A change, by a request or by a stream, is made in the catalogue, which calls the watchers in
`messages`; those publish it at the broker. `StandIn.start` starts all threads: those of the broker,
of HTTP, of delayed actions and of the streams. `close` ends them in the opposite order, so that
nothing is published any more when the broker ends.
"""

import secrets
from collections.abc import Callable
from typing import TypeVar

from flowtools.core.errors import ConfigurationError, UnreachableError
from flowtools.sim import form_documents
from flowtools.sim.asking import Routes
from flowtools.sim.asset_resources import AssetResources
from flowtools.sim.catalogue import Catalogue, Watchers
from flowtools.sim.faults import Faults
from flowtools.sim.file_resources import FileResources
from flowtools.sim.group_resources import GroupResources
from flowtools.sim.imports import Imports
from flowtools.sim.later import Later
from flowtools.sim.media_resources import MediaResources
from flowtools.sim.messages import ASSETS, FILES, TRANSFERS, Messages
from flowtools.sim.other_resources import OtherResources
from flowtools.sim.outside import Outside
from flowtools.sim.people import ADMIN, People
from flowtools.sim.plugin_resources import PluginResources
from flowtools.sim.resources import Resources
from flowtools.sim.settings import Plan
from flowtools.sim.step_resources import StepResources
from flowtools.sim.stream import Stream, asset_steps, file_steps
from flowtools.sim.web import WebServer

try:
    from flowtools.sim.broker import Broker
except ModuleNotFoundError as missing:
    if missing.name != "coilmq":
        raise
    raise ConfigurationError(
        "cannot start the stand-in: there is no module 'coilmq'; pip install 'flowtools[sim]'"
    ) from None


T = TypeVar("T")

FREE = ("127.0.0.1", 0)
"""A free port of 127.0.0.1, which no other machine can reach."""


class StandIn:
    """A stand-in Viz One with its HTTP server and its broker.

    Attributes:
        url: Address of the HTTP server.
        user: Name of the user who may do everything.
        password: Password of both users.
        catalogue: The assets and files.
        imports: The imports and uploads.
        steps: The reports of transfer plugins.
        faults: The simulated faults.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        http: tuple[str, int] = FREE,
        stomp: tuple[str, int] = FREE,
        password: str | None = None,
    ) -> None:
        """Build the stand-in and open its ports.

        `http` and `stomp` are host and port of each server; port 0 takes a free one. Without a
        `password` one is generated.

        Raises:
            UnreachableError: A port cannot be opened.
        """
        self.user = ADMIN
        self.faults = faults = Faults(plan.faults, plan.seed)
        self.steps = StepResources()
        self.password = password or secrets.token_urlsafe(12)
        people = People(self.password)
        limit = plan.connections
        self._web = _opened(
            http,
            lambda: WebServer(
                *http, people, faults, names=plan.names, session=plan.session, connections=limit
            ),
        )
        try:
            self._broker = _opened(stomp, lambda: self._broker_of(plan, stomp, people))
        except UnreachableError:
            self._web.server_close()
            raise
        # Only now, since with port 0 the links in its documents are not known before.
        self.url = f"http://{_shown(http[0])}:{self._web.port}"
        self._stomp_url = f"stomp://{_shown((plan.broker or stomp)[0])}:{self._broker.port}/"
        messages = Messages(
            self.url,
            self._stomp_url,
            self._broker.publish,
            deletions=plan.deletions,
            tells_action=plan.tells_action,
        )
        self.catalogue = Catalogue(
            lambda asset: form_documents.new_payload(asset, self.url),
            echo=plan.echo,
            deletions=plan.deletions,
            watchers=Watchers(messages.of_asset, messages.of_file),
            order=plan.order,
            now=faults.now,
        )
        self._later = Later()
        self.imports = Imports(
            self.catalogue, self._later, plan.import_seconds, messages.of_transfer
        )
        self._web.resources = Resources(*self._routes(messages))
        self._streams = self._make_streams(plan)

    def _broker_of(self, plan: Plan, at: tuple[str, int], people: People) -> Broker | Outside:
        if plan.broker is not None:
            return Outside(*plan.broker, self.password)
        return Broker(*at, people, self.faults, plan.connections)

    def _make_streams(self, plan: Plan) -> list[Stream]:
        """Return a stream for assets and one for files, if the plan has such changes."""
        handle = self.catalogue.locations[0]
        assets = asset_steps(self.catalogue, plan.assets, plan.seed)
        files = file_steps(self.catalogue, handle, plan.files, plan.seed)
        planned = ((plan.assets, assets, ASSETS), (plan.files, files, f"{FILES}.{handle}"))
        # Each waits for a listener of its own kind: a topic keeps nothing for one that comes later.
        return [
            Stream(each, plan.rate, lambda seconds, to=to: self._broker.has_subscriber(to, seconds))  # type: ignore[misc]
            for count, each, to in planned
            if count
        ]

    @property
    def stomp_url(self) -> str:
        """Address of the broker, as a STOMP URL."""
        return self._stomp_url

    @property
    def steps_done(self) -> int:
        """Number of changes that the streams have made so far."""
        return sum(each.done for each in self._streams)

    def start(self) -> None:
        """Begin to serve. A stream starts once there is a listener, as a topic keeps nothing."""
        self._broker.start()
        self._web.start()
        self._later.start()
        for each in self._streams:
            each.start()

    def close(self) -> None:
        """End all threads and close the ports."""
        for each in self._streams:
            each.close()
        self._later.close()
        self._web.close()
        self._broker.close()

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which other commands find the stand-in."""
        return {
            "VIZONE_URL": self.url,
            "VIZONE_USER": self.user,
            "VIZONE_PASSWORD": self.password,
        }

    def _routes(self, messages: Messages) -> list[Routes]:
        files = {each: messages.monitor(f"{FILES}.{each}") for each in self.catalogue.locations}
        transfers = messages.monitor(TRANSFERS)
        return [
            AssetResources(self.catalogue, self.url, messages.monitor(ASSETS)).routes(),
            FileResources(self.catalogue, self.url, files).routes(),
            MediaResources(self.catalogue, self.imports, self.url, transfers).routes(),
            OtherResources(self.url).routes(),
            self.steps.routes(),
            GroupResources(self.url).routes(),
            PluginResources(self.url, self.user, self.password).routes(),
        ]


def _opened(at: tuple[str, int], make: Callable[[], T]) -> T:
    """Return the server that `make` returns, with the error of its port for the user."""
    try:
        return make()
    except OSError as error:
        raise UnreachableError(
            f"cannot listen on '{_shown(at[0])}:{at[1]}': {error.strerror or error}"
        ) from None


def _shown(host: str) -> str:
    """Return `host` as it stands in a URL: an address that clients can connect to."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
