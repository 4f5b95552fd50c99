"""LogId, string_to_boolean and to_class: small helpers that old classes import."""

from configparser import ConfigParser
from importlib import import_module
from itertools import count
from typing import Any

from flowtools.core.described import Described


class LogId(Described):
    """A thread-safe counter from 0 on."""

    def __init__(self) -> None:
        # next() of an itertools counter is one step of the interpreter, so no lock is needed.
        self._numbers = count()

    def next(self) -> int:
        """Return the next number; no number is returned twice."""
        return next(self._numbers)


def string_to_boolean(said: str) -> bool:
    """Return the boolean that yes, no, true, false, on, off, 1 or 0 means, in any case.

    Raises:
        ValueError: `said` is none of these words.
    """
    found = ConfigParser.BOOLEAN_STATES.get(said.lower())
    if found is None:
        raise ValueError(f"'{said}' is not a boolean")
    return found


def to_class(name: str | None) -> Any:
    """Import and return the class with the dotted name `name`; None for None.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module has no such class.
    """
    if name is None:
        return None
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)
