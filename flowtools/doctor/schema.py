"""Prints the JSON Schema of a type of event."""

import sys

import orjson

from flowtools.core.errors import UsageError
from flowtools.core.lines import LineWriter
from flowtools.core.schema import schema_of
from flowtools.core.shapes import DATA


def show(type: str) -> None:
    """Print the JSON Schema of the events of `type`.

    Raises:
        ReaderGone: The reader of standard output has closed the pipe.
        UsageError: There is no such type; the error lists the known types.
    """
    if type not in DATA:
        raise UsageError(f"no source writes events of type '{type}'; known: {', '.join(DATA)}")
    writer = LineWriter(sys.stdout.fileno())
    writer.write(orjson.dumps(schema_of(type), option=orjson.OPT_INDENT_2) + b"\n")
