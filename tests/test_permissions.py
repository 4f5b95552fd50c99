"""Files that a command may not read or may only write: its message and exit status."""

import os
import subprocess

import pytest

from tests.conftest import BIN, ROOT, environment
from tests.running import SECONDS

BROKER = "stomp+ssl://127.0.0.1:1/?destination=a"
VIZ_ONE = {"VIZONE_URL": "http://127.0.0.1:1", "VIZONE_USER": "u", "VIZONE_PASSWORD": "p"}
FAILED = b'{"specversion":"1.0","id":"a","source":"s","type":"t","data":"fail"}\n'


@pytest.fixture
def unprivileged(tmp_path):
    """Run a command to which permissions apply, even as root: (status, stderr)."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]

    def run(name, *args, input=b""):
        ended = subprocess.run(
            [*(drop if os.geteuid() == 0 else ()), BIN / name, *args],
            input=input,
            capture_output=True,
            timeout=SECONDS,
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(ROOT), XDG_RUNTIME_DIR=str(tmp_path), **VIZ_ONE),
        )
        return ended.returncode, ended.stderr.decode()

    return run


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["flow-listen-stomp", BROKER, "--password-file", "it"], "cannot read password file 'it'"),
        (["flow-listen-stomp", BROKER, "--ca-file", "it"], "cannot use the CA file 'it'"),
        (
            ["flow-listen-stomp", BROKER, "--client-certificate", "it"],
            "cannot use the client certificate 'it'",
        ),
        (["flow-listen-assets", "--password-file", "it"], "cannot read password file 'it'"),
        (["flow-listen-assets", "--ca-file", "it"], "cannot read CA file 'it'"),
        (["flow-work", "tests.workers:Nop", "--config", "it"], "cannot read configuration 'it'"),
        (["flow-source", "tests.sources:Three", "--config", "it"], "cannot read configuration"),
        (["flow-sim", "--password-file", "it"], "cannot read password file 'it'"),
        (["flow-watch", "it"], "cannot watch '"),
    ],
)
def test_an_unreadable_file_is_treated_like_a_missing_one(unprivileged, tmp_path, command, message):
    status, missing = unprivileged(*command)
    assert status == 78
    assert message in missing
    path = tmp_path / "it"
    path.mkdir() if command[0] == "flow-watch" else path.write_text("x")
    path.chmod(0o000)
    status, denied = unprivileged(*command)
    path.chmod(0o700)
    assert status == 78
    assert message in denied
    assert denied.lower() == missing.lower().replace(
        "no such file or directory", "permission denied"
    )


def test_an_unreadable_state_file_is_a_configuration_error(unprivileged, tmp_path):
    (tmp_path / "it").write_text("{}")
    (tmp_path / "it").chmod(0o000)
    status, said = unprivileged("flow-listen-assets", "--state", "it")
    assert status == 78
    assert "cannot read state file 'it': Permission denied" in said


@pytest.mark.parametrize("option", ["--failed", "--joblog"])
@pytest.mark.parametrize("before", [b"", b'{"whole":1}\n', b'{"torn":'])
def test_files_that_are_only_written_need_not_be_readable(unprivileged, tmp_path, option, before):
    path = tmp_path / "it"
    path.write_bytes(before)
    path.chmod(0o200)
    status, said = unprivileged("flow-work", "tests.workers:Whatever", option, "it", input=FAILED)
    path.chmod(0o600)
    assert (status, "it" in said.split()) == (1, False)
    lines = [line for line in path.read_bytes().splitlines() if line]
    assert lines[:-1] == before.splitlines()
    assert b'"id":"a"' in lines[-1]


@pytest.mark.parametrize("option", ["--failed", "--joblog"])
def test_an_unwritable_file_ends_the_command_before_the_first_event(unprivileged, tmp_path, option):
    path = tmp_path / "it"
    path.touch()
    path.chmod(0o400)
    status, said = unprivileged("flow-work", "tests.workers:Nop", option, "it", input=FAILED)
    assert status == 78
    assert "'it': Permission denied" in said
    path.unlink()
    path.mkdir()
    status, said = unprivileged("flow-work", "tests.workers:Nop", option, "it", input=FAILED)
    assert status == 78
    assert "'it': Is a directory" in said


def test_a_write_only_named_pipe_without_a_reader_is_an_error(unprivileged, tmp_path):
    os.mkfifo(tmp_path / "it", 0o200)
    status, said = unprivileged("flow-work", "tests.workers:Nop", "--failed", "it", input=FAILED)
    assert status == 78
    assert "'it': No such device or address" in said


def test_permissions_apply_to_these_tests(tmp_path, unprivileged):
    """Otherwise the other tests would prove nothing."""
    (tmp_path / "it").write_text("x")
    (tmp_path / "it").chmod(0o000)
    assert unprivileged("flow-run", "it", "--man")[0] == 78
