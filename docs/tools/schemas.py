"""Write the JSON Schemas of all event types to docs/schemas, from flowtools/core/shapes.py."""

from pathlib import Path

import orjson

from flowtools.core.schema import schema_of
from flowtools.core.shapes import DATA

FOLDER = Path(__file__).parents[1] / "schemas"


def texts():
    """Return the text of each schema, by the name of its file."""
    return {
        f"{type}.json": orjson.dumps(schema_of(type), option=orjson.OPT_INDENT_2).decode() + "\n"
        for type in DATA
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    # The schema of a type that no longer exists must not stay behind.
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
