"""The files shown in CONTRIBUTING.md agree with the tree."""

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
SHOWN = [
    (name, text)
    for block in re.findall(r"^```diff\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name, text in re.findall(
        r"^\+\+\+ b/(\S+)\n(.*?)(?=^\+\+\+ b/|\Z)", block, re.MULTILINE | re.DOTALL
    )
]


def pieces(text):
    """Yield the runs of consecutive lines; between them lines are left out."""
    for piece in re.split(r"^…\n", text, flags=re.MULTILINE):
        lines = piece.splitlines()
        assert [line for line in lines if line[:1] not in ("+", " ")] == []
        yield [line[1:] for line in lines]


@pytest.mark.parametrize(("name", "text"), SHOWN, ids=[name for name, _ in SHOWN])
def test_the_shown_lines_are_in_their_file_in_that_order(name, text):
    path = ROOT / name
    if path.is_symlink():
        assert text == f"new file mode 120000\n+{path.readlink()}\n"
        return
    lines = path.read_text().splitlines()
    place = 0
    for piece in filter(None, pieces(text)):
        starts = range(place, len(lines) - len(piece) + 1)
        found = next((n for n in starts if lines[n : n + len(piece)] == piece), None)
        assert found is not None, "\n".join(["not in the file, or not there:", *piece])
        place = found + len(piece)


def shown_in(heading):
    """The files whose lines a section shows."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\+\+\+ b/(\S+)$", section, re.MULTILINE))


def test_the_recipe_for_a_source_shows_all_its_files():
    assert shown_in("A source, and its command") == {
        "flowtools/source/interval.py",
        "flowtools/commands/interval.py",
        "bin/flow-interval",
        "pyproject.toml",
        "man/flow-interval.1",
        "man/flowtools.7",
        "tests/source_contract.py",
        "tests/test_interval.py",
        "tests/test_man.py",
        "tests/test_settings.py",
        "tests/test_endings.py",
        "tests/test_secrets.py",
        "README.md",
        "docs/guarantees.md",
        "docs/promises.toml",
        "CHANGELOG.md",
    }


def test_the_recipe_for_a_dialect_shows_all_its_files():
    assert shown_in("A broker's dialect") == {
        "flowtools/stomp/dialect.py",
        "tests/test_listen_stomp.py",
        "man/flow-listen-stomp.1",
    }


def test_every_file_named_in_contributing_exists():
    named = set(re.findall(r"`((?:flowtools|tests|docs|commands)/[\w/.]+\.\w+)`", PAGE))
    named = {each for each in named if not re.search(r"[/_]x\.", each)}  # x means any name.
    assert named
    assert [n for n in named if not any((r / n).exists() for r in (ROOT, ROOT / "flowtools"))] == []
