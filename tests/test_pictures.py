"""The pictures of the README are up to date and complete."""

import re
import runpy
from xml.etree import ElementTree

import pytest

from flowtools.status.show import HEADS
from tests.conftest import ROOT

PICTURES = ROOT / "docs" / "pictures"
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
SHOWN = {
    name
    for page in PAGES
    for name in re.findall(r"!\[[^\]]+\]\((?:docs/)?pictures/([^)]+)\)", page.read_text())
}


def test_the_picture_of_a_pipeline_is_up_to_date():
    script = runpy.run_path(str(ROOT / "docs" / "tools" / "pipeline_picture.py"))
    assert (PICTURES / "pipeline.svg").read_text() == script["picture"]()


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.name)
def test_every_picture_is_complete_and_shown(path):
    ElementTree.parse(path)
    assert path.name in SHOWN


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.name)
def test_no_picture_loads_anything_from_elsewhere(path):
    found = re.findall(r"https?://[^\"')\s<]+", path.read_text())
    assert set(found) <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}


def test_pictures_of_terminals_show_the_current_output():
    names = ("view", "work", "status", "failed")
    view, work, status, failed = ((PICTURES / f"{name}.svg").read_text() for name in names)
    assert shown(view) >= {"TIME", "TYPE", "SUBJECT", "TITLE", "flow.asset.created"}
    assert shown(status) >= {word for head in HEADS for word in head.split()}
    assert shown(failed) >= {"count", "first", "last", "attempts"}
    assert shown(work) >= {"done", "failed", "running", "queued", "rate", "p50", "p95"}


def shown(svg):
    return set(re.sub(r"<[^>]+>|&#160;", " ", svg).split())


@pytest.mark.parametrize("name", ["view", "work", "status", "failed"])
def test_each_word_of_a_terminal_picture_has_its_own_position(name):
    texts = ElementTree.parse(PICTURES / f"{name}.svg").iter("{http://www.w3.org/2000/svg}text")
    words = [text.text for text in texts]
    assert words
    # A viewer that collapses spaces, or uses another font, still draws the columns.
    assert [word for word in words if word.split() != [word]] == []


def test_a_picture_is_narrow_enough_for_a_phone():
    widths = {
        path.stem: float(ElementTree.parse(path).getroot().get("viewBox").split()[2])
        for path in PICTURES.glob("*.svg")
    }
    # flow-status cannot be narrower: its table would lose its headings.
    assert {name for name, width in widths.items() if width > 1000} <= {"status"}
    assert widths["pipeline"] <= 520
