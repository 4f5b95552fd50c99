"""Profiles: the INI files of applications of the older Flow, read without changes to them.

Its own sections are [Flow], [Source], [Viz One], [Stomp] and [Logging]; any other is the
Worker's. It is read as Python 2's ConfigParser did: keys keep their case, a `;` after a space
begins a comment, `%(name)s` stands for another key and any other `%` for itself, and the last of
repeated keys counts, with a warning. In the profile's own sections `$NAME` and `${NAME}` stand for
environment variables. A variable that is not set stays as it is written, but is refused in the name
of a host.

The directory that PYTHON_CONFIG_ROOT names may hold base profiles: `flow.ini` comes before
the profile, `<app name>.ini` after it and so over it.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from configparser import ConfigParser, Interpolation
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.core.log import get_log
from flowtools.core.times import parse_duration
from flowtools.stomp.settings import Settings, parse_heart_beat
from flowtools.worker.config import read_into

KNOWN: dict[str, frozenset[str]] = {
    "Flow": frozenset({"app name", "class", "workers", "worker_timeout"}),
    "Viz One": frozenset(
        {
            "enabled",
            "hostname",
            "username",
            "password",
            "use https",
            "check certificates",
            "pem file",
            "time out",
        }
    ),
    "Stomp": frozenset({"heartbeats", "heartbeat interval", "heartbeat timeout"}),
    "Logging": frozenset({"level", "color", "logger", "formal", "file name"}),
}
"""The sections of a profile, with their keys; the keys of [Source] depend on its class."""

_VERBOSITY = {"debug": 2, "info": 1, "warn": 0, "warning": 0, "error": -1}
"""The words of [Logging] level."""

_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^}]*)\})")
_REFERENCE = re.compile(r"%\(([^)]+)\)s")
_DEPTH = 10
_LONGEST = 1 << 16

_log = get_log("flowtools.run")


class _OldParser(ConfigParser):
    """A parser that reads as Python 2's did, and warns of keys that a file's section repeats."""

    def __init__(self) -> None:
        super().__init__(
            interpolation=_OldInterpolation(), inline_comment_prefixes=(";",), strict=False
        )
        self.optionxform = str  # type: ignore[assignment,method-assign]

    def read_string(self, string: str, source: str = "<string>") -> None:
        """Read a file's text; `source` is its path."""
        number = 0
        section = ""
        seen: set[tuple[str, str]] = set()

        # The parser reads one line at a time, so `number` and `section` are those of the key that
        # `note` gets. ConfigParser itself does not tell where a repeated key is.
        def lines() -> Iterator[str]:
            nonlocal number, section
            for line in StringIO(string):
                number += 1
                header = self.SECTCRE.match(line)
                section = header["header"] if header else section
                yield line

        def note(key: str) -> str:
            if (section, key) in seen:
                _log.warning(
                    "'%s', line %d: key '%s' is in section [%s] already; this one counts",
                    *(source, number, key, section),
                )
            seen.add((section, key))
            return key

        self.optionxform = note  # type: ignore[assignment,method-assign]
        try:
            self.read_file(lines(), source)
        finally:
            self.optionxform = str  # type: ignore[assignment,method-assign]


class _OldInterpolation(Interpolation):
    """`%(name)s` is the value of another key; no other `%` has a meaning."""

    def before_get(
        self,
        parser: MutableMapping[str, Mapping[str, str]],
        section: str,
        option: str,
        value: str,
        defaults: Mapping[str, str],
    ) -> str:
        """Return `value` with the references in it replaced."""
        for _ in range(_DEPTH):  # A value may refer to a value that has references itself.
            if "%(" not in value:
                break
            value = _REFERENCE.sub(lambda found: defaults.get(found[1], found[0]), value)
            if len(value) > _LONGEST:
                raise ConfigurationError(
                    f"[{section}] {option}: its %(name)s references form a circle"
                )
        return value


@dataclass(frozen=True)
class Profile:
    """The settings of a profile; None stands for a setting that is not given.

    Attributes:
        config: The whole profile, for the Worker's `configure`.
        worker: The Worker, as MODULE:CLASS.
        application: The name of the application.
        threads: Number of events that are processed at the same time.
        timeout: Seconds for one attempt; 0: no limit.
        source: The options of the Source.
        verbosity: Amount of messages: 2 debugging, 1 information, 0 warnings; None: not given.
        viz_one: The section [Viz One].
        heart_beat: Seconds after which we send a heart-beat and expect one.
        is_old: Whether it is a profile (and not a --config), which has the old defaults.
    """

    config: ConfigParser
    worker: str | None = None
    application: str | None = None
    threads: int | None = None
    timeout: float | None = None
    source: dict[str, str] = field(default_factory=dict)
    verbosity: int | None = None
    viz_one: dict[str, str] = field(default_factory=dict)
    heart_beat: tuple[float, float] | None = None
    is_old: bool = False


def read(path: Path, instance_name: str | None) -> ConfigParser:
    """Read the profile at `path`, and the base profiles around it.

    Raises:
        ConfigurationError: One of these files cannot be read.
    """
    config = new_parser()
    root = os.environ.get("PYTHON_CONFIG_ROOT")
    if root:
        if not Path(root).is_dir():
            _log.warning(
                "PYTHON_CONFIG_ROOT: '%s' is not a directory; no base profiles are read", root
            )
        _read_base(config, Path(root) / "flow.ini")
    read_into(config, path, "profile")
    name = instance_name or config.get("Flow", "app name", fallback=None) or "default"
    if root and name != "flow":  # `flow.ini` has been read already, and must not come last.
        if "/" in name or "\0" in name:
            where = "--instance-name" if instance_name else f"'{path}', [Flow] app name"
            raise ConfigurationError(
                f"{where}: '{name}' is not a valid application name: it leads out of"
                " PYTHON_CONFIG_ROOT"
            )
        _read_base(config, Path(root) / f"{name}.ini")
    return config


def new_parser() -> ConfigParser:
    """Return an empty parser that reads as Python 2's did."""
    return _OldParser()


def understand(
    config: ConfigParser, *, is_old: bool, settled: Collection[tuple[str, str]] = ()
) -> Profile:
    """Return the settings in the sections of a profile; warn of unknown keys.

    Args:
        config: The sections.
        is_old: Whether it is a profile. In a --config, variables have been replaced already.
        settled: Sections and keys of a profile whose variables have been replaced already.

    Raises:
        ConfigurationError: A value is malformed.
    """
    sections = {
        name: {
            key: _expanded(said, f"[{name}] {key}")
            if is_old and (name, key) not in settled
            else said
            for key, said in _section(config, name).items()
        }
        for name in (*KNOWN, "Source")
    }
    for name, known in KNOWN.items():
        for key in sections[name]:
            if key not in known:
                _log.warning("[%s] '%s' is not a key of a profile and is ignored", name, key)
    flow, stomp, told = sections["Flow"], sections["Stomp"], sections["Logging"]
    if told.get("logger", "flow") not in ("flow", "terminal"):
        _log.warning(
            "[Logging] logger '%s' is not supported: messages go to standard error", told["logger"]
        )
    level = told.get("level", "").lower()
    if level and level not in _VERBOSITY:
        known_levels = ", ".join(_VERBOSITY)
        _log.warning("[Logging] level: '%s' is not one of %s; it is ignored", level, known_levels)
    worker = flow.get("class")
    return Profile(
        config=config,
        worker=_as_module_and_class(worker) if worker else None,
        application=flow.get("app name"),
        threads=_whole(flow, "Flow", "workers"),
        timeout=_seconds(flow, "Flow", "worker_timeout"),
        source=sections["Source"],
        verbosity=_VERBOSITY.get(level),
        viz_one=sections["Viz One"],
        heart_beat=_heart_beat(stomp),
        is_old=is_old,
    )


def truth(said: str, where: str) -> bool:
    """Return the truth value of yes, no, true, false, on, off, 1 or 0.

    Raises:
        ConfigurationError: The text is none of these words.
    """
    found = ConfigParser.BOOLEAN_STATES.get(said.strip().lower())
    if found is None:
        raise ConfigurationError(f"{where}: '{said}' is neither yes nor no")
    return found


def number(said: str, where: str) -> float:
    """Return the number that `said` is.

    Raises:
        ConfigurationError: The text is not a number, or is below 0.
    """
    try:
        found = float(said)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e9:
        raise ConfigurationError(f"{where}: '{said}' is not a number from 0 up")
    return found


def seconds(said: str, where: str) -> float:
    """Return the seconds that `said` is: a number, or a length of time such as 5m.

    Raises:
        ConfigurationError: The text is neither, or is below 0.
    """
    found = -1.0
    with suppress(ValueError):
        # A number of any form counted before there were units.
        found = float(said) if _is_number(said) else parse_duration(said)
    if not 0 <= found < 1e9:
        raise ConfigurationError(
            f"{where}: '{said}' is not a number from 0 up, nor a length of time such as"
            " 90s, 5m or 2h"
        )
    return found


def _is_number(said: str) -> bool:
    try:
        float(said)
    except ValueError:
        return False
    return True


def _read_base(config: ConfigParser, path: Path) -> None:
    if path.exists():
        read_into(config, path, "profile")


def _section(config: ConfigParser, name: str) -> dict[str, str]:
    if not config.has_section(name):
        return {}
    # Keys of [DEFAULT] count only where they are known, or each section would warn of all of them.
    inherited = config.defaults()
    own = {key: said for key, said in config.items(name) if key not in inherited}
    own |= {key: said for key, said in config.items(name) if key in KNOWN.get(name, ())}
    # Python 2 took two quotes for an empty value.
    return {key: "" if said == '""' else said for key, said in own.items()}


def _expanded(said: str, where: str) -> str:
    def replace(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name in os.environ:
            return os.environ[name]
        # The name is left out, because it may be part of a password.
        _log.warning(
            "%s: an environment variable in it is not set; the text is used as it is", where
        )
        return found[0]

    return _VARIABLE.sub(replace, said)


def _as_module_and_class(name: str) -> str:
    return name if ":" in name else ":".join(name.rpartition(".")[::2])


def _whole(section: dict[str, str], title: str, key: str) -> int | None:
    found = number(section[key], f"[{title}] {key}") if key in section else None
    return None if found is None else max(1, int(found))


def _seconds(section: dict[str, str], title: str, key: str) -> float | None:
    return seconds(section[key], f"[{title}] {key}") if key in section else None


def _heart_beat(stomp: dict[str, str]) -> tuple[float, float] | None:
    if not stomp:
        return None
    if not truth(stomp.get("heartbeats", "yes"), "[Stomp] heartbeats"):
        return 0.0, 0.0
    interval = _seconds(stomp, "Stomp", "heartbeat interval")
    timeout = _seconds(stomp, "Stomp", "heartbeat timeout")
    ours, theirs = Settings.heart_beat
    if interval is not None:
        ours = interval
    if timeout is not None:
        theirs = timeout
    try:
        return parse_heart_beat(f"{ours},{theirs}")
    except UsageError as error:
        raise ConfigurationError(f"[Stomp] heartbeat interval, timeout: {error}") from None
