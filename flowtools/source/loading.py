"""A user's own Source: any class that can be iterated over, or that has `run(emit)`.

    class Shares:                      # values, as they come
        def __iter__(self):
            yield {"name": "a"}

    class Server:                      # or calls, from any of its threads
        def run(self, emit):
            emit({"name": "a"})

A value is an Event, or anything that JSON can express, which becomes the data of a
`flow.source.value` event; None is skipped. Optional methods:

- `configure(config)` is called once, before anything else, with the sections of an INI file. -
`stop()`: the command is to end; called once, from another thread. What was given before
  the Source ends still counts. Without it, an iterator is ended between two values, and
  anything that does not end within the grace is left behind.
- `emit` raises flowtools.source.gate.Ended once the command takes nothing any more; a Source
  may let that pass, in each of its threads.
- `done(event, ok)`: the event is written (--ack pipe), or its Worker is done with it
  (--ack worker; `ok` is false where it failed for good). Not called for an event of which
  nothing is known when the command ends.
- `clean_up()`, once, after the Source has ended.

Here it is found by its name; worker/needs.py makes it, and custom.py runs it.
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
            f"cannot load Source '{name}': it can neither be iterated over nor has it a 'run'{hint}"
        )
    return found


def is_source(kind: type) -> bool:
    """Return whether `kind` is a Source as users write them."""
    return callable(getattr(kind, "__iter__", None)) or callable(getattr(kind, "run", None))
