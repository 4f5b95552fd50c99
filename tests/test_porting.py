"""docs/porting.md names what exists and is complete."""

import re
from importlib import import_module

from flowtools import compat
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "porting.md").read_text()


def test_every_named_module_and_class_exists():
    for name in set(re.findall(r"`(flowtools(?:\.\w+)+)", TEXT)):
        module, _, last = name.rpartition(".")
        try:
            import_module(name)
        except ModuleNotFoundError:
            assert hasattr(import_module(module), last), name
    for name in set(re.findall(r"`compat\.(\w+)", TEXT)):
        assert hasattr(compat, name)


def test_the_table_has_every_name_of_compat():
    new = {"Client", "Link", "Message", "Response", "AtomCategory", "ServiceDocument"}
    assert [n for n in compat.__all__ if n not in new and not re.search(rf"\b{n}\b", TEXT)] == []


def test_the_table_has_every_module_of_the_old_packages():
    from flowtools.compat.oldmodules import MODULES

    small = {"debug", "error", "info", "log", "warn", "warning", "get_default_logger", "logging"}
    names = {name for module in MODULES.values() for name in module} - small
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", TEXT)) == []


def test_the_table_explains_every_key_of_a_profile():
    from flowtools.compat.defaults import DEFAULTS

    table = TEXT.partition("## The profile")[2].partition("## What behaves")[0]
    keys = {key for section in DEFAULTS.values() for key in section}
    keys |= {"class", "stomp url", "location", "skip empty files", "interval", "payload class"}
    assert sorted(key for key in keys if f"`{key}`" not in table) == []
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 4:
            # A star: the list below the table says more.
            assert cells[2].removesuffix("*") in ("same", "better", "different", "missing"), line


def test_the_flags_of_the_older_flow_are_options():
    from flowtools.commands.run import main

    options = {flag for param in main.params for flag in (*param.opts, *param.secondary_opts)}
    flags = {"--instance-name", "-n", "--workers", "-w", "--man", "--debug", "-g"}
    assert flags <= options
    assert all(f"`{flag}`" in TEXT for flag in flags)
