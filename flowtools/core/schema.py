"""Makes the JSON Schema (draft 2020-12) of an event's line, by the type of the event.

The attributes of the event are listed here; the schema of its `data` is made from the type hints in
shapes.py. Each class becomes a definition, and the text of an Annotated hint its description.
"""

import types
from typing import (
    Annotated,
    Any,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from flowtools.core.shapes import DATA

_SIMPLE: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}

_TEXT = {"type": "string", "minLength": 1}
_ATTRIBUTES: dict[str, Any] = {
    "specversion": {"const": "1.0"},
    "id": {
        **_TEXT,
        "description": "Id of the event, the same at each delivery; unique together with source",
    },
    "source": {**_TEXT, "description": "Origin of the event, a URI-reference"},
    "subject": {**_TEXT, "description": "Object of the event, such as an asset's id"},
    "time": {"type": "string", "format": "date-time", "description": "Time of the event, RFC 3339"},
    "datacontenttype": {"type": "string"},
    "data_base64": {"type": "string", "contentEncoding": "base64"},
    "ackto": {**_TEXT, "description": "Where to acknowledge the event once it is done"},
    "redelivered": {
        "type": "boolean",
        "description": "True if the event may have been delivered before",
    },
    "replayed": {
        "type": "boolean",
        "description": "True if re-created from Viz One's feed after an absence",
    },
    "metadataerror": {**_TEXT, "description": "Why details could not be requested from Viz One"},
    "flowerror": {**_TEXT, "description": "Why the event failed permanently"},
    "flowattempts": {"type": "integer", "description": "Number of attempts before it failed"},
    "flowfailedat": {"type": "string", "description": "Time of the failure, RFC 3339"},
    "traceparent": {**_TEXT, "description": "W3C Trace Context"},
    "tracestate": {**_TEXT, "description": "W3C Trace Context"},
}


def schema_of(type: str, *, strict: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of the events of `type`, as a JSON object.

    Args:
        type: The type of the events, such as `flow.asset.created`.
        strict: Whether to allow only known members, for tests.

    Raises:
        KeyError: No source writes events of this type.
    """
    data = DATA[type]
    definitions: dict[str, Any] = {}
    properties = dict(_ATTRIBUTES)
    properties["type"] = {"const": type}
    properties["data"] = _of(data, definitions, strict)
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:flowtools:event:{type}",
        "title": type,
        "description": (data.__doc__ or "").strip() if is_typeddict(data) else _described(data),
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": ["specversion", "id", "source", "type", *_required_data(data)],
    }
    if strict:
        schema["additionalProperties"] = False
    if definitions:
        schema["$defs"] = dict(sorted(definitions.items()))
    return schema


def _required_data(data: Any) -> list[str]:
    return ["data"] if is_typeddict(data) else []


def _described(hint: Any) -> str:
    return next((each for each in get_args(hint)[1:] if isinstance(each, str)), "")


def _of(hint: Any, definitions: dict[str, Any], strict: bool) -> dict[str, Any]:
    """Return the schema of a type hint; schemas of classes are added to `definitions`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin is Annotated:
        return {**_of(arguments[0], definitions, strict), "description": _described(hint)}
    # Whether a member is required is said by its class (`_object`), not by its own schema.
    if origin is NotRequired:
        return _of(arguments[0], definitions, strict)
    if origin in (Union, types.UnionType):
        return _either([_of(each, definitions, strict) for each in arguments])
    if origin is list:
        return {"type": "array", "items": _of(arguments[0], definitions, strict)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions, strict)}
    if is_typeddict(hint):
        name = hint.__name__
        if name not in definitions:
            definitions[name] = {}  # Marks it as known: a class may contain itself.
            definitions[name] = _object(hint, definitions, strict)
        return {"$ref": f"#/$defs/{name}"}
    raise AssertionError(f"there is no schema of {hint}")


def _object(kind: Any, definitions: dict[str, Any], strict: bool) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    made: dict[str, Any] = {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "properties": {name: _of(hint, definitions, strict) for name, hint in hints.items()},
        "required": sorted(kind.__required_keys__),
    }
    if strict:
        made["additionalProperties"] = False
    return made


def _either(choices: list[dict[str, Any]]) -> dict[str, Any]:
    if all(set(each) == {"type"} for each in choices):
        return {"type": [each["type"] for each in choices]}
    return {"anyOf": choices}
