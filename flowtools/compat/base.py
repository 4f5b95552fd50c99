"""Flow, the markers of what a class needs, and the three kinds of Source of the older Flow.

The command looks for `make_old` on a class that it loads, and calls it with the equipment (client,
store, broker) and the profile. `give` then calls the setters and `configure` in the order of the
older Flow, and the object is wrapped: a Flow as OldWorker, whose `start` takes an event and passes
the old object on; a Source as Values or Calls, which emit events.

Names of classes, methods and attributes are those of the older Flow, since applications define,
call or set them.
"""

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
    """Marks a class that wants `self.client`, a Client."""

    def set_client(self, client: Client) -> None:
        """Set `self.client`; may be overridden."""
        self.client = client


class NeedsStomp(Described):
    """Marks a class that wants `self.stomp`, which registers handlers for STOMP addresses."""

    def set_stomp(self, stomp: "Stomp") -> None:
        """Set `self.stomp`; may be overridden."""
        self.stomp = stomp


class NeedsStore(Described):
    """Marks a class that wants `self.store`, a Store of its application."""

    def set_store(self, store: Store) -> None:
        """Set `self.store`; may be overridden."""
        self.store = store


class NeedsConfig(Described):
    """Marks a class with a method `configure(config)`, which is called before the first event."""

    def configure(self, config: ConfigParser) -> None:
        """Read the settings of the profile; to be overridden."""
        raise NotImplementedError("a class with NeedsConfig must define configure(self, config)")


class NeedsCleanUp(Described):
    """Marks a class with a method `clean_up()`, which is called at the end."""

    def clean_up(self) -> None:
        """Release resources; to be overridden."""
        raise NotImplementedError("a class with NeedsCleanUp must define clean_up(self)")


def give(made: Any, equipment: Equipment, config: ConfigParser) -> None:
    """Give `made` what its markers ask for, and configure it last, as the older Flow did.

    By then `configure` can use the client and the store.
    """
    # Functions such as create_or_update_asset take their client from here if none is given.
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
    """Base class of old Workers; their `start` gets an object such as an Item, not an event."""

    SOURCE: Any
    WANTS_XML: ClassVar[bool] = True
    """Tells flow-run that the source shall put the XML of each entry into its event (`--xml`)."""

    def __init__(self, instance_name: str | None = None) -> None:
        self.instance_name = instance_name

    @classmethod
    def make_old(cls, equipment: Equipment, config: ConfigParser) -> "OldWorker":
        """Return a Worker that runs an object of this class."""
        # Old classes know the instance by the name that the user gave it, without the prefix.
        made = cls(instance_name=equipment.application.removeprefix("flow_"))
        give(made, equipment, config)
        return OldWorker(made, equipment, payload_class(config))

    def start(self, obj: Any) -> Any:
        """Process one object; to be overridden. The returned value is ignored."""
        raise NotImplementedError("a Flow must define start(self, obj)")


class OldWorker:
    """A Worker that runs a Flow: turns each event into the object that the Flow expects."""

    def __init__(self, flow: Flow, equipment: Equipment, payload: Any = None) -> None:
        """Run `flow`; `payload`, a class, makes its object from a document on standard input."""
        self._flow = flow
        self._equipment = equipment
        self._payload = payload

    def start(self, event: Event) -> None:
        """Call the Flow's `start` with the object of the event, and ignore what it returns."""
        if self._payload is not None and event.type == "flow.stdin.document":
            self._flow.start(self._payload(event.data))
        else:
            self._flow.start(old_object(event, self._fetch))

    def _fetch(self, url: str) -> Response:
        # Made when it is needed: a Flow that never asks for an entry needs no Viz One.
        return Client(self._equipment.client(), self._equipment.seconds).GET(url)

    def clean_up(self) -> None:
        """Call the Flow's `clean_up`, if it has the marker NeedsCleanUp."""
        if isinstance(self._flow, NeedsCleanUp):
            self._flow.clean_up()


class _OldSource(Described):
    """Common part of the three kinds of old Sources."""

    @classmethod
    def make_old(cls, equipment: Equipment, config: ConfigParser, **options: str) -> Any:
        """Return a Source of flowtools that runs an object of this class.

        `options` are the keys of the profile's section [Source], as text.
        """
        made = cls(**options)
        give(made, equipment, config)
        return made.as_source()

    def as_source(self) -> Any:
        """Return this object as a Source of flowtools."""
        raise NotImplementedError


class Once(_OldSource):
    """A Source with a single object, which `run()` returns."""

    def as_source(self) -> "Values":
        """Return this object as a Source of flowtools."""
        return Values(self, lambda: iter([self.run()]), whole=True)

    def run(self) -> Any:
        """Return the object; to be overridden."""
        raise NotImplementedError("a Once must define run(self)")


class Iterable(_OldSource):
    """A Source whose `next()` returns an object, and raises StopIteration at the end."""

    def as_source(self) -> "Values":
        """Return this object as a Source of flowtools."""
        return Values(self, lambda: iter(self))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self) -> Any:
        """Return the next object, or raise StopIteration; to be overridden."""
        raise NotImplementedError("an Iterable must define next(self)")


class EventBased(_OldSource):
    """A Source whose `run()` arranges that `self.callback(obj)` is called for each object.

    `run()` may return at once, while another thread calls. A class whose `run()` blocks until the
    end sets `_has_event_loop` to True.
    """

    _has_event_loop = False
    callback: Callable[[Any], None] | None = None

    def as_source(self) -> "Calls":
        """Return this object as a Source of flowtools."""
        return Calls(self)

    def run(self) -> Any:
        """Begin to call `self.callback`; to be overridden."""
        raise NotImplementedError("an EventBased must define run(self)")


class _Cleaner:
    """Common part of the wrappers: calls the old Source's `clean_up`."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def clean_up(self) -> None:
        """Call the old Source's `clean_up`, if it has the marker NeedsCleanUp."""
        if isinstance(self._source, NeedsCleanUp):
            self._source.clean_up()


class Values(_Cleaner):
    """A Source of flowtools that wraps an Iterable or a Once."""

    def __init__(
        self, source: Any, values: Callable[[], Iterator[Any]], whole: bool = False
    ) -> None:
        super().__init__(source)
        self._values = values
        self.IS_WHOLE = whole

    def __iter__(self) -> Iterator[Any]:
        return map(as_value, self._values())


class Calls(_Cleaner):
    """A Source of flowtools that wraps an EventBased."""

    def __init__(self, source: EventBased) -> None:
        super().__init__(source)
        self._ending = False

    def run(self, emit: Callable[[Any], None]) -> None:
        """Run the old Source; if its `run` does not block, wait until `stop` is called."""
        # The older Flow also passed `info`, the headers of a message; public Workers ignore it.
        self._source.callback = lambda obj, *more: emit(as_value(obj))
        self._source.run()
        # The older Flow's own name, which its users' sources set.
        while not (self._source._has_event_loop or self._ending):  # noqa: SLF001
            time.sleep(0.05)

    def stop(self) -> None:
        """End `run`, and call the old Source's `stop` if it has one."""
        self._ending = True
        stop = getattr(self._source, "stop", None)
        if stop is not None:
            stop()
