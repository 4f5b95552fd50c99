"""The pictures of the README: drawn by their scripts, and whole."""

import re
import runpy
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT

PICTURES = ROOT / "docs" / "pictures"
SHOWN = re.findall(r"!\[[^\]]+\]\((docs/pictures/[^)]+)\)", (ROOT / "README.md").read_text())


def test_the_picture_of_a_pipeline_is_what_its_script_draws():
    script = runpy.run_path(str(ROOT / "docs" / "tools" / "pipeline_picture.py"))
    assert (PICTURES / "pipeline.svg").read_text() == script["picture"]()


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_whole_and_is_shown(path):
    ElementTree.parse(path)
    assert f"docs/pictures/{path.name}" in SHOWN
