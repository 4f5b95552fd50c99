"""Example events of each type, with data as the sources write it."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from flowtools.core.event import Event
from flowtools.core.shapes import DATA

_ONE = "https://one.example"
_ASSET: dict[str, Any] = {
    "id": "urn:vme:default:asset:121",
    "title": "Evening bulletin",
    "identifiers": {"id": "121"},
    "status": "online",
    "media": "video",
    "updated": "2026-01-02T03:04:05Z",
    "keywords": [{"scheme": "https://one.example/keywords", "term": "news"}],
    "links": {
        "self": f"{_ONE}/thirdparty/asset/item/121",
        "edit": f"{_ONE}/api/asset/item/121",
        "describedby": f"{_ONE}/api/asset/item/121/metadata",
    },
    "headers": {"destination": "/topic/assets"},
}
_DELETED_ASSET: dict[str, Any] = _ASSET | {
    "title": None,
    "identifiers": {},
    "status": None,
    "media": None,
    "updated": None,
    "keywords": [],
    "links": {"self": f"{_ONE}/thirdparty/asset/item/121"},
}
"""What is known of an asset when the message is a tombstone (RFC 6721)."""

_FILE: dict[str, Any] = {
    "location": "xmlimport",
    "name": "bulletin.xml",
    "size": 1024,
    "url": f"{_ONE}/files/bulletin.xml",
    "updated": "2026-01-02T03:04:05Z",
    "id": "urn:vme:default:unmanagedfile:7",
    "links": {"self": f"{_ONE}/thirdparty/storage/xmlimport/7"},
    "headers": {"destination": "/topic/files.xmlimport"},
}
_PATH: dict[str, Any] = {
    "path": "/media/in/clip.mxf",
    "name": "clip.mxf",
    "size": 4096,
    "updated": "2026-01-02T03:04:05.000Z",
    "url": "file:///media/in/clip.mxf",
    "moved_from": None,
}
_MESSAGE: dict[str, Any] = {"headers": {"destination": "/queue/jobs"}, "body": {"job": 1}}

_EXAMPLES: dict[str, tuple[str, str | None, Any]] = {
    "flow.asset": (_ONE, _ASSET["id"], _ASSET),
    "flow.asset.deleted": (_ONE, _ASSET["id"], _DELETED_ASSET),
    "flow.file": (_ONE, "bulletin.xml", _FILE),
    "flow.path": ("file:///media/in", "clip.mxf", _PATH),
    "flow.stomp": ("stomp://mq.example:61613", "/queue/jobs", _MESSAGE),
    "flow.interval": ("flow-interval", "60s", {"number": 1, "skipped": 0}),
    "flow.stdin": ("flow-stdin", None, "a line"),
    "flow.source": ("flow-source", None, {"name": "a"}),
    "flow.work": ("flow-work", None, {"name": "a"}),
    "flow.jq": ("flow-jq", None, {"name": "a"}),
}
"""Source, subject and data of an event, by its type or by its type without the last word."""


def make_event(
    type: str,
    data: Any = None,
    *,
    source: str | None = None,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
    **extensions: Any,
) -> Event:
    """Return an event of `type` as a source would write it.

    Args:
        type: A type that flowtools(7) lists, such as `flow.asset.created`, or one of your own.
        data: The data of the event. A mapping is merged over the example's data if that is an
            object; any other value replaces it. None: the example's data.
        source: The source of the event; None: that of the example, or `test` for a type of your
            own.
        id: The id of the event; None: a random one.
        subject: The subject of the event; None: that of the example.
        time: The time of the event as RFC 3339 text; None: now.
        extensions: Further attributes, such as `redelivered=True`.

    Raises:
        EventError: An attribute breaks a rule of CloudEvents.
        ValueError: `type` begins with `flow.` and no source writes it, or `data` has a member that
            such an event never has.
    """
    if type in DATA:
        its_source, its_subject, example = _EXAMPLES.get(type) or _EXAMPLES[type.rpartition(".")[0]]
        _check_members(type, data)
    elif type.startswith("flow."):
        raise ValueError(f"there is no type '{type}'{_meant(type, DATA)}")
    else:
        its_source, its_subject, example = "test", None, None
    if isinstance(data, Mapping) and isinstance(example, dict):
        # A copy, so that a Worker that changes the data does not change later events.
        data = {**deepcopy(example), **data}
    elif data is None:
        data = deepcopy(example)
    return Event(
        type,
        data,
        source=source or its_source,
        id=id,
        subject=subject if subject is not None else its_subject,
        time=time,
        **extensions,
    )


def _check_members(type: str, data: Any) -> None:
    """Raise ValueError if `data` has a member that is not one of this type of event."""
    known: dict[str, Any] = getattr(DATA[type], "__annotations__", {})  # Only of a TypedDict.
    for name in data if known and isinstance(data, Mapping) else ():
        if name not in known:
            raise ValueError(f"the data of {type} has no member '{name}'{_meant(name, known)}")


def _meant(name: str, known: Iterable[str]) -> str:
    """Return which of the known names `name` may stand for, as the end of a message."""
    close = get_close_matches(name, known, 1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(sorted(known))}"
