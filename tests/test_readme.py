"""The README's shell blocks do what it says."""

import re

import pytest

from tests.conftest import ROOT

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_first_block_names_the_two_commands_of_a_new_machine():
    assert re.findall(r"^make \w+", BLOCKS[0], re.MULTILINE) == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in ("demo", "test", "test-brokers"))


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_a_block_runs_as_it_stands(shell, block):
    # PATH is what make gives, and this Python's folder stands for .venv/bin.
    status, out, err = shell(block, cwd=ROOT)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 2


def test_the_worker_shown_is_one(shell, tmp_path):
    (tmp_path / "mine.py").write_text(PYTHON[0])
    line = """echo '{"title":"News"}' | flow-work mine:Tag --set tag.word=seen | jq -c .data"""
    status, out, err = shell(line)
    assert (status, err) == (0, "")
    assert out == b'{"title":"News","tag":"seen"}\n'


def test_every_file_that_it_links_to_is_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
