"""Makes the pages of the reference from the code, the schemas and the manual pages.

Each function returns Markdown. Paths are those of the site; see `site.py`.
"""

import ast
import json
import re
from html import escape
from pathlib import Path
from typing import Any

from manual_html import manual, section, terms

ROOT = Path(__file__).resolve().parents[2]
METRIC = re.compile(r"flowtools_[a-z_]+(?:\{\w+\})?")
PARAGRAPH = re.compile(r"<p class=\"Pp\">(?:(?!</p>).)*</p>", re.DOTALL)
ROW = re.compile(r"^\| `(flowtools[\w.]*)` \| ((?:`\w+`(?:, )?)+) \| (.*) \|$", re.MULTILINE)


def public_modules() -> dict[str, tuple[list[str], str]]:
    """Return the modules that docs/api.md lists: their public names and their purpose."""
    found = ROW.findall((ROOT / "docs" / "api.md").read_text())
    return {name: (re.findall(r"\w+", names), purpose) for name, names, purpose in found}


def python_module(name: str) -> str:
    """Return the page of a public module: mkdocstrings fills it from the docstrings."""
    names, purpose = public_modules()[name]
    members = "".join(f"        - {each}\n" for each in names)
    return (
        f"# {name}\n\n{purpose[0].upper()}{purpose[1:]}. The names on this page are public, see "
        f"[Public API](../api.md).\n\n::: {name}\n    options:\n      members:\n{members}"
    )


def event_schema(path: Path) -> str:
    """Return the page of a type of event: its attributes, its data, and the JSON Schema."""
    schema = json.loads(path.read_text())
    parts = [f"# {schema['title']}\n\n{schema['description']}\n"]
    required = schema.get("required", [])
    parts.append("\n## Attributes\n\n" + properties(schema, required))
    for name, shape in schema.get("$defs", {}).items():
        parts.append(f"\n## {name}\n\n{shape.get('description', '')}\n\n")
        parts.append(properties(shape, shape.get("required", [])))
    parts.append(f"\n## JSON Schema\n\n```json\n{path.read_text().strip()}\n```\n")
    return "".join(parts)


def properties(shape: dict[str, Any], required: list[str]) -> str:
    """Return a table of the properties of a JSON object."""
    if not shape.get("properties"):
        return "Any JSON value.\n"
    rows = ["| name | type | required | meaning |", "| --- | --- | --- | --- |"]
    for name, each in shape["properties"].items():
        is_required = "yes" if name in required else ""
        rows.append(f"| `{name}` | {kind(each)} | {is_required} | {each.get('description', '')} |")
    return "\n".join(rows) + "\n"


def kind(shape: Any) -> str:
    """Return the type of a property in words."""
    if not isinstance(shape, dict):
        return "any"
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in shape or "enum" in shape:
        return " or ".join(
            f"`{json.dumps(each)}`" for each in shape.get("enum", [shape.get("const")])
        )
    if "anyOf" in shape:
        return " or ".join(map(kind, shape["anyOf"]))
    types = shape.get("type", "any")
    words = types if isinstance(types, list) else [types]
    if "items" in shape:
        words = [f"array of {kind(shape['items'])}" if w == "array" else w for w in words]
    return " or ".join(words)


def event_schemas() -> str:
    """Return the page that lists the types of events."""
    rows = ["| type | event |", "| --- | --- |"]
    for path in sorted((ROOT / "docs" / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        rows.append(f"| [{schema['title']}]({path.name}.md) | {schema['description']} |")
    return (
        "# Event types and their schemas\n\nEach line of a pipeline is one event: a JSON object "
        "with the attributes of [CloudEvents](../man/flowtools.7.md). Its `type` says what `data` "
        "holds.\n\n" + "\n".join(rows) + "\n"
    )


def metrics() -> str:
    """Return the page of all metrics, from the manual pages."""
    head = (
        "# Metrics\n\nA command with `--metrics ADDRESS` serves these figures for Prometheus.\n"
        "They are described in the manual pages that the headings name.\n"
    )
    parts = [head]
    for page in (ROOT / "man" / "flow-work.1", ROOT / "man" / "flow-service.7"):
        text = manual(page)
        parts.append(f"\n## {page.stem}({page.suffix[1:]})\n\n")
        found = [term for term in terms(text) if METRIC.search(term.title)]
        if found:
            parts.append("| metric | meaning |\n| --- | --- |\n")
        for term in found:
            names = METRIC.sub(r"`\g<0>`", term.title)
            meaning = escape(term.text).replace("|", "&#124;")
            parts.append(f"| [{names}](man/{page.name}.md#{term.anchor}) | {meaning} |\n")
        # flow-service(7) describes its metrics in paragraphs, not in a list.
        told = [each for each in PARAGRAPH.findall(text) if not found and METRIC.search(each)]
        parts += [f"{each}\n\n".replace('href="flow', 'href="man/flow') for each in told]
    return "".join(parts)


def exit_statuses() -> str:
    """Return the page of the exit statuses, from flowtools(7)."""
    text = section(manual(ROOT / "man" / "flowtools.7"), "EXIT_STATUS")
    text = text.replace('href="flow', 'href="man/flow')
    return (
        "# Exit statuses\n\nThis is the section EXIT STATUS of [flowtools(7)](man/flowtools.7.md). "
        "The manual page of a command says what else a status means there.\n\n"
        f"{text}\n"
    )


def sources() -> str:
    """Return the page that lists the modules of flowtools with their purpose."""
    parts = ["# Source code\n\nEvery module of flowtools, by package.\n"]
    folders: dict[str, list[Path]] = {}
    for path in source_files():
        folders.setdefault(str(path.parent.relative_to(ROOT)), []).append(path)
    for folder, files in sorted(folders.items()):
        parts.append(f"\n## {folder}/\n\n| module | purpose |\n| --- | --- |\n")
        for path in files:
            said = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
            target = path.relative_to(ROOT)
            # Characters of a docstring that Markdown or HTML would take for markup are escaped.
            words = re.sub(r"[\[\]<>|*_]", lambda found: f"&#{ord(found[0])};", said)
            parts.append(f"| [{path.name}]({target}.md) | {words} |\n")
    return "".join(parts)


def source_files() -> list[Path]:
    """Return the modules of flowtools."""
    return sorted((ROOT / "flowtools").rglob("*.py"))
