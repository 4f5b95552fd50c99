"""Small things of the older Flow that classes import: LogId, string_to_boolean, to_class."""

from configparser import ConfigParser
from importlib import import_module
from itertools import count
from typing import Any

from flowtools.core.described import Described


class LogId(Described):
    """Numbers from 0 on, each once, for any thread."""

    def __init__(self) -> None:
        self._numbers = count()

    def next(self) -> int:
        """Return the next number."""
        return next(self._numbers)


def string_to_boolean(said: str) -> bool:
    """Return what yes, no, true, false, on, off, 1 and 0 mean.

    Raises:
        ValueError: It is none of them.
    """
    found = ConfigParser.BOOLEAN_STATES.get(said.lower())
    if found is None:
        raise ValueError(f"'{said}' is not a boolean")
    return found


def to_class(name: str | None) -> Any:
    """Return the class with the dotted `name`; None for None.

    Raises:
        ImportError: There is no such module.
        AttributeError: It has no such class.
    """
    if name is None:
        return None
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)
