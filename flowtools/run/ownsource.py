"""Makes the source of a Worker from the class that its SOURCE names and the options for it.

The options are the keys of the section [Source], as in the older Flow. An option on the command
line takes precedence. A built-in source is made here from its keys and options, the same as by its
own command. A class of the user gets its keys as arguments, and an object that the user has made is
used as it is.
"""

from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from flowtools.ack.receiver import AckInlet
from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.core.log import get_log
from flowtools.core.settings import Given
from flowtools.run import sourcekeys
from flowtools.run.profile import seconds, truth
from flowtools.run.sourcekeys import SourceKeys
from flowtools.source import Source
from flowtools.source.custom import CustomSource
from flowtools.source.daytime import Window, zone
from flowtools.source.loading import is_source
from flowtools.source.settings import Importing, Standard, Taking
from flowtools.worker.config import refuse_unset
from flowtools.worker.needs import Equipment, make

_log = get_log("flowtools.run")

_SPELT = {
    "headers": "header",
    "dead_letter_headers": "dead-letter-header",
    "everything": "all",
    "statuses": "status",
}
"""Options whose name differs from the name of their parameter."""


@dataclass(frozen=True)
class Wishes:
    """The settings of a source that do not come from the keys of its section.

    Attributes:
        given: The options of flow-run. A typed option that does not apply to the source is refused.
        inlet: Makes what receives acknowledgements.
        broker: Makes flowtools.stomp.settings.Settings, for GenericStompListener.
        xml: Whether the events of Viz One carry the entry that the message had.
    """

    given: Given
    inlet: Callable[[], AckInlet]
    broker: Callable[[], Any]
    xml: bool = False


class Own(NamedTuple):
    """A source, with the properties that the pool needs to know.

    Attributes:
        source: The source.
        redelivers: Whether events that are not done will be delivered again.
        is_whole: Whether all of its input is one event, which has no time-out.
    """

    source: Source
    redelivers: bool
    is_whole: bool = False


def own_source(
    worker: type,
    name: str,
    options: Mapping[str, str],
    wishes: Wishes,
    equipment: Equipment,
    config: ConfigParser,
) -> Own:
    """Return the source that the Worker `worker`, called `name`, names as its SOURCE.

    Raises:
        ConfigurationError: The Worker has no SOURCE, or an option is missing or makes no sense.
        UsageError: A typed option does not apply to the source.
    """
    found = getattr(worker, "SOURCE", None)
    if found is None:
        raise ConfigurationError(
            f"cannot run Worker '{name}': its class has no SOURCE; add one, or pipe a source into"
            " flow-work"
        )
    given = SourceKeys(options, _class_of(found))
    try:
        # A Worker of the older Flow gets the entry as XML, which it may put back.
        wishes = replace(wishes, xml=wishes.xml or getattr(worker, "WANTS_XML", False))
        own = _make(found, given, wishes, equipment, config)
    except UsageError as error:
        raise ConfigurationError(f"[Source]: {error}") from None
    # Only after `_make`: an option that the source has not taken does not apply to it.
    for name in wishes.given.untaken():
        option = _SPELT.get(name, name.replace("_", "-"))
        raise UsageError(f"--{option} does not apply to the SOURCE {given.kind} of this Worker")
    given.warn_of_the_rest()
    return own


def _make(
    found: Any, given: SourceKeys, wishes: Wishes, equipment: Equipment, config: ConfigParser
) -> Own:
    kind = _class_of(found)
    makers = {
        "AssetEntryListener": _assets,
        "UnmanagedFilesListener": _files,
        "GenericStompListener": _stomp,
        "HotFolder": _folder,
        "Interval": _interval,
        "STDIN": _stdin,
    }
    # By name and module, so that only the source in use is loaded.
    built_in = next((k for k in kind.__mro__ if _is_ours(k) and k.__name__ in makers), None)
    if built_in is not None and found is not kind:  # An object of one of our classes.
        _adopt(found, wishes)
        return Own(found, _redelivers(found), getattr(found, "is_whole", False))
    if built_in is not None:
        return makers[built_in.__name__](found, given, wishes, equipment)
    return _custom(found, given, wishes, equipment, config)


def _class_of(found: Any) -> type:
    return found if isinstance(found, type) else type(found)


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("flowtools.source.")


def _redelivers(source: Any) -> bool:
    return bool(getattr(source, "redelivers", False))


def _adopt(made: Any, wishes: Wishes) -> None:
    """Apply --count and our acknowledgement to a built-in source that the user's code has made."""
    count = wishes.given["count"]
    if hasattr(made, "listening"):
        listening = replace(made.listening, ack="worker", inlet=wishes.inlet)
        made.listening = replace(listening, count=listening.count if count is None else count)
        return
    if hasattr(made, "inlet"):
        made.inlet = wishes.inlet
    if count is not None:
        made.count = count


def _listening(wishes: Wishes, **more: Any) -> Any:
    from flowtools.source.vizone.listening import listening_from

    return replace(wishes.given.make(listening_from, ack="worker", **more), inlet=wishes.inlet)


def _assets(kind: Any, keys: SourceKeys, wishes: Wishes, equipment: Equipment) -> Own:
    from flowtools.source.vizone.details import details_from

    keys.fill(wishes.given, sourcekeys.OF_ASSETS)
    xml = bool(wishes.given["xml"]) or wishes.xml
    details = wishes.given.make(details_from, xml=xml)
    return Own(kind(equipment.client().account, _listening(wishes), details), True)


def _files(kind: Any, keys: SourceKeys, wishes: Wishes, equipment: Equipment) -> Own:
    keys.fill(wishes.given, sourcekeys.OF_FILES)
    location = keys.need("location")
    given = wishes.given
    settle = given["settle"]
    source = kind(
        equipment.client().account,
        location,
        _listening(wishes, everything=given["existing"]),
        skip_empty=given["skip_empty"],
        settle=Importing.settle if settle is None else settle,
        xml=bool(given["xml"]) or wishes.xml,
    )
    return Own(source, True)


def _stomp(kind: Any, keys: SourceKeys, wishes: Wishes, equipment: Equipment) -> Own:
    from flowtools.stomp.settings import parse_headers
    from flowtools.stomp.url import parse_url

    keys.fill(wishes.given, sourcekeys.OF_STOMP)
    url = parse_url(keys.need("stomp url", "url"))
    for host, _ in url.hosts:
        # A variable that is not set would be looked up as the name of a host, again and again.
        refuse_unset(host, "[Source] stomp url")
    source = wishes.given.make(
        kind,
        url,
        wishes.broker(),
        ack="worker",
        headers=parse_headers(wishes.given["headers"]),
        dead_letter_headers=parse_headers(wishes.given["dead_letter_headers"]),
        inlet=wishes.inlet,
    )
    return Own(source, True)


def _interval(kind: Any, given: SourceKeys, wishes: Wishes, equipment: Equipment) -> Own:
    cron = given.take("cron")
    said = given.take("interval", None if cron else "60")
    tz = given.take("time zone")
    source = kind(
        seconds(said, "[Source] interval") if said is not None else None,
        cron=cron,
        window=_window(given.take("window start"), given.take("window end")),
        tz=zone(tz) if tz else None,
        count=wishes.given["count"],
        name=given.take("name"),
    )
    return Own(source, False)


def _window(start: str | None, end: str | None) -> Window | None:
    """Return the window between two times of the form HH[:MM[:SS]]."""
    if not start and not end:
        return None
    # A window has no seconds; minutes that are left out are 0.
    first, last = (
        ":".join(part.zfill(2) for part in [*each.split(":"), "00"][:2]) if each else ""
        for each in (start or "", end or "")
    )
    return Window.parse(f"{first}-{last}")


def _folder(kind: Any, given: SourceKeys, wishes: Wishes, equipment: Equipment) -> Own:
    flags = {
        key.replace(" ", "_"): truth(given.take(key, "no") or "no", f"[Source] {key}")
        for key in ("recursive", "existing", "skip empty", "ignore case", "remove")
    }
    for name in ("existing", "skip_empty"):
        flags[name] = flags[name] or wishes.given[name]
    numbers = {
        key: seconds(said, f"[Source] {key}")
        for key in ("settle", "stalled", "poll")
        if (said := given.take(key))
    }
    if (settle := wishes.given["settle"]) is not None:
        numbers["settle"] = settle
    lists = {
        key: (given.take(key) or "").split() for key in ("match", "ignore", "temporary", "sidecar")
    }
    texts = {
        key: said
        for key in ("verify", "unit", "state", "done", "failed")
        if (said := given.take(key))
    }
    more: dict[str, Any] = {}
    # Only these need to know when a file is done. Without them no line has an `ackto`.
    if flags["remove"] or {"state", "done", "failed"} & set(texts):
        taking = ("prefetch", "drain")
        more = {"ack": "worker", "inlet": wishes.inlet} | {key: wishes.given[key] for key in taking}
    directory = given.need("directory")
    count = wishes.given["count"]
    source = kind(directory, count=count, **lists, **numbers, **flags, **texts, **more)
    return Own(source, _redelivers(source))


def _stdin(kind: Any, given: SourceKeys, wishes: Wishes, equipment: Equipment) -> Own:
    form = given.take("form", getattr(kind, "FORM", "lines"))
    if given.take("payload class"):
        form = "document"
    if form not in ("lines", "null", "json", "document"):
        raise UsageError(f"form '{form}' is not one of lines, null, json, document")
    source = wishes.given.make(
        kind,
        form,
        max_size=max(Standard.max_size, wishes.given["max_line"]),
        size_option="--max-line",
        is_for_a_pipe=False,
    )
    return Own(source, False, source.is_whole)


def _custom(
    found: Any, given: SourceKeys, wishes: Wishes, equipment: Equipment, config: ConfigParser
) -> Own:
    kind = _class_of(found)
    name = kind.__name__
    # A text can be iterated over, too, but its letters are not events.
    if not is_source(kind) or issubclass(kind, str | bytes):
        raise ConfigurationError(f"'{name}' is not a Source: see flow-source(1)")
    made = found
    if found is kind:  # A class; otherwise an object that the user has made.
        made = make("Source", found, name, config, given.take_all(), equipment)
    acked = hasattr(made, "done")
    # Without `done` nothing is unacknowledged: then --prefetch has no meaning.
    more = {"ack": "worker"} if acked else {"ack": "pipe", "prefetch": Taking.prefetch}
    source = wishes.given.make(CustomSource, made, name, inlet=wishes.inlet, **more)
    return Own(source, acked, bool(getattr(made, "IS_WHOLE", False)))
