"""A user's own Source: any class that can be iterated over, or that has `run(emit)`.

    class Shares:                      # values, as they come
        def __iter__(self):
            yield {"name": "a"}

    class Server:                      # or calls, from any of its threads
        def run(self, emit):
            emit({"name": "a"})

A value is an Event, or anything that JSON can express, which becomes the data of a
`flow.source.value` event; None is skipped. Optional methods:

- `configure(config)` is called once, before anything else, with the sections of an INI file.
- `stop()` is called once, from another thread, when the command should end. Values that the Source
  gives before it ends still count. Without `stop`, an iterator is ended between two values. A
  Source that has not ended within the grace is abandoned.
- `done(event, ok)` is called when the event is written (--ack pipe) or settled by its Worker
  (--ack worker; `ok` is false if it failed permanently). It is not called for events that are still
  in flight when the command ends.
- `clean_up()` is called once, after the Source has ended.

After the end of the command, `emit` raises flowtools.source.gate.Ended. A Source need not catch
it, in any of its threads.

This module finds the class by its name; worker/needs.py makes the object, and custom.py runs it.
"""

from flowtools.core.errors import ConfigurationError
from flowtools.worker.loading import load_class


def load_source(name: str) -> type:
    """Return the Source class that `name` ("package.module:Class") stands for.

    Raises:
        ConfigurationError: As `load_class`, or the class is not a Source.
    """
    found = load_class(name, "Source")
    if not is_source(found):
        hint = (
            "; an asynchronous one needs a 'def run(self, emit)' with asyncio.run(...) inside it"
            if hasattr(found, "__aiter__")
            else ""
        )
        raise ConfigurationError(
            f"cannot load Source '{name}': its class has neither '__iter__' nor 'run'{hint}"
        )
    return found


def is_source(kind: type) -> bool:
    """Return whether `kind` is a Source as users write them."""
    return callable(getattr(kind, "__iter__", None)) or callable(getattr(kind, "run", None))
