"""How commands end: exit status, a one-line message, and no control characters."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest

from flowtools import errors
from flowtools.commands import interval
from flowtools.errors import FlowError, Status
from flowtools.process.message import one_line
from tests.conftest import environment
from tests.running import SECONDS

HEAD = """#!/usr/bin/env python3
import os, signal, socket, sys
import click
from flowtools import errors
from flowtools.cli.binding import Parsed
from flowtools.cli.command import Command, run_source
from flowtools.event import Event

@click.command("flow-x", cls=Command)
@click.option("--number", type=Parsed(int), help="A number.")
def main(number):
    "Do nothing of use."
"""


@pytest.fixture
def end(start, tmp_path):
    """Run a command with this body: (status, stdout, stderr); a negative status means a signal."""

    def run(body, *args, **options):
        script = tmp_path / "flow-x"
        script.write_text(HEAD + textwrap.indent(textwrap.dedent(body), "    ") + "\nmain()\n")
        script.chmod(0o755)
        process = start(script, *args, **{"stdin": DEVNULL} | options)
        out, err = (text and text.decode() for text in process.communicate(timeout=SECONDS))
        return process.returncode, out or "", err or ""

    return run


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("FlowError", 1),
        ("EventsFailed", 1),
        ("UnreachableError", 69),
        ("InternalError", 70),
        ("ProtocolError", 76),
        ("RefusedError", 77),
        ("ConfigurationError", 78),
    ],
)
def test_each_error_has_its_status_and_one_line(end, name, status):
    body = f"raise errors.{name}(\"cannot do 'x': it is so\")"
    assert end(body) == (status, "", "flow-x: cannot do 'x': it is so\n")


def test_the_table_of_statuses_has_every_error_class():
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    ours = {each.__name__ for each in classes if issubclass(each, FlowError)}
    tried = {"FlowError", "EventsFailed", "UnreachableError", "InternalError", "ProtocolError"}
    tried |= {"RefusedError", "ConfigurationError", "UsageError"}
    assert ours == tried


@pytest.mark.parametrize(
    ("body", "status"),
    [("pass", 0), ("return 3", 3), ("return errors.Status.REFUSED", 77), ("sys.exit(5)", 5)],
)
def test_without_an_error_the_status_is_what_the_command_returns(end, body, status):
    assert end(body) == (status, "", "")


@pytest.mark.parametrize(
    ("body", "args", "line"),
    [
        ("pass", ["--colour"], "no such option '--colour'"),
        ("pass", ["more"], "got unexpected extra argument 'more'"),
        (
            "pass",
            ["--number", "a\nb"],
            "'--number': invalid literal for int() with base 10: 'a\\nb'",
        ),
        ("raise errors.UsageError('so it cannot be meant')", [], "so it cannot be meant"),
        ("raise click.UsageError('No, not so.')", [], "no, not so"),
    ],
)
def test_a_usage_error_is_status_2_and_one_line_that_points_to_help(end, body, args, line):
    status, out, err = end(body, *args)
    assert (status, out) == (2, "")
    # In click's own messages its versions differ in quotes and brackets.
    assert plain(err) == plain(f"flow-x: {line}; try 'flow-x --help'\n")


def plain(text):
    return "".join(c for c in text.lower() if c not in "'\"()[]:")


BUG = "raise ZeroDivisionError('by nothing')"


def test_a_bug_is_status_70_and_one_line(end):
    line = "flow-x: internal error: ZeroDivisionError: by nothing; --verbose shows where\n"
    assert end(BUG) == (70, "", line)


def test_a_free_threaded_python_is_refused(monkeypatch, capfd):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(SystemExit) as ended:
        interval.main(["1", "--count", "1"])
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (78, "")
    assert "free-threaded Python" in err
    assert "PYTHON_GIL=1" in err


@pytest.mark.parametrize("body", [BUG, "raise errors.RefusedError('no')"])
def test_only_verbose_shows_a_traceback(end, body):
    assert "Traceback" not in end(body)[2]
    assert "Traceback" not in end(body, "-q")[2]
    first, second, *rest = end(body, "-v")[2].splitlines()
    assert first.startswith("flow-x: ")
    assert second == "    Traceback (most recent call last):"
    assert rest


@pytest.mark.parametrize(
    "body",
    [
        "a, b = socket.socketpair(); b.close(); a.sendall(b'x')",
        "raise ConnectionResetError(104, 'Connection reset by peer')",
    ],
)
def test_a_lost_connection_is_not_mistaken_for_a_closed_reader(end, body):
    status, out, err = end(body)
    assert (status, out) == (69, "")
    assert err.startswith("flow-x: lost a connection: ")
    assert err.count("\n") == 1


def test_a_missing_package_is_named_with_advice(end):
    status, out, err = end("import no_such_package")
    assert (status, out) == (78, "")
    python = shutil.which("python3", path=environment()["PATH"])
    assert err == (
        f"flow-x: there is no package 'no_such_package' for {python}; install flowtools"
        " together with what it needs, such as by 'pip install .' or 'make install'\n"
    )


SOURCE = """
class Ticks:
    def run(self, outlet, stop):
        while not stop.wait(0):
            outlet.emit(Event("t", source="s"))
            outlet.flush()
run_source(Ticks())
"""


def test_a_closed_reader_ends_the_command_quietly_by_sigpipe(end, tmp_path):
    with (tmp_path / "none").open("wb"):
        head = subprocess.Popen(["head", "-n", "1"], stdin=PIPE, stdout=subprocess.DEVNULL)
    status, _, err = end(SOURCE, stdout=head.stdin)
    head.stdin.close()
    assert head.wait(SECONDS) == 0
    assert (status, err) == (-signal.SIGPIPE, "")


def test_output_buffered_for_a_closed_pipe_causes_no_complaint_at_exit(end):
    head = subprocess.Popen(["true"], stdin=PIPE)
    head.wait(SECONDS)
    body = "sys.stdout.write('buffered'); raise errors.ReaderGone"
    assert end(body, stdout=head.stdin)[::2] == (-signal.SIGPIPE, "")
    head.stdin.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_then_ends_the_process(end, signum):
    body = f"""
    class Draining:
        def run(self, outlet, stop):
            os.kill(os.getpid(), {signum:d})
            stop.wait(60)
            outlet.emit(Event("t", "drained", source="s"))
            outlet.flush()
    run_source(Draining())
    """
    status, out, err = end(body)
    assert (status, json.loads(out)["data"], err) == (-signum, "drained", "")


def test_an_error_while_draining_is_reported_before_the_signal_ends_the_process(end):
    body = """
    class Failing:
        def run(self, outlet, stop):
            os.kill(os.getpid(), signal.SIGTERM)
            raise errors.UnreachableError("cannot reach 'mq'")
    run_source(Failing())
    """
    assert end(body) == (-signal.SIGTERM, "", "flow-x: cannot reach 'mq'\n")


def test_ctrl_c_outside_a_source_ends_quietly_by_sigint(end):
    assert end("raise KeyboardInterrupt") == (-signal.SIGINT, "", "")


def test_a_command_does_not_wait_for_leftover_threads(end):
    body = """
    import threading, time
    threading.Thread(target=time.sleep, args=(300,)).start()
    click.get_current_context().command.leave_threads()
    return 1
    """
    assert end(body) == (1, "", "")


LOG = """
import logging
log = logging.getLogger("flowtools.x")
log.debug("detail"); log.info("happens"); log.warning("odd"); log.error("bad")
"""


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (["-q"], ["bad"]),
        ([], ["warning: odd", "bad"]),
        (["-v"], ["happens", "warning: odd", "bad"]),
        (["-vv"], ["debug: detail", "happens", "warning: odd", "bad"]),
        (["--quiet", "--verbose"], ["bad"]),
    ],
)
def test_quiet_and_verbose_choose_the_messages(end, args, lines):
    status, out, err = end(LOG, *args)
    # With -vv the first line names the version: tests/test_details.py.
    said = [line for line in err.splitlines() if ": debug: version " not in line]
    assert (status, out, said) == (0, "", [f"flow-x: {line}" for line in lines])


def test_messages_can_be_json(end):
    _, _, err = end(LOG, "--log-format", "json")
    said = [json.loads(line) for line in err.splitlines()]
    assert [set(each) for each in said] == [{"time", "level", "command", "message"}] * 2
    assert [(e["level"], e["command"], e["message"]) for e in said] == [
        ("warning", "flow-x", "odd"),
        ("error", "flow-x", "bad"),
    ]


def test_an_error_in_json_has_its_traceback_only_when_verbose(end):
    (plain_line,) = end(BUG, "--log-format", "json")[2].splitlines()
    (verbose_line,) = end(BUG, "--log-format", "json", "-v")[2].splitlines()
    assert "traceback" not in json.loads(plain_line)
    assert "ZeroDivisionError" in json.loads(verbose_line)["traceback"]


MISTAKES = """
flow-ack --nope
flow-doctor http://mq/
flow-doctor stomp://127.0.0.1:1/?destination=a
flow-doctor --url http://127.0.0.1:1 --user a --password-file pw
flow-failed none
flow-joblog none
flow-failed --drop pw
flow-interval soon
flow-interval 0
flow-interval --cron x
flow-interval 5 --window 25:00-26:00
flow-interval 5 --tz Mars
flow-listen-assets
flow-listen-assets --url http://127.0.0.1:1 --user a --password-file none
flow-listen-assets --url http://127.0.0.1:1 --user a --password-file pw
flow-listen-assets --url http://127.0.0.1:1 --user a --password-file pw --since never
flow-listen-files
flow-listen-files x --settle soon
flow-listen-stomp mq
flow-listen-stomp --retry-for 0 stomp://127.0.0.1:1/?destination=a
flow-listen-stomp --retry-for 0 stomp://name.invalid/?destination=a
flow-listen-stomp --ca-file none stomp+ssl://127.0.0.1/?destination=a
flow-listen-stomp --ca-file pw stomp+ssl://127.0.0.1/?destination=a
flow-run mymod:Any
flow-run none.ini
flow-run pw
flow-send stomp://127.0.0.1:1
flow-send --retry-for 0 stomp://127.0.0.1:1/?destination=a
flow-sim --http x
flow-sim --faults x=1
flow-sim -- ./none
flow-source none:X
flow-source broken:X
flow-stdin --json --document
flow-view --fields ,
flow-watch none
flow-watch pw
flow-work mymod
flow-work mymod:None
flow-work mymod:Unfit
flow-work mymod:Any --config none
flow-work mymod:Any --config pw
flow-work mymod:Any --set x
flow-work mymod:Any --key /a~3
flow-work mymod:Any --rate fast
flow-work mymod:Any --halt x
flow-work mymod:Any --joblog none/log
flow-work mymod:Any --failed none/log
flow-work mymod:Any --metrics x
flow-work mymod:Any --threads two
"""


@pytest.mark.parametrize("line", MISTAKES.split("\n")[1:-1])
def test_every_mistake_is_one_uncoloured_line_as_text_and_as_json(run, tmp_path, line):
    (tmp_path / "pw").write_text("not so\n")
    (tmp_path / "broken.py").write_text("def (\n")
    (tmp_path / "mymod.py").write_text(
        "class Any:\n    start = print\n\nclass Unfit(Any):\n    configure = dict.popitem\n"
    )
    name, *args = line.split()
    status, out, err = run(name, *args)
    assert status in (1, 2, 69, 78)
    said = err if name != "flow-doctor" or status == 2 else f"{name}: {out.decode()}"
    assert said.startswith(f"{name}: ")
    assert "\x1b" not in said
    assert "internal error" not in said
    assert err.count("\n") == (name != "flow-doctor" or status == 2)
    again, _, err = run(name, "--log-format", "json", *args)
    assert again == status
    for each in err.splitlines():
        assert json.loads(each)["command"] == name


@pytest.mark.parametrize("args", [["--log-format", "json"], ["--log-format=json"]])
def test_a_usage_error_can_be_json(end, args):
    status, out, err = end("pass", "--number", "x", *args)
    assert (status, out) == (2, "")
    assert json.loads(err)["message"].startswith("'--number': invalid literal ")


def to_a_file(end, tmp_path, body, *args, matches=True):
    """Return stderr, written to a file that JOURNAL_STREAM names, or does not name."""
    with (tmp_path / "said").open("w+b") as file:
        found = os.fstat(file.fileno())
        stream = f"{found.st_dev}:{found.st_ino + (not matches)}"
        end(body, *args, stderr=file, env={"JOURNAL_STREAM": stream})
    return (tmp_path / "said").read_text().splitlines()


def test_messages_to_the_journal_have_priorities(end, tmp_path):
    said = to_a_file(end, tmp_path, LOG, "-vv")
    assert said[0].startswith("<7>flow-x: debug: version ")
    assert said[1:] == [
        "<7>flow-x: debug: detail",
        "<6>flow-x: happens",
        "<4>flow-x: warning: odd",
        "<3>flow-x: bad",
    ]
    trace = to_a_file(end, tmp_path, BUG, "-v")
    assert len(trace) > 3
    assert {line[:3] for line in trace} == {"<3>"}
    assert to_a_file(end, tmp_path, "pass", "--nope")[0].startswith("<3>flow-x: no such option")
    (said,) = to_a_file(end, tmp_path, BUG, "--log-format", "json")
    assert json.loads(said.removeprefix("<3>"))["level"] == "error"


def test_messages_elsewhere_have_no_priorities(end, tmp_path):
    said = to_a_file(end, tmp_path, LOG, matches=False)
    assert said == ["flow-x: warning: odd", "flow-x: bad"]


EVIL = "\x1b]0;title\x07\x9b31m\r\nroot: \u2028\x7f\x00"


@pytest.mark.parametrize("args", [[], ["--log-format", "json"]])
def test_control_characters_of_a_message_never_reach_the_terminal(end, args):
    _, _, err = end(f"raise errors.RefusedError({EVIL!r})", *args)
    assert err.count("\n") == 1
    assert not set(EVIL) - set("]0;title31mroot: ") & set(err.removesuffix("\n"))


def test_control_characters_of_an_argument_never_reach_the_terminal(end):
    _, _, err = end("pass", "--\x1b[31m\x9b")
    assert "\x1b" not in err
    assert "\x9b" not in err


def test_one_line_escapes_control_characters():
    assert one_line("a\x1b[0m\nb\u2028\u00e6") == "a\\x1b[0m\\nb\\u2028\u00e6"


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"], ["-V"]])
def test_help_and_version_go_to_stdout_with_status_0(end, args):
    status, out, err = end(BUG, *args)
    assert (status, err) == (0, "")
    assert "flow-x" in out


def test_help_into_a_pipe_that_is_closed_ends_by_sigpipe(end):
    head = subprocess.Popen(["true"], stdin=PIPE)
    head.wait(SECONDS)
    assert end("pass", "--help", stdout=head.stdin)[::2] == (-signal.SIGPIPE, "")
    head.stdin.close()


def test_help_onto_a_full_disk_is_a_one_line_error(end):
    with Path("/dev/full").open("w") as full:
        status, _, err = end("pass", "--help", stdout=full)
    message = "flow-x: cannot write standard output: No space left on device\n"
    assert (status, err) == (1, message)


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("flow-interval 1 >&-", 1, "flow-interval: cannot write standard output: Bad file desc"),
        ("flow-stdin <&-", 1, "flow-stdin: cannot read standard input: Bad file descriptor\n"),
        ("flow-interval 0 2>&-", 2, ""),
        ("flow-interval --help >&-", 1, "flow-interval: cannot write standard output: Bad file"),
    ],
)
def test_a_closed_standard_stream_is_an_error_and_its_descriptor_is_not_reused(
    shell, line, status, said
):
    got, out, err = shell(line)
    assert (got, out) == (status, b"")
    assert err.startswith(said)
    assert err.count("\n") == bool(said)


def test_exit_statuses_agree_with_the_manual():
    assert {status.name: int(status) for status in Status} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "UNREACHABLE": 69,
        "INTERNAL": 70,
        "PROTOCOL": 76,
        "REFUSED": 77,
        "CONFIGURATION": 78,
        "READER_GONE": 141,
    }


def test_an_unknown_command_of_the_package_is_refused_with_a_list():
    command = [sys.executable, "-m", "flowtools"]
    for args, said in (([], "usage: "), (["no-such"], "flowtools: there is no command 'no-such'")):
        done = subprocess.run(
            [*command, *args], capture_output=True, text=True, timeout=SECONDS, env=environment()
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(said)


def test_the_package_runs_a_command_by_its_short_name():
    command = [sys.executable, "-m", "flowtools", "interval", "--version"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env=environment()
    )
    assert done.returncode == 0
    assert done.stdout.startswith("flow-interval, version ")
