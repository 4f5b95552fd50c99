"""Loads a user's class by its name, lets it clean up, and reports its errors in one line.

Importing a module runs user code for the first time. So every exception of it, SystemExit included,
becomes one line that names its file and line (description.py). If it sets a trace function or
forks, core/tracing.py keeps that from our own code. All this runs in the main thread, before the
first event and after the last one.
"""

import builtins
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from flowtools.core.errors import (
    ConfigurationError,
    FlowError,
    RefusedError,
    UnreachableError,
)
from flowtools.core.tracing import confined
from flowtools.worker.description import described
from flowtools.worker.exceptions import Unavailable
from flowtools.worker.signature import class_of


def load_class(name: str, what: str) -> type:
    """Return the class that `name` ("package.module:Class") stands for.

    A Worker may also be a function, which is then wrapped in a class as its `start`. The current
    directory is searched first, as by `python -m`. Error messages call the class `what`: "Worker"
    or "Source".

    Raises:
        ConfigurationError: There is no such module or class, or its module fails; with the
            file and line where there is one.
    """
    module_name, colon, class_name = name.partition(":")
    if not colon or not all(
        part.isidentifier() for part in f"{module_name}.{class_name}".split(".")
    ):
        raise ConfigurationError(
            f"cannot load {what} '{name}': write MODULE:CLASS, such as mymod:Tag"
        )
    here = os.getcwd()  # noqa: PTH109  text is what sys.path holds
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = confined(importlib.import_module, module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        # The user's own module is missing, or one of its packages. Otherwise a module is missing
        # that the user's module imports.
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise ConfigurationError(
                f"cannot load {what} '{name}': there is no module '{error.name}'"
                f" in {here} or on PYTHONPATH"
                + ("; leave out the .py" if module_name.endswith(".py") else "")
            ) from None
        raise failure("load", what, name, error, _HINTS.get(error.name or "", "")) from error
    except AttributeError as error:
        # From `getattr` above; one that the module itself raised is about another name.
        if error.name == class_name.split(".")[-1] and error.obj is not None:
            where = getattr(sys.modules.get(module_name), "__file__", module_name)
            raise ConfigurationError(
                f"cannot load {what} '{name}': there is no class '{class_name}' in {where}"
            ) from None
        raise failure("load", what, name, error) from error
    except (Exception, SystemExit) as error:  # A script without a main guard may call sys.exit().
        raise failure("load", what, name, error) from error
    return _class(found, what, name)


def load_exceptions(names: Sequence[str]) -> tuple[type[Exception], ...]:
    """Return the exceptions that `names` stand for, each MODULE:CLASS or one of Python's own.

    Raises:
        ConfigurationError: As `load_class`, or one is not an exception.
    """
    loaded = []
    for name in names:
        is_builtin = name in dir(builtins)
        if not is_builtin and ":" not in name:
            raise ConfigurationError(
                f"cannot pause on '{name}': Python has no such exception; for one of a module write"
                " MODULE:CLASS, such as requests:ConnectionError"
            )
        found = load_class(f"builtins:{name}" if is_builtin else name, "exception")
        if not issubclass(found, Exception):
            raise ConfigurationError(f"cannot pause on '{name}': it is not a subclass of Exception")
        loaded.append(found)
    return tuple(loaded)


def _class(found: Any, what: str, name: str) -> type:
    if isinstance(found, type):
        return found
    if what == "Worker" and callable(found):
        return class_of(found)
    raise ConfigurationError(f"cannot load {what} '{name}': {_NEITHER[what]}")


_NEITHER = {
    "Worker": "it is neither a class with a 'start' nor a function",
    "Source": "it is not a class",
    "exception": "it is not a class",
}


def clean_up(made: object, what: str) -> None:
    """Call the object's `clean_up` if it has one; `what` is as in `load_class`.

    Raises:
        FlowError: `clean_up` raised an exception.
    """
    method = getattr(made, "clean_up", None)
    if method is None:
        return
    try:
        confined(method)
    except (Exception, SystemExit) as error:
        raise FlowError(f"cannot clean up after the {what}: {described(error)}") from error


_HINTS = dict.fromkeys(
    ("flow", "vizone"),
    "; for an application of the older Flow: PYTHONPATH=$(flow-run --legacy-path) flow-run ...",
)
"""Advice for an error message, by the name of the missing module."""


def failure(
    verb: str,
    what: str,
    name: str,
    error: BaseException,
    hint: str = "",
    pausing: tuple[type[Exception], ...] = (),
) -> FlowError:
    """Return the error "cannot VERB WHAT 'NAME': " with the description of `error` and a hint.

    Its exit status tells a service manager whether a new start may succeed: an outage, which
    includes the exceptions `pausing`, and a refused login keep their own; anything else is 78.
    """
    kind: type[FlowError] = ConfigurationError
    if isinstance(error, (Unavailable, UnreachableError, *pausing)):
        kind = UnreachableError
    elif isinstance(error, RefusedError):
        kind = RefusedError
    return kind(f"cannot {verb} {what} '{name}': {described(error)}{hint}")
