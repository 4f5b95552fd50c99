"""docs/porting.md speaks of what is there."""

import re
from importlib import import_module

from flowtools import compat
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "porting.md").read_text()


def test_every_module_and_class_that_it_names_is_there():
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
