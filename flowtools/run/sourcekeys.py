"""The section [Source]: keys for the source, some of which are options of its command.

A key is written as the option without its dashes: `skip empty` is --skip-empty. Keys are
case-insensitive, and `_` is the same as a space. An option on the command line takes precedence.

Each key is taken once, by the maker of the source (ownsource.py). What is left at the end is not a
key of that source, and is warned of.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flowtools.core.errors import ConfigurationError
from flowtools.core.kind import OF_VIZ_ONE
from flowtools.core.log import get_log
from flowtools.core.settings import Given
from flowtools.run.profile import seconds, truth

_log = get_log("flowtools.run")

Parse = Callable[[str, str], Any]
"""Makes an option's value from the text of its key; the second text names the key in errors."""


def words(said: str, where: str) -> tuple[str, ...]:
    """Return the words of a value, which are separated by spaces or commas."""
    return tuple(said.replace(",", " ").split())


def kinds(said: str, where: str) -> tuple[str, ...]:
    """Return the kinds of change that a value names.

    Raises:
        ConfigurationError: One of them is not a kind of change.
    """
    found = words(said, where)
    known = [kind.value for kind in OF_VIZ_ONE]
    for each in found:
        if each not in known:
            raise ConfigurationError(f"{where}: '{each}' is not one of {', '.join(known)}")
    return found


def whole(said: str, where: str) -> int:
    """Return the value as a whole number of at least 1.

    Raises:
        ConfigurationError: The value is something else.
    """
    if not (said.isascii() and said.isdigit() and 0 < int(said) < 1e9):
        raise ConfigurationError(f"{where}: '{said}' is not a whole number from 1 up")
    return int(said)


def above_zero(said: str, where: str) -> float:
    """Return the value as a number above 0, such as seconds.

    Raises:
        ConfigurationError: The value is something else.
    """
    found = seconds(said, where)
    if not found:
        raise ConfigurationError(f"{where}: '{said}' is not a number above 0")
    return found


def as_it_is(said: str, where: str) -> str:
    """Return the text unchanged."""
    return said


_OF_VIZ_ONE: dict[str, tuple[str, Parse]] = {
    "state": ("state", as_it_is),
    "standby": ("standby", as_it_is),
    "since": ("since", as_it_is),
    "include": ("include", kinds),
    "exclude": ("exclude", kinds),
    "broker": ("broker", as_it_is),
    "allow host": ("allow_hosts", words),
    "xml": ("xml", truth),
    "count": ("count", whole),
    "prefetch": ("prefetch", whole),
    "dead letter": ("dead_letter", as_it_is),
}

OF_ASSETS = _OF_VIZ_ONE | {
    "all": ("everything", truth),
    "media": ("media", words),
    "status": ("statuses", words),
    "resolve": ("resolve", truth),
    "metadata": ("metadata", truth),
}

OF_FILES = _OF_VIZ_ONE | {
    "existing": ("existing", truth),
    "skip empty": ("skip_empty", truth),
    "skip empty files": ("skip_empty", truth),
    "settle": ("settle", seconds),
}

OF_STOMP: dict[str, tuple[str, Parse]] = {
    "count": ("count", whole),
    "prefetch": ("prefetch", whole),
    "dead letter": ("dead_letter", as_it_is),
    "idle": ("idle", above_zero),
    "durable": ("durable", as_it_is),
    "selector": ("selector", as_it_is),
}


class SourceKeys:
    """The keys of [Source] that have not been used yet.

    Attributes:
        kind: The name of the source's class, for messages.
    """

    def __init__(self, options: Mapping[str, str], kind: type) -> None:
        self._left = dict(options)
        self._names = {key.replace("_", " ").lower(): key for key in options}
        self.kind = kind.__name__

    def take(self, key: str, default: str | None = None) -> str | None:
        """Return the value of `key`, and remove the key."""
        return self._left.pop(self._names.get(key, key), default)

    def need(self, *keys: str) -> str:
        """Return the value of the first of `keys` that is given.

        Raises:
            ConfigurationError: None of them is given.
        """
        for key in keys:
            if said := self.take(key):
                return said
        raise ConfigurationError(f"[Source] '{keys[0]}' is missing: {self.kind} needs it")

    def fill(self, given: Given, known: Mapping[str, tuple[str, Parse]]) -> None:
        """Use the keys in `known` for options that were not typed.

        Raises:
            ConfigurationError: A value is malformed.
        """
        found = {}
        for key, (name, parse) in known.items():
            said = self.take(key)
            if said:  # An empty value counts as not given.
                found[name] = parse(said, f"[Source] {key}")
        given.fill(found)

    def take_all(self) -> dict[str, str]:
        """Return all remaining keys, as arguments of a constructor."""
        # A user's Source may have any keys; a parameter's name cannot have a space.
        left, self._left = self._left, {}
        return {key.replace(" ", "_"): said for key, said in left.items()}

    def warn_of_the_rest(self) -> None:
        """Warn of the remaining keys, which are not used."""
        for key in self._left:
            _log.warning("[Source] '%s' is not a key of %s and is ignored", key, self.kind)
