"""A user's own Source, found by its name; needs.py makes it, what it is says custom.py."""

from flowtools.errors import ConfigurationError
from flowtools.loading import load_class


def load_source(name: str) -> type:
    """Return the Source class that `name` ("package.module:Class") stands for.

    Raises:
        ConfigurationError: As `load_class`, or it is no Source.
    """
    found = load_class(name, "Source")
    if not is_source(found):
        raise ConfigurationError(
            f"cannot load Source '{name}': it can neither be iterated over nor has it a 'run'"
        )
    return found


def is_source(kind: type) -> bool:
    """Return whether `kind` is a Source as users write them."""
    return callable(getattr(kind, "__iter__", None)) or callable(getattr(kind, "run", None))
