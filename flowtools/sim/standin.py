"""The stand-in as a whole: the HTTP side, the broker, the messages between them, the stream.

`StandIn.start` starts everything, `close` ends it, in the order: stream, what was
to come later, HTTP, broker.
"""

import secrets

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


FREE = ("127.0.0.1", 0)
"""Any free port of this machine, which no other machine can reach."""


class StandIn:
    """A stand-in Viz One.

    Attributes:
        url: Its address.
        user: Who may do everything there.
        password: That user's, and the other user's, password.
        steps: What transfer plugins have reported.
        faults: What goes wrong.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        http: tuple[str, int] = FREE,
        stomp: tuple[str, int] = FREE,
        password: str | None = None,
    ) -> None:
        """Take the ports (0: a free one); `password` is made up if not given.

        Raises:
            UnreachableError: A port cannot be had.
        """
        self.user = ADMIN
        self.faults = faults = Faults(plan.faults, plan.seed)
        self.steps = StepResources()
        self.password = password or secrets.token_urlsafe(12)
        people = People(self.password)
        limit = plan.connections
        try:
            at = http
            self._web = WebServer(
                *http, people, faults, names=plan.names, session=plan.session, connections=limit
            )
            at = stomp
            self._broker = self._broker_of(plan, stomp, people)
        except OSError as error:
            raise UnreachableError(
                f"cannot listen on '{_shown(at[0])}:{at[1]}': {error.strerror or error}"
            ) from None
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
        handles = self.catalogue.locations
        self._later = Later()
        self.imports = Imports(
            self.catalogue, self._later, plan.import_seconds, messages.of_transfer
        )
        self._web.resources = Resources(*self._routes(messages))
        steps = asset_steps(self.catalogue, plan.assets, plan.seed)
        arrivals = file_steps(self.catalogue, handles[0], plan.files, plan.seed)
        self._streams = [
            Stream(each, plan.rate, lambda seconds, to=to: self._broker.has_subscriber(to, seconds))  # type: ignore[misc]
            for each, to in ((steps, ASSETS), (arrivals, f"{FILES}.{handles[0]}"))
            if each
        ]

    def _broker_of(self, plan: Plan, at: tuple[str, int], people: People) -> Broker | Outside:
        if plan.broker is not None:
            return Outside(*plan.broker, self.password)
        return Broker(*at, people, self.faults, plan.connections)

    @property
    def stomp_url(self) -> str:
        """The address of its broker."""
        return self._stomp_url

    @property
    def steps_done(self) -> int:
        """How many steps of its streams are done."""
        return sum(each.done for each in self._streams)

    def start(self) -> None:
        """Serve; the stream starts once somebody listens, for a topic keeps nothing."""
        self._broker.start()
        self._web.start()
        self._later.start()
        for each in self._streams:
            each.start()

    def close(self) -> None:
        """End everything."""
        for each in self._streams:
            each.close()
        self._later.close()
        self._web.close()
        self._broker.close()

    def environment(self) -> dict[str, str]:
        """Return the settings by which the other commands find the stand-in."""
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


def _shown(host: str) -> str:
    """Return `host` as others reach it, for a URL."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
