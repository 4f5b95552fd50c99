"""The Worker: the contract between the pool and a user's class, and its loading.

A Worker is any class with a `start(event)`; no base class is needed. One instance serves
all threads. Optional: `configure(config)`, once, before the first event, and `clean_up()`,
once, after the last.
"""

import importlib
import os
import sys
import traceback
from configparser import ConfigParser
from typing import Any, Protocol

from flowtools.errors import ConfigurationError
from flowtools.event import Event


class Worker(Protocol):
    """What the pool calls."""

    def start(self, event: Event) -> Any:
        """Do the work for one event, in a thread of the pool.

        What it returns goes to stdout as lines: nothing for None, one for an Event or any
        other JSON value, one for each item of a generator. An exception is a failure.
        """


class Retry(Exception):
    """Raised in `start`: this attempt is void, try the event again."""

    def __init__(
        self, reason: str = "the Worker asks for another try", *, after: float = 0.0
    ) -> None:
        """Ask for another attempt no earlier than `after` seconds from now."""
        super().__init__(reason)
        self.after = after


class Reject(Exception):
    """Raised in `start`: the event is bad, and no further attempt will help."""


class TimeLimit(BaseException):
    """Raised in a Worker's thread when the time of its attempt is up, or the pool must end.

    Not an Exception, so that a Worker's `except Exception` does not swallow it. It comes
    between two bytecodes, wherever the Worker is; `finally` and `with` blocks run.
    """


def load(name: str) -> type:
    """Return the class that `name` ("package.module:Class") stands for.

    The current directory is searched first, as by `python -m`.

    Raises:
        ConfigurationError: There is no such module or class, its module fails, or the
            class has no `start`; with the file and line where there is one.
    """
    module_name, colon, class_name = name.partition(":")
    if not (module_name and colon and class_name):
        raise ConfigurationError(f"cannot load Worker '{name}': expected MODULE:CLASS")
    here = os.getcwd()  # noqa: PTH109  text is what sys.path holds
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise ConfigurationError(
                f"cannot load Worker '{name}': there is no module '{error.name}'"
                f" in {here} or on PYTHONPATH"
            ) from None
        raise _failed(name, error) from error
    except AttributeError as error:
        if error.name == class_name.split(".")[-1] and error.obj is not None:
            where = getattr(sys.modules.get(module_name), "__file__", module_name)
            raise ConfigurationError(
                f"cannot load Worker '{name}': there is no class '{class_name}' in {where}"
            ) from None
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error
    if not isinstance(found, type) or not callable(getattr(found, "start", None)):
        raise ConfigurationError(f"cannot load Worker '{name}': it is no class with a 'start'")
    return found


def make(name: str, config: ConfigParser) -> Worker:
    """Load the class `name`, make its one instance, and `configure` it.

    Raises:
        ConfigurationError: As `load`, or making or configuring it raised.
    """
    kind = load(name)
    try:
        worker: Worker = kind()
        configure = getattr(worker, "configure", None)
        if configure is not None:
            configure(config)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(name, error, "configure") from error
    return worker


def _failed(name: str, error: BaseException, verb: str = "load") -> ConfigurationError:
    where = place(error)
    return ConfigurationError(
        f"cannot {verb} Worker '{name}': {describe(error)}{f' ({where})' if where else ''}"
    )


def describe(error: BaseException) -> str:
    """Return the exception as one line: its class and what it says.

    An exception that was described where it was raised, in another process, says so itself.
    """
    if hasattr(error, "described"):
        return str(error.described)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place(error: BaseException) -> str:
    """Return "file, line N" for where `error` comes from in the user's code, or ""."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = (os.path.dirname(__file__), os.path.dirname(importlib.__file__))  # noqa: PTH120
    theirs = [f for f in frames if not f.filename.startswith((*own, "<frozen"))]
    return f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else ""
