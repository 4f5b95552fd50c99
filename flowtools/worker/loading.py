"""A user's class: loaded by its name, cleaned up after, and what is wrong with it in one line."""

import importlib
import os
import sys
import traceback
from functools import cache
from typing import Any

from flowtools.core.errors import ConfigurationError, FlowError


def load_class(name: str, what: str) -> type:
    """Return the class that `name` ("package.module:Class") stands for.

    The current directory is searched first, as by `python -m`. `what` is what an error
    calls it: Worker, Source.

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
        found: Any = importlib.import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise ConfigurationError(
                f"cannot load {what} '{name}': there is no module '{error.name}'"
                f" in {here} or on PYTHONPATH"
                + ("; leave out the .py" if module_name.endswith(".py") else "")
            ) from None
        raise failure("load", what, name, error) from error
    except AttributeError as error:
        if error.name == class_name.split(".")[-1] and error.obj is not None:
            where = getattr(sys.modules.get(module_name), "__file__", module_name)
            raise ConfigurationError(
                f"cannot load {what} '{name}': there is no class '{class_name}' in {where}"
            ) from None
        raise failure("load", what, name, error) from error
    except (Exception, SystemExit) as error:
        raise failure("load", what, name, error) from error
    if not isinstance(found, type):
        raise ConfigurationError(f"cannot load {what} '{name}': it is no class{_METHOD[what]}")
    return found


_METHOD = {"Worker": " with a 'start'", "Source": ""}


def clean_up(made: object, what: str) -> None:
    """Let an object of such a class clean up, if it wants to; `what` is as in `load_class`.

    Raises:
        FlowError: It raised.
    """
    method = getattr(made, "clean_up", None)
    if method is None:
        return
    try:
        method()
    except (Exception, SystemExit) as error:
        raise FlowError(f"cannot clean up after the {what}: {described(error)}") from error


def failure(verb: str, what: str, name: str, error: BaseException) -> ConfigurationError:
    """Return "cannot VERB WHAT 'NAME': " and what `error` says, with its place."""
    return ConfigurationError(f"cannot {verb} {what} '{name}': {described(error)}")


def described(error: BaseException) -> str:
    """Return what `error` says, as one line, with its place in the user's code."""
    where = place(error)
    return describe(error) + (f" ({where})" if where else "")


def describe(error: BaseException) -> str:
    """Return the exception as one line: its class and what it says."""
    # Where a mistake of the language is, `place` says.
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(said.split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place(error: BaseException) -> str:
    """Return "file, line N" for where `error` comes from in the user's code, or ""."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = (os.path.dirname(__file__), os.path.dirname(importlib.__file__))  # noqa: PTH120
    theirs = [f for f in frames if not f.filename.startswith((*own, "<frozen"))]
    # What a library makes of their mistake is further inside, and of less use.
    theirs = [f for f in theirs if not f.filename.startswith(_libraries())] or theirs
    return f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else ""


@cache
def _libraries() -> tuple[str, ...]:
    import sysconfig  # Only a failure needs it.

    return tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")})
