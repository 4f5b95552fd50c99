"""The man pages of the Viz One commands name exactly the options in --help."""

import re
from importlib import import_module
from pathlib import Path

import pytest

MAN = Path(__file__).parents[1] / "man"


@pytest.mark.parametrize("name", ["listen-assets", "listen-files", "sim"])
def test_the_page_and_the_command_have_the_same_options(name):
    page = (MAN / f"flow-{name}.1").read_text()
    options = page.partition(".Sh OPTIONS")[2].partition("\n.Sh ")[0]
    items = "\n".join(re.findall(r"^\.It (Fl .*)$", options, re.MULTILINE))
    named = {f"--{word}" for word in re.findall(r"(?:Fl |, )-([a-z-]+)", items)}
    command = import_module(f"flowtools.commands.{name.replace('-', '_')}").main
    known = {option for param in command.params for option in param.opts if option.startswith("--")}
    assert named == known | {"--help"}
