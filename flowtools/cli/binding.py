"""Connects options with settings: defaults, types of values, and objects made of several options.

`option` declares an option that sets a field of a settings class. The default is that of the field
and is written nowhere else. `together` turns several options into one argument of the command, such
as the settings of a broker. `given_by` collects all values of a command in a `Given`
(core/settings.py), from which the command makes its objects. docs/architecture.md follows one
option on this path ("An option").
"""

import functools
from collections.abc import Callable, Collection
from math import isfinite
from typing import Any

import click

from flowtools.core.errors import UsageError
from flowtools.core.settings import Given, default_of

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class FiniteRange(click.FloatRange):
    """A number in a range. NaN and infinity are not accepted."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; a value that is not one is a usage error."""
        number = super().convert(value, param, ctx)
        # NaN is neither below nor above a bound, so click's check of the range lets it pass.
        if not isfinite(number):
            self.fail(f"'{value}' is not a finite number", param, ctx)
        return number


class Duration(FiniteRange):
    """A length of time in seconds: a number, or text with units such as 90s, 5m, 2h, 1h30m."""

    name = "seconds"  # --help shows it in capitals as the placeholder of the value.

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds; text that is not a length of time is a usage error."""
        if isinstance(value, str):
            from flowtools.core.times import parse_duration  # Not for --help.

            try:
                float(value)  # A number out of range has a better message in the base class.
            except ValueError:
                try:
                    value = parse_duration(value)
                except ValueError as error:
                    self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


class Parsed(click.ParamType[Any]):
    """A value that a function makes of the option's text; the default may be the value itself."""

    name = "text"

    def __init__(self, parse: Callable[[str], Any]) -> None:
        """Use `parse`; its ValueError or UsageError becomes a usage error of the command."""
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the function makes of `value`, if that is still text."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (ValueError, UsageError) as error:
            raise click.BadParameter(str(error), ctx, param) from None


class FieldOption(click.Option):
    """An option that takes its default from a settings class.

    Attributes:
        of: The settings class.
        field: The name of its field.
    """

    def __init__(self, *args: Any, of: type, field: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.of = of
        self.field = field


def option(*names: str, of: type, **more: Any) -> Decorator:
    """Return click's decorator for an option that sets a field of the settings class `of`.

    The name of the field is the one of `names` without dashes, or else the longest of them. `more`
    is passed to click.

    Raises:
        LookupError: `of` has no such field, or the field has no default.
    """
    plain = [name for name in names if not name.startswith("-")]
    field = plain[0] if plain else max(names, key=len).removeprefix("--").replace("-", "_")
    field = field.partition("/")[0]  # --persistent/--no-persistent sets `persistent`.
    default = default_of(of, field)
    if default is not None:
        # "Default: False" or an empty text would say nothing in --help.
        more.setdefault("show_default", default not in ("", ()) and default is not False)
        more.setdefault("default", default)
    return click.option(*names, cls=FieldOption, of=of, field=field, **more)


def together(
    name: str, make: Callable[[Given], Any], *options: Decorator, also: tuple[str, ...] = ()
) -> Decorator:
    """Return a decorator that adds `options` and passes their values on as one argument.

    Args:
        name: The name of the argument.
        make: Makes the argument from the values.
        options: The decorators of the options, in the order of --help.
        also: Parameter names of further options whose values belong to the argument, if the
            command has them.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_one(**values: Any) -> Any:
            taken = [each for each in (*names, *also) if each in values]
            given = Given({each: values.pop(each) for each in taken})
            return function(**{name: make(given)}, **values)

        # Decorators run from the bottom up: options that stand below this one are there already.
        before = len(getattr(with_one, "__click_params__", ()))
        for add in reversed(options):
            add(with_one)
        names = [param.name for param in with_one.__click_params__[before:]]  # type: ignore[attr-defined]
        return with_one

    return decorate


def given_by(ctx: click.Context, values: dict[str, Any]) -> Given:
    """Return `values` as a `Given` that knows which of them were typed on the command line."""
    typed = click.core.ParameterSource.COMMANDLINE
    return Given(values, [name for name in values if ctx.get_parameter_source(name) is typed])


def refuse(ctx: click.Context, names: Collection[str], reason: str) -> None:
    """Refuse options that have no effect here, if they were typed on the command line.

    Args:
        ctx: The context of the command.
        names: The parameter names of the options.
        reason: The rest of the message, after the name of the option.

    Raises:
        click.UsageError: One of them was typed.
    """
    typed = click.core.ParameterSource.COMMANDLINE
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is typed:
            raise click.UsageError(f"{param.opts[0]} {reason}", ctx)
