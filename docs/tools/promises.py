"""Write docs/promises.md, a table from promise to test, from docs/promises.toml."""

import tomllib
from pathlib import Path

DOCS = Path(__file__).parents[1]
BEGINNING = """\
# Promises and their tests

`make promises` makes this page from `docs/promises.toml`. Each row is a promise with the
tests that prove it; the file of each test is linked. [Guarantees](guarantees.md) explains the
promises and their conditions.
"""


def sections():
    """Return the sections of promises.toml.

    Each is a dict with `title`, `promise` (a list of dicts with `says` and `tests`), and perhaps
    `not_promised`.
    """
    return tomllib.loads((DOCS / "promises.toml").read_text())["section"]


def page():
    """Return the text of promises.md."""
    return "\n".join([BEGINNING, *(line for each in sections() for line in lines(each))])


def lines(section):
    """Return the lines of one section."""
    yield f"## {section['title']}\n"
    yield "| promise | tests |\n| --- | --- |"
    for promise in section["promise"]:
        tests = "; ".join(map(linked, promise["tests"])) or "-"
        yield f"| {one_line(promise['says'])} | {tests} |"
    yield ""
    if "not_promised" in section:
        yield f"Not promised: {one_line(section['not_promised'])}\n"


def linked(test):
    """Return a test's name, with a link to its file."""
    # promises.toml has "folder/x: name", for the test test_name in tests/folder/test_x.py.
    file, name = test.split(": ")
    folder, _, last = file.rpartition("/")
    path = "/".join(filter(None, ["../tests", folder, f"test_{last}.py"]))
    return f"[{file}]({path}): {name.replace('_', ' ')}"


def one_line(text):
    """Return `text` in the form of a table cell: on one line, with each | escaped."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    (DOCS / "promises.md").write_text(page())
