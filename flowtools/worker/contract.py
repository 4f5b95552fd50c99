"""The Worker: the contract between the pool and a user's class, and its loading.

A Worker is any class with a `start(event)`; no base class is needed. One instance serves
all threads. Optional methods are `configure(config)`, which is called once before the first event,
and `clean_up()`, which is called once after the last. A function that takes an event is a Worker,
too. A class with `start_many(events)` takes several events at once (batch.py).
"""

from configparser import ConfigParser
from typing import Any, Protocol

from flowtools.core.errors import ConfigurationError
from flowtools.core.event import Event
from flowtools.worker import needs
from flowtools.worker.loading import load_class
from flowtools.worker.needs import Equipment


class Worker(Protocol):
    """The method that the pool calls on a Worker."""

    def start(self, event: Event) -> Any:
        """Do the work for one event, in a thread of the pool.

        The result goes to stdout as lines: none for None, one for an Event or any other JSON value,
        one for each item of a generator. If it raises an exception, the attempt has failed.
        """


def load(name: str) -> type:
    """Return the class that `name` ("package.module:Class") stands for.

    Raises:
        ConfigurationError: As `load_class`, or the class has no `start`.
    """
    found = load_class(name, "Worker")
    if not (callable(getattr(found, "start", None)) or takes_batches(found)):
        raise ConfigurationError(f"cannot load Worker '{name}': its class has no 'start'")
    return found


def takes_batches(worker: object) -> bool:
    """Return whether a Worker, or its class, takes several events at once."""
    return callable(getattr(worker, "start_many", None))


def make(
    name: str,
    config: ConfigParser,
    equipment: Equipment | None = None,
    pausing: tuple[type[Exception], ...] = (),
) -> Worker:
    """Load the class `name`, make its one instance, give it what it NEEDS, `configure` it.

    Raises:
        ConfigurationError: As `load` and `equip`, or its methods cannot be called as the pool
            calls them (see signature.py), or making or configuring it raised.
        FlowError: As `needs.make`, after an exception that means an outage or a refused login.
    """
    worker: Worker = needs.make(
        "Worker", load(name), name, config, equipment=equipment, pausing=pausing
    )
    return worker
