"""Completion in real shells: bash, zsh and fish, each on a terminal with the Tab key."""

import shutil

import pytest

from tests.terminals import Terminal

SHELLS = {
    "bash": (
        "exec bash --norc --noprofile -i",
        'eval "$(_FLOW_WORK_COMPLETE=bash_source flow-work)"',
    ),
    "zsh": (
        "exec zsh -f -i",
        'autoload -Uz compinit; compinit -u -D; eval "$(_FLOW_WORK_COMPLETE=zsh_source flow-work)"',
    ),
    "fish": (
        "exec fish --no-config --private -i",
        "_FLOW_WORK_COMPLETE=fish_source flow-work | source",
    ),
}
WORKERS = """
class Tag:
    def start(self, event):
        return None

class Helper:
    def stop(self):
        return None

class _Hidden:
    def start(self, event):
        return None
"""


@pytest.fixture(params=SHELLS)
def shell(request, tmp_path):
    """A shell on a terminal with completion enabled, in a folder with Workers."""
    name = request.param
    if not shutil.which(name):
        pytest.skip(f"no {name} here")
    (tmp_path / "mymod.py").write_text(WORKERS)
    (tmp_path / "broken.py").write_text("def (:")
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(WORKERS.replace("Tag", "Inside"))
    (tmp_path / "settings.ini").touch()
    start, begin = SHELLS[name]
    screen = Terminal(start, cwd=tmp_path, columns=120, HOME=str(tmp_path), PS1="$ ", PROMPT="$ ")
    screen.press(f"{begin}; echo rea''dy\n")
    screen.wait_for("ready")
    yield screen
    screen.close()


def complete(screen, typed, wanted):
    screen.press(f"\x15{typed}\t")
    screen.wait_for(lambda: wanted in screen.text)


def test_options_values_files_and_workers_are_completed(shell):
    complete(shell, "flow-work --keep-o", "flow-work --keep-order")
    complete(shell, "flow-work --isolation pro", "--isolation process")
    complete(shell, "flow-work --config sett", "--config settings.ini")
    complete(shell, "flow-work mym", "flow-work mymod:Tag")
    complete(shell, "flow-work pack.i", "flow-work pack.inner:Inside")


def test_a_class_is_completed_after_the_colon(shell):
    complete(shell, "flow-work mymod:T", "flow-work mymod:Tag")
    assert "mymod:mymod" not in shell.text


def test_the_completion_script_of_one_command_serves_all_commands(shell):
    complete(shell, "flow-listen-assets --inclu", "--include")
    complete(shell, "flow-view --color al", "--color always")


def test_completion_works_after_a_pipe(shell):
    complete(shell, "flow-stdin | flow-work mym", "| flow-work mymod:Tag")


def completed(run, command, line):
    variable = f"_{command.replace('-', '_').upper()}_COMPLETE"
    status, out, err = run(command, env={variable: "bash_complete", "COMP_WORDS": line})
    assert (status, err) == (0, "")
    return out.decode().split()


def test_completion_does_not_execute_modules(run, tmp_path):
    (tmp_path / "dangerous.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nclass A:\n    def start(self, event): ...\n"
    )
    assert completed(run, "flow-work", "flow-work dan") == ["plain,dangerous:A"]
    assert not (tmp_path / "ran").exists()


def test_flow_source_and_flow_run_complete_any_class(run, tmp_path):
    (tmp_path / "m.py").write_text("class A: ...\nclass B(A): ...\n")
    assert completed(run, "flow-source", "flow-source m") == ["plain,m:A", "plain,m:B"]
    assert completed(run, "flow-run", "flow-run m:B") == ["plain,m:B", "file,m:B"]
    assert completed(run, "flow-work", "flow-work m") == ["plain,m:B"]


def test_unreadable_files_complete_to_nothing(run, tmp_path):
    (tmp_path / "m.py").mkdir()
    (tmp_path / "n.py").write_bytes(b"\x00\xff")
    (tmp_path / "o.py").write_text("x = " + "(" * 5000)
    assert completed(run, "flow-work", "flow-work ") == []
