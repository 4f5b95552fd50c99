"""Settings that several parts share, and the path of an option to the object that uses it.

Every default of flowtools is the default of a field of a settings class, and is written only there.
A class that belongs to one part is in that part's `settings.py`; classes that several parts share
are here. These modules import nothing heavy: the options of a command take their defaults from
them, and `--help` shows these.

An option sets the parameter of the same name. `Given` holds the values of a command's options and
makes objects with them: `given.make(HotFolder, directory)` calls HotFolder with each option that is
a parameter of HotFolder. At the end `untaken` lists the options that no object used, so that the
command can say that they have no effect.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Times for ending in good order.

    Attributes:
        drain: Maximum time after a stop to wait for running events, and for acknowledgements that
            are still missing, in seconds.
        grace: Maximum time for user code that must end, such as a Worker that timed out, in
            seconds; after that its thread is abandoned.
    """

    drain: float = 30.0
    grace: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """Warning about certificates that expire soon.

    Attributes:
        expiry_days: Days before the expiry of a certificate at which to begin warning.
    """

    expiry_days: int = 14


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Settings for reading lines.

    Attributes:
        max_line: Maximum length of a line, in bytes.
    """

    max_line: int = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Settings for messages on stderr.

    Attributes:
        log_format: "text", or "json" for one object per line.
    """

    log_format: Literal["text", "json"] = "text"


def default_of(kind: type, name: str) -> Any:
    """Return the default of the field `name` of the settings class `kind`.

    Raises:
        LookupError: There is no such field, or it has no default.
    """
    for field in fields(kind):
        if field.name == name:
            if field.default is not MISSING:
                return field.default
            if field.default_factory is not MISSING:
                return field.default_factory()
    raise LookupError(f"{kind.__name__} has no field '{name}' with a default")


def _made_of(kind: Any) -> Iterator[tuple[str, type]]:
    """Yield each field of `kind` that is itself a settings class: its name and its class."""
    for field in fields(kind) if is_dataclass(kind) else ():
        inner: Any = field.default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            yield field.name, inner


class Given:
    """The values of a command's options, by the names of the parameters that they set."""

    def __init__(self, values: Mapping[str, Any], typed: Collection[str] = ()) -> None:
        """Hold `values`; those in `typed` were given on the command line and are not defaults."""
        self._values = dict(values)
        self._typed = frozenset(typed)
        self._taken: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        self._taken.add(name)
        return value

    def is_typed(self, name: str) -> bool:
        """Return whether the option was given on the command line."""
        return name in self._typed

    def fill(self, values: Mapping[str, Any]) -> None:
        """Take `values` from a settings file for options not given on the command line."""
        # The command line wins over the file.
        self._values |= {name: said for name, said in values.items() if name not in self._typed}

    def untaken(self) -> list[str]:
        """Return the names of the options that were given and that no object has used."""
        return [name for name in self._values if name in self._typed - self._taken]

    def make(self, kind: Callable[..., T], *args: Any, **more: Any) -> T:
        """Return `kind(*args, **more)`, with every option that is a parameter of `kind` added.

        A field that is itself a settings class is made in the same way.
        """
        from inspect import signature  # Imported late: `--help` makes no objects.

        takes = signature(kind)
        # Parameters that the positional arguments set. An option of the same name is not passed a
        # second time, and does not count as used.
        first = takes.bind_partial(*args).arguments
        names = [name for name in takes.parameters if name not in first and name not in more]
        given = {name: self[name] for name in names if name in self._values}
        for name, inner in _made_of(kind):
            if name in names:
                given[name] = self.make(inner)
        return kind(*args, **given, **more)
