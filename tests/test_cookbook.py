"""docs/cookbook.md: each recipe, typed in an empty folder, prints the output on the page."""

import os
import re
import shutil
import tempfile
from contextlib import nullcontext
from itertools import groupby

import pytest

from tests.conftest import ROOT
from tests.documents import Step, differences, session, steps
from tests.kafka import kafka
from tests.ports import reserved_port

PAGE = ROOT / "docs" / "cookbook.md"
STAND_IN, PREPARE, *REST = steps(PAGE)
RECIPES = {name: list(found) for name, found in groupby(REST, key=lambda step: step.heading)}
FROM_ABOVE = {name: text for step in REST for name, text in step.files.items()}
"""Files that earlier recipes tell the reader to save."""


@pytest.fixture
def port():
    """The port of the stand-in's broker, in place of the one on the page."""
    with reserved_port() as port:
        yield str(port)


def test_the_cookbook_has_twenty_recipes():
    assert len(RECIPES) == 20


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_prints_what_the_page_shows(name, port, tmp_path):
    todo = RECIPES[name]
    if "kcat" in todo[0].text and not shutil.which("kcat"):
        pytest.skip("needs kcat")
    for file, text in FROM_ABOVE.items():
        (tmp_path / file).write_text(text)
    prepare = PREPARE.text.replace("61613", port)
    within = re.sub("61613", port, STAND_IN.text.strip())
    clips = kafka("arrivals", *({"clip": n} for n in range(3))) if "kcat" in todo[0].text else None
    with tempfile.TemporaryDirectory(prefix="cb") as runtime, clips or nullcontext("") as address:
        env = {"XDG_RUNTIME_DIR": runtime, "KAFKA": address, "PYTHONPATH": str(ROOT)}
        env["TZ"] = os.environ.get("TZ", "UTC")
        first = Step("", prepare, "", {})
        printed = session([first, *todo], tmp_path, within=within, **env)[1:]
    wrong = {
        str(step): found
        for step, said in zip(todo, printed, strict=True)
        if (found := differences(step.shown, said)) != ([], [])
    }
    assert wrong == {}
