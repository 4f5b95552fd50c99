"""Settings that several parts share, and the way of an option to where it acts.

Every default of flowtools is the default of a field of a settings class, and is written there
alone. A class that belongs to one part stands in that part's `settings.py`; the fields that
several parts have stand here. Those modules load nothing heavy: the options of a command take
their defaults from them, and `--help` shows those.

An option acts on the parameter of its own name. `Given` holds the values of the options that a
command was given, and makes objects of them: `given.make(HotFolder, directory)` calls HotFolder
with each option that is a parameter of HotFolder. What nobody has taken by the end is known,
too: such an option means nothing to the objects that were made.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How long what still runs has to end.

    Attributes:
        drain: Seconds after a stop for events that run, and for acknowledgements still missing.
        grace: Seconds for code of the user's that has been told to end, such as a Worker whose
            time is up; after that its thread is abandoned.
    """

    drain: float = 30.0
    grace: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Expiring:
    """When a certificate counts as one that ends soon.

    Attributes:
        expiry_days: Days before its end at which it is warned of.
    """

    expiry_days: int = 14


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How lines are read.

    Attributes:
        max_line: Bytes that a line may have.
    """

    max_line: int = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Messages:
    """How a command speaks on stderr.

    Attributes:
        log_format: "text", or "json": one object a line.
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
    """Yield the fields of the settings class `kind` that are settings themselves, and of what."""
    for field in fields(kind) if is_dataclass(kind) else ():
        inner: Any = field.default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            yield field.name, inner


class Given:
    """The values of a command's options, each by the name of the parameter that it is for."""

    def __init__(self, values: Mapping[str, Any], typed: Collection[str] = ()) -> None:
        """Hold `values`; those in `typed` were on the command line and are no defaults."""
        self._values = dict(values)
        self._typed = frozenset(typed)
        self._taken: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        self._taken.add(name)
        return value

    def is_typed(self, name: str) -> bool:
        """Return whether the option was on the command line."""
        return name in self._typed

    def fill(self, values: Mapping[str, Any]) -> None:
        """Let `values`, from a file of settings, count for options that were not typed."""
        self._values |= {name: said for name, said in values.items() if name not in self._typed}

    def untaken(self) -> list[str]:
        """Return the names of the options that were typed and that nobody has taken."""
        return [name for name in self._values if name in self._typed - self._taken]

    def make(self, kind: Callable[..., T], *args: Any, **more: Any) -> T:
        """Return `kind(*args, **more)`, with each option besides that it has a parameter for.

        A field of a settings class that is a settings class itself is made in the same way.
        """
        from inspect import signature

        takes = signature(kind)
        first = takes.bind_partial(*args).arguments
        names = [name for name in takes.parameters if name not in first and name not in more]
        given = {name: self[name] for name in names if name in self._values}
        for name, inner in _made_of(kind):
            if name in names:
                given[name] = self.make(inner)
        return kind(*args, **given, **more)
