"""A Worker's settings: an INI file (--config) and single settings over it (--set).

`$NAME` and `${NAME}` in a value stand for that environment variable, so that a secret
need not be in the file; `$$` is a dollar sign. A variable that is not set is an error here, because
an empty or literal `$PASSWORD` would fail later, far from its cause. Any other `$` stays. `%` has
no meaning. Keys are case-insensitive; section names are case-sensitive.
"""

import os
import re
from collections.abc import Sequence
from configparser import (
    ConfigParser,
    DuplicateOptionError,
    DuplicateSectionError,
    Error,
    MissingSectionHeaderError,
    ParsingError,
)
from pathlib import Path

from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.process.password import is_secret

LARGEST = 1 << 20
"""Maximum size of a settings file, in characters."""

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([^}]*)\})")


def load(path: Path | None, settings: Sequence[str]) -> ConfigParser:
    """Return the settings of the INI file `path`, overridden by `settings`.

    Args:
        path: The INI file; None without one.
        settings: Settings of the form `section.key=value`. Where the name begins with a section of
            the file, the rest is the key; otherwise the key follows the last dot before the equals
            sign. All sections inherit from the section DEFAULT.

    Raises:
        ConfigurationError: The file cannot be read or understood, or a variable is not
            set; the text says where.
        UsageError: A setting does not have that form.
    """
    raw = _parser()
    if path is not None:
        read_into(raw, path, "configuration")
    config = _parser()
    for section in (raw.default_section, *raw.sections()):
        if section != raw.default_section:
            config.add_section(section)
        for key, value in raw.items(section):
            if section == raw.default_section or value != raw.defaults().get(key):
                config[section][key] = _expanded(value, f"'{path}', [{section}] {key}", key)
    change(config, settings)
    return config


def change(config: ConfigParser, settings: Sequence[str]) -> set[tuple[str, str]]:
    """Set each of `settings`, a `section.key=value`, in `config`.

    Returns the section and key of each setting. Environment variables in the values are replaced.

    Raises:
        ConfigurationError: An environment variable is not set.
        UsageError: A setting does not have that form, or is a literal password.
    """
    there = config.sections()
    return {_set(config, there, setting) for setting in settings}


def refuse_unset(host: str, what: str) -> None:
    """Refuse a host that still contains the name of an environment variable.

    Raises:
        ConfigurationError: The host contains a `$`; the message calls it `what`.
    """
    if "$" in host:
        raise ConfigurationError(f"{what}: an environment variable in '{host}' is not set")


def _parser() -> ConfigParser:
    return ConfigParser(interpolation=None)


def read_into(parser: ConfigParser, path: Path, what: str) -> None:
    """Read the INI file at `path` into `parser`; an error message calls the file `what`.

    Raises:
        ConfigurationError: The file cannot be read or understood, or is larger than LARGEST.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise _unreadable(what, path, f"it is larger than {LARGEST} characters")
        parser.read_string(text, str(path))
    except UnicodeDecodeError as error:
        raise _unreadable(what, path, f"it is not UTF-8 ({error.reason})") from None
    except OSError as error:
        raise _unreadable(what, path, os.strerror(error.errno or 0)) from None
    except Error as error:
        raise ConfigurationError(_complaint(path, error)) from None


def _unreadable(what: str, path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"cannot read {what} '{path}': {reason}")


def _complaint(path: Path, error: Error) -> str:
    """Return what is wrong with the INI file at `path`, by line, without its text."""
    # Never with the line's text: it may be a password.
    if isinstance(error, MissingSectionHeaderError):
        return f"'{path}', line {error.lineno}: expected a [section] before the first key"
    if isinstance(error, ParsingError):
        return f"'{path}', line {error.errors[0][0]}: expected 'key = value'"
    if isinstance(error, DuplicateOptionError):
        return (
            f"'{path}', line {error.lineno}: key '{error.option}' is in section"
            f" [{error.section}] already"
        )
    if isinstance(error, DuplicateSectionError):
        return f"'{path}', line {error.lineno}: there is a section [{error.section}] already"
    return f"'{path}': {' '.join(str(error).split())}"


def _set(config: ConfigParser, there: Sequence[str], setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    section, dot, key = _section_and_key(there, name.strip())
    if not (equals and dot and section and key):
        raise UsageError(f"invalid setting '{name}': expected SECTION.KEY=VALUE")
    if section != config.default_section and not config.has_section(section):
        config.add_section(section)
    if is_secret(key) and value.strip() and not _VARIABLE.search(value):
        raise UsageError(
            f"--set {name.strip()} holds a secret, which everybody on this machine can read on the"
            " command line; put it in a file for --config, or in the environment:"
            f" --set '{name.strip()}=$NAME'"
        )
    config[section][key] = _expanded(value.strip(), f"--set {name.strip()}", key)
    return section, config.optionxform(key)


def _section_and_key(there: Sequence[str], name: str) -> tuple[str, str, str]:
    # A key may contain dots, as metadata fields do: prefer a section that exists.
    known = max((each for each in there if name.startswith(f"{each}.")), key=len, default=None)
    if known is not None:
        return known, ".", name[len(known) + 1 :].strip()
    section, dot, key = name.rpartition(".")
    return section.strip(), dot, key.strip()


def _expanded(value: str, where: str, key: str = "") -> str:
    """Return `value` with its variables replaced.

    Raises:
        ConfigurationError: A variable is not set. The message names it, unless the "name" may be
            part of a password whose dollar sign was not doubled.
    """
    is_whole = _VARIABLE.fullmatch(value) is not None
    may_show = is_whole or not (is_secret(key) or "@" in value)

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name = found[2] or found[3]
        try:
            return os.environ[name]
        except (KeyError, ValueError):
            # A value may go over several lines, and so may what is between the braces.
            shown = f"environment variable '{' '.join(name.split())}'"
            raise ConfigurationError(
                f"{where}: {shown if may_show else 'an environment variable in it'} is not set;"
                " write a dollar sign as $$"
            ) from None

    return _VARIABLE.sub(replace, value)
