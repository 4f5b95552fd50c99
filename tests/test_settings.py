"""Each default is written once, at its field, and every option takes it from there."""

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import click
import pytest

from flowtools.cli.binding import FieldOption
from flowtools.core.settings import Ending, Given, default_of
from flowtools.pool.settings import Choice, Settings
from flowtools.source.custom import CustomSource
from flowtools.source.interval import Interval
from flowtools.source.local import STDIN
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.settings import Taking
from flowtools.source.stomp import GenericStompListener
from flowtools.source.vizone.listening import Listening, listening_from
from flowtools.source.watch import HotFolder
from flowtools.stomp.send import Publisher
from flowtools.stomp.settings import settings_from
from tests.conftest import environment
from tests.test_parity import SCRIPTS, command, context_of

ROOT = Path(__file__).resolve().parents[1]
NOTHING = (None, False, 0, "", ())
"""Values of an option that was not given and has no default."""

ACTS = {
    "flow-interval": (Interval,),
    "flow-listen-assets": (listening_from, Listening),
    "flow-listen-files": (listening_from, Listening, UnmanagedFilesListener),
    "flow-listen-stomp": (settings_from, GenericStompListener),
    "flow-run": (Choice, Settings, settings_from, listening_from, GenericStompListener, STDIN),
    "flow-send": (settings_from, Publisher),
    "flow-source": (CustomSource,),
    "flow-stdin": (STDIN,),
    "flow-watch": (HotFolder,),
    "flow-work": (Choice, Settings),
}
"""The classes and functions to which the options of a command are passed."""


def options_of(name):
    context = context_of(name)
    for param in command(name).get_params(context):
        if isinstance(param, click.Option):
            default = param.get_default(context)
            if isinstance(default, str):
                default = param.type.convert(default, param, context)
            yield param, (None if "UNSET" in repr(default) else default)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_default_of_every_option_comes_from_its_field(name):
    for param, default in options_of(name):
        if isinstance(param, FieldOption):
            field = default_of(param.of, param.field)
            assert default == field or (default in NOTHING and field in NOTHING), param.name
        else:
            assert default in NOTHING, f"{param.name}: write its default as that of a field"


@pytest.mark.parametrize("name", ACTS)
def test_parameters_set_by_an_option_have_the_same_default(name):
    options = {param.name: default for param, default in options_of(name)}
    seen = 0
    for kind in ACTS[name]:
        for parameter in inspect.signature(kind).parameters.values():
            if parameter.name in options and parameter.default is not parameter.empty:
                seen += 1
                wanted = options[parameter.name]
                same = parameter.default == wanted
                assert same or (parameter.default in NOTHING and wanted in NOTHING), parameter.name
    assert seen


def test_option_modules_contain_no_defaults():
    written = []
    for folder in ("cli", "commands"):
        for path in sorted((ROOT / "flowtools" / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                given = node.value if isinstance(node, ast.keyword) else None
                if isinstance(given, ast.Constant) and node.arg == "default":
                    written.append(f"{path.name}:{given.lineno}")
    assert written == []


CHANGED = """
import sys
from flowtools.pool.settings import Settings
for field in Settings.__dataclass_fields__.values():
    if field.name == "timeout":
        field.default = 2.0
Settings.timeout = 2.0
Settings.__init__.__kwdefaults__["timeout"] = 2.0
sys.argv = {argv!r}
from flowtools.commands.{module} import main
main()
"""
WORKER = """
import time
from flowtools.source.local import STDIN
class Left:
    SOURCE = STDIN
    def start(self, event):
        return round(event.deadline - time.monotonic())
"""


@pytest.mark.parametrize("module", ["work", "run"])
def test_a_changed_default_changes_everywhere(module, tmp_path, python):
    (tmp_path / "mod.py").write_text(WORKER)
    said = python(CHANGED.format(module=module, argv=["x", "--help"]), cwd=tmp_path)
    assert "--timeout SECONDS" in said
    assert "[default: 2.0; x>=0]" in " ".join(said.split())
    left = python(CHANGED.format(module=module, argv=["x", "mod:Left"]), b"1\n", cwd=tmp_path)
    assert '"data":2' in left


@pytest.fixture
def python():
    def run(code, stdin=b"", cwd=None):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            timeout=60,
            env=environment(),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    return run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "a"
    ending: Ending = dataclasses.field(default_factory=Ending)


def test_given_creates_an_object_from_the_matching_options():
    given = Given({"name": "b", "drain": 1.0, "else": 3}, typed=["drain", "else"])
    assert given.make(Outer) == Outer(name="b", ending=Ending(drain=1.0))
    assert given.untaken() == ["else"]
    assert given["else"] == 3
    assert given.untaken() == []
    assert given.is_typed("drain")
    assert not given.is_typed("name")


def test_given_does_not_override_explicit_arguments():
    given = Given({"ack": "worker", "prefetch": 7}, typed=["ack", "prefetch"])
    assert given.make(Taking, ack="pipe") == Taking(ack="pipe", prefetch=7)
    assert given.untaken() == ["ack"]


def test_a_field_without_a_default_has_none():
    with pytest.raises(LookupError, match="no field 'worker' with a default"):
        default_of(Choice, "worker")
    with pytest.raises(LookupError, match="no field 'wokrer'"):
        default_of(Choice, "wokrer")
