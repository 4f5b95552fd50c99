"""Flow, the markers of what a class needs, and the three kinds of Source."""

import time
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from typing import TYPE_CHECKING, Any, ClassVar

from flowtools.compat.client import Client, Response
from flowtools.compat.defaults import add_defaults
from flowtools.compat.emitted import as_value
from flowtools.compat.instance import use_for_default
from flowtools.compat.payloadclass import payload_class
from flowtools.compat.received import old_object
from flowtools.compat.store import Store
from flowtools.core.described import Described
from flowtools.core.event import Event
from flowtools.worker.needs import Equipment

if TYPE_CHECKING:
    from flowtools.compat.stomp import Stomp


class NeedsClient(Described):
    """Has `self.client`."""

    def set_client(self, client: Client) -> None:
        """Take the client."""
        self.client = client


class NeedsStomp(Described):
    """Has `self.stomp`."""

    def set_stomp(self, stomp: "Stomp") -> None:
        """Take the connection."""
        self.stomp = stomp


class NeedsStore(Described):
    """Has `self.store`."""

    def set_store(self, store: Store) -> None:
        """Take the store."""
        self.store = store


class NeedsConfig(Described):
    """Has `configure(config)`."""

    def configure(self, config: ConfigParser) -> None:
        """Read the settings; to be overridden."""
        raise NotImplementedError("a class that NeedsConfig has a configure(self, config)")


class NeedsCleanUp(Described):
    """Has `clean_up()`."""

    def clean_up(self) -> None:
        """Release what is held; to be overridden."""
        raise NotImplementedError("a class that NeedsCleanUp has a clean_up(self)")


def give(made: Any, equipment: Equipment, config: ConfigParser) -> None:
    """Give an object what it needs, in the old order, and configure it."""
    use_for_default(lambda: Client(equipment.client(), equipment.seconds))
    if isinstance(made, NeedsStomp):
        from flowtools.compat.stomp import Stomp

        made.set_stomp(Stomp(equipment.broker))
    if isinstance(made, NeedsClient):
        made.set_client(Client(equipment.client(), equipment.seconds))
    if isinstance(made, NeedsStore):
        made.set_store(Store(equipment.application, equipment.client()))
    if isinstance(made, NeedsConfig):
        add_defaults(config)
        made.configure(config)


class Flow(Described):
    """The base class of Workers; `start` gets the object that it always got."""

    SOURCE: Any
    WANTS_XML: ClassVar[bool] = True
    """The events of a source that is made for it carry the entries that its messages had."""

    def __init__(self, instance_name: str | None = None) -> None:
        self.instance_name = instance_name

    @classmethod
    def make_old(cls, equipment: Equipment, config: ConfigParser) -> "OldWorker":
        """Return a Worker that runs an object of this class."""
        made = cls(instance_name=equipment.application.removeprefix("flow_"))
        give(made, equipment, config)
        return OldWorker(made, equipment, payload_class(config))

    def start(self, obj: Any) -> Any:
        """Do the work; to be overridden."""
        raise NotImplementedError("a Flow has a start(self, obj)")


class OldWorker:
    """Runs a Flow on events."""

    def __init__(self, flow: Flow, equipment: Equipment, payload: Any = None) -> None:
        """Run `flow`; `payload` makes what it gets of a document on standard input."""
        self._flow = flow
        self._equipment = equipment
        self._payload = payload

    def start(self, event: Event) -> None:
        """Run `start` on the object of the event; what it returns counts for nothing."""
        if self._payload is not None and event.type == "flow.stdin.document":
            self._flow.start(self._payload(event.data))
        else:
            self._flow.start(old_object(event, self._fetch))

    def _fetch(self, url: str) -> Response:
        return Client(self._equipment.client(), self._equipment.seconds).GET(url)

    def clean_up(self) -> None:
        """Let the Flow clean up, if it needs to."""
        if isinstance(self._flow, NeedsCleanUp):
            self._flow.clean_up()


class _OldSource(Described):
    """What the three kinds share."""

    @classmethod
    def make_old(cls, equipment: Equipment, config: ConfigParser, **options: str) -> Any:
        """Return a Source, of flowtools' kind, that runs an object of this class."""
        made = cls(**options)
        give(made, equipment, config)
        return made.as_source()

    def as_source(self) -> Any:
        """Return it as a Source of flowtools' kind."""
        raise NotImplementedError


class Once(_OldSource):
    """A Source whose `run()` returns the one object there is."""

    def as_source(self) -> "Values":
        """Return it as a Source of flowtools' kind."""
        return Values(self, lambda: iter([self.run()]), whole=True)

    def run(self) -> Any:
        """Return the object; to be overridden."""
        raise NotImplementedError("a Once has a run(self)")


class Iterable(_OldSource):
    """A Source whose `next()` returns an object, and raises StopIteration at the end."""

    def as_source(self) -> "Values":
        """Return it as a Source of flowtools' kind."""
        return Values(self, lambda: iter(self))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self) -> Any:
        """Return the next object; to be overridden."""
        raise NotImplementedError("an Iterable has a next(self)")


class EventBased(_OldSource):
    """A Source whose `run()` makes something that calls `self.callback(obj)`."""

    _has_event_loop = False
    callback: Callable[[Any], None] | None = None

    def as_source(self) -> "Calls":
        """Return it as a Source of flowtools' kind."""
        return Calls(self)

    def run(self) -> Any:
        """Begin; to be overridden."""
        raise NotImplementedError("an EventBased has a run(self)")


class _Cleaner:
    """Cleans up after a Source of the old kind, if it needs that."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def clean_up(self) -> None:
        """Let it clean up."""
        if isinstance(self._source, NeedsCleanUp):
            self._source.clean_up()


class Values(_Cleaner):
    """A Source of flowtools' kind over an Iterable, or a Once."""

    def __init__(
        self, source: Any, values: Callable[[], Iterator[Any]], whole: bool = False
    ) -> None:
        super().__init__(source)
        self._values = values
        self.IS_WHOLE = whole

    def __iter__(self) -> Iterator[Any]:
        return map(as_value, self._values())


class Calls(_Cleaner):
    """A Source of flowtools' kind over an EventBased."""

    def __init__(self, source: EventBased) -> None:
        super().__init__(source)
        self._ending = False

    def run(self, emit: Callable[[Any], None]) -> None:
        """Let it run; wait for the end if it has no loop of its own."""
        self._source.callback = lambda obj, *more: emit(as_value(obj))
        self._source.run()
        # The older Flow's own name, which its users' sources set.
        while not (self._source._has_event_loop or self._ending):  # noqa: SLF001
            time.sleep(0.05)

    def stop(self) -> None:
        """End the wait; and the source, if it can be told to."""
        self._ending = True
        stop = getattr(self._source, "stop", None)
        if stop is not None:
            stop()
