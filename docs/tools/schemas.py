"""Write the JSON Schemas of all events into docs/schemas, from the types in flowtools/core."""

from pathlib import Path

import orjson

from flowtools.core.schema import schema_of
from flowtools.core.shapes import DATA

FOLDER = Path(__file__).parents[1] / "schemas"


def texts():
    """Return the text of each file by its name."""
    return {
        f"{type}.json": orjson.dumps(schema_of(type), option=orjson.OPT_INDENT_2).decode() + "\n"
        for type in DATA
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
