"""A user's own Source: found by its name, made, and configured; what it is says custom.py."""

from collections.abc import Mapping
from configparser import ConfigParser
from typing import Any

from flowtools import needs
from flowtools.errors import ConfigurationError
from flowtools.loading import load_class
from flowtools.needs import Equipment


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


def make_source(
    kind: Any,
    name: str,
    config: ConfigParser,
    options: Mapping[str, str] | None = None,
    equipment: Equipment | None = None,
) -> Any:
    """Make a Source, with `options` for its constructor, give it what it NEEDS, `configure` it.

    Raises:
        ConfigurationError: Its own code failed, or it takes no such options.
    """
    return needs.make("Source", kind, name, config, options, equipment)
