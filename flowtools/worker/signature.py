"""Check that the methods of a user's class can be called the way flowtools calls them.

The check runs when the class is loaded, so that a mistake shows before the first event. A coroutine
function returns at once and its body never runs; the same is true of a `configure` that is a
generator. With a wrong number of parameters every event would fail.
"""

import inspect
from typing import Any

from flowtools.core.errors import ConfigurationError
from flowtools.core.text import counted

_WORKER = {"start": ("event",), "start_many": ("events",), "configure": ("config",), "clean_up": ()}
_SOURCE = {
    "run": ("emit",),
    "__iter__": (),
    "configure": ("config",),
    "stop": (),
    "done": ("event", "ok"),
    "clean_up": (),
}
_METHODS: dict[str, dict[str, tuple[str, ...]]] = {"Worker": _WORKER, "Source": _SOURCE}
"""The arguments of each method, for a Worker and for a Source."""

_MAY_GENERATE = ("start", "start_many", "__iter__")
_FUNCTION = "_flow_function"


def class_of(function: Any) -> type:
    """Return the class of a Worker whose `start` is a plain function, or another callable.

    The class takes over an attribute SOURCE of the function.
    """
    members = {"start": staticmethod(function), _FUNCTION: True}
    if hasattr(function, "SOURCE"):
        members["SOURCE"] = function.SOURCE
    name = getattr(function, "__name__", type(function).__name__)
    return type(name, (), members | {"__doc__": inspect.getdoc(function)})


def check(what: str, made: Any, name: str) -> None:
    """Check that the methods of `made`, a Worker or a Source, can be called by flowtools.

    Args:
        what: What the class is, for messages: "Worker" or "Source".
        made: The object.
        name: What the user calls its class.

    Raises:
        ConfigurationError: A method is a coroutine function, an asynchronous generator, or a
            generator that would never be iterated over, or it takes other arguments.
    """
    for method, arguments in _METHODS[what].items():
        function = getattr(made, method, None)
        if not callable(function):
            continue
        complaint = _complaint(method, function, arguments)
        if complaint:
            is_function = getattr(made, _FUNCTION, False)
            its = "it" if is_function else f"its '{method}'"
            parameters = ", ".join(arguments if is_function else ("self", *arguments))
            written = name.rpartition(":")[2].rpartition(".")[2] if is_function else method
            raise ConfigurationError(
                f"cannot load {what} '{name}': {its} {complaint};"
                f" write 'def {written}({parameters})'{_MORE.get(complaint, '')}"
            )


_COROUTINE = "is a coroutine function, which nothing awaits"
_ASYNC_GENERATOR = "is an asynchronous generator, which nothing iterates over"
_GENERATOR = "is a generator function, of which nothing would run"
_MORE = {
    _COROUTINE: ", with asyncio.run(...) inside it",
    _ASYNC_GENERATOR: ", with asyncio.run(...) inside it",
    _GENERATOR: " without a yield",
}


def _complaint(method: str, function: Any, arguments: tuple[str, ...]) -> str:
    # An object may be callable, too; its code is then the `__call__` of its class.
    called = getattr(type(function), "__call__", None)  # noqa: B004  its code, not whether
    forms = (function, called) if not inspect.isroutine(function) else (function,)
    if any(map(inspect.iscoroutinefunction, forms)):
        return _COROUTINE
    if any(map(inspect.isasyncgenfunction, forms)):
        return _ASYNC_GENERATOR
    if method not in _MAY_GENERATE and any(map(inspect.isgeneratorfunction, forms)):
        return _GENERATOR
    try:
        # A decorator's own parameters count: it may give more, or fewer, to what it wraps.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return ""  # A function in C that does not say.
    try:
        signature.bind(*arguments)
    except TypeError as error:
        number = len(arguments)
        return f"cannot be called with {counted(number, 'argument')} ({error})"
    return ""
