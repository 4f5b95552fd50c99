"""docs/troubleshooting.md, glossary.md and sizing.md agree with the code."""

import ast
import re

import pytest

from flowtools.pool.settings import Settings
from flowtools.source.settings import Taking
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
SAID = re.findall(r"^### `(.*)`$", PAGE.read_text(), re.MULTILINE)
PLACEHOLDER = re.compile(r"%[-\d.]*[a-zA-Z]")


class Texts(ast.NodeVisitor):
    """All string literals of a module, with an ellipsis for each interpolated value."""

    def __init__(self):
        self.found = []

    def visit_JoinedStr(self, node):
        parts = [each.value if isinstance(each, ast.Constant) else "…" for each in node.values]
        self.found.append("".join(parts))

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.found.append(PLACEHOLDER.sub("…", node.value))


@pytest.fixture(scope="module")
def texts():
    visitor = Texts()
    for path in (ROOT / "flowtools").rglob("*.py"):
        visitor.visit(ast.parse(path.read_text()))
    return visitor.found


def test_the_page_has_at_least_twenty_messages():
    assert len(SAID) >= 20


@pytest.mark.parametrize("said", SAID)
def test_each_message_occurs_in_the_code(said, texts):
    pieces = [piece for piece in said.split("…") if piece.strip()]
    pattern = re.compile(".*".join(map(re.escape, pieces)), re.DOTALL)
    assert any(pattern.search(text) for text in texts)


def test_each_message_has_advice():
    sections = re.split(r"^##+ ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert [each[:50] for each in sections if each.startswith("`") and "*Do:*" not in each] == []


def test_the_glossary_is_in_alphabetical_order():
    page = (ROOT / "docs" / "glossary.md").read_text()
    for table in page.split("## ")[1:]:
        words = re.findall(r"^\| (?!word |---)([^|]+) \|", table, re.MULTILINE)
        assert len(words) > 15
        assert words == sorted(words, key=str.lower)


def test_the_stated_defaults_match_the_code():
    page = (ROOT / "docs" / "sizing.md").read_text()
    rows = dict(re.findall(r"^\| `(-[-\w]+)` \| .* \| (\d+) \|$", page, re.MULTILINE))
    pool = Settings()
    assert {name: int(text) for name, text in rows.items()} == {
        "-j": pool.threads,
        "--timeout": pool.timeout,
        "--prefetch": Taking.prefetch,
        "--retries": pool.retry.retries,
    }
