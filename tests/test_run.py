"""flow-run: a Worker's own SOURCE and the pool in one real process."""

import json
import signal
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from coilmq.util.frames import Frame

from flowtools.event import Event
from tests.running import SECONDS, finish, until
from tests.stomp_servers import Lines
from tests.vizone_servers import stand_in

pytest_plugins = ["tests.stomp_fixtures", "tests.run_fixtures"]


def on(server, destination="/queue/a"):
    return ["--set", f"Source.stomp url={server.url(destination)}"]


def put(coil, *bodies):
    for body in bodies:
        frame = Frame("SEND", {"destination": "/queue/a"}, body.encode())
        coil.server.queue_manager.send(frame)


NOWHERE = ["--set", "Source.url=stomp://127.0.0.1:1/?destination=a"]


# From the broker to the Worker and back


def test_done_events_are_acknowledged_and_failed_ones_moved_to_dead_letters(
    coil, go, notes, tmp_path
):
    put(coil, *"abc", "bad", *"de", "ackto")
    status, events, err = finish(go("Job", "--count", 7, *on(coil)))
    assert status == 1
    assert [event["data"] for event in events] == ["a", "b", "c", "d", "e", "ackto"]
    assert "1 of 7 events failed\n" in err
    assert coil.store.size("/queue/a") == 0
    assert coil.store.size("/queue/a.failed") == 1
    assert notes()[-2].startswith("self:#")
    assert notes()[-1] == "clean_up"
    # No acknowledgement socket was created: its directory is empty.
    assert {path.name for path in tmp_path.iterdir()} <= {"notes", "flowtools"}


def test_with_a_failed_file_a_failure_is_kept_and_acknowledged(coil, go, tmp_path):
    put(coil, "bad")
    status, _, _ = finish(go("Job", "--count", 1, "--failed", "failed", *on(coil)))
    assert (status, coil.store.size("/queue/a.failed")) == (1, 0)
    assert json.loads((tmp_path / "failed").read_text())["data"]["body"] == "bad"


def test_events_of_a_killed_process_are_redelivered(coil, go, notes, tmp_path):
    put(coil, "a", "wait", "b")
    process = go("Job", *on(coil))
    until(lambda: "wait" in notes())
    process.kill()
    process.wait()
    until(lambda: coil.store.size("/queue/a") == 2)
    (tmp_path / "go").touch()
    assert finish(go("Job", "--count", 2, *on(coil)))[0] == 0
    assert notes()[:2] == ["a", "wait"]
    assert sorted(notes()[2:]) == ["b", "clean_up", "wait", "wait over"]


def test_a_signal_finishes_the_running_event_and_leaves_the_rest_with_the_broker(
    coil, go, notes, tmp_path
):
    put(coil, "wait 1", "b", "c")
    process = go("Job", *on(coil))
    until(lambda: notes() == ["wait 1"])
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert notes() == ["wait 1", "wait 1 over", "clean_up"]
    until(lambda: coil.store.size("/queue/a") == 2)


def test_a_listener_created_by_the_class_loses_nothing(coil, go, notes):
    put(coil, "bad", "wait 1", "b", "c")
    process = go("MadeJob", env={"BROKER": coil.url("/queue/a")})
    until(lambda: notes() == ["bad", "wait 1"])
    process.kill()
    process.wait()
    until(lambda: coil.store.size("/queue/a") == 3)
    assert coil.store.size("/queue/a.failed") == 1


def test_an_event_that_outlasts_the_drain_is_cancelled_and_redelivered(coil, go, notes):
    put(coil, "wait 1")
    process = go("Job", "--drain", "0.1", *on(coil))
    until(lambda: notes() == ["wait 1"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    until(lambda: coil.store.size("/queue/a") == 1)
    assert coil.store.size("/queue/a.failed") == 0


def test_with_pass_the_next_command_acknowledges(coil, shell, variables):
    put(coil, "a", "b")
    url = coil.url()
    line = f"flow-run --pass --count 2 tests.runners:Quiet --set 'Source.url={url}' | flow-ack"
    status, out, err = shell(line, **variables)
    assert (status, out, err) == (0, b"", "")
    assert coil.store.size("/queue/a") == 0


def test_flow_run_reconnects_to_a_returning_broker(script, go, notes):
    process = go("Job", "--count", 2, *on(script))
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"a")
    until(lambda: notes() == ["a"])
    assert peer.read("ACK").headers["id"] == "a1"
    peer.close()
    peer = script.accept()
    peer.subscribed()
    peer.message(2, b"b")
    assert peer.read("ACK").headers["id"] == "a2"
    peer.goodbye()
    assert finish(process)[0] == 0


def test_a_closed_reader_of_results_ends_the_command(coil, go):
    put(coil, "a")
    process = go("Job", *on(coil))
    process.stdout.close()
    assert process.wait(SECONDS) == -signal.SIGPIPE
    until(lambda: coil.store.size("/queue/a") == 1)


# The other sources


def test_workers_run_on_ticks_and_on_lines(go, notes):
    assert finish(go("Tick", "--count", 2, "--set", "Source.interval=0.01"))[0] == 0
    assert finish(go("ThreeTicks"))[0] == 0
    assert notes() == ["1", "2", "1", "2", "3"]
    status, events, _ = finish(go("Line", stdin=PIPE), b"a\nb\n")
    assert (status, [event["data"] for event in events]) == (0, ["a", "b"])
    status, events, _ = finish(go("Line", "--set", "Source.form=document", stdin=PIPE), b"a\nb\n")
    assert (status, [event["data"] for event in events]) == (0, ["a\nb\n"])


@pytest.mark.parametrize("name", ["EndlessTicks", "MadeFolder"])
def test_count_ends_a_source_created_by_the_class(go, notes, tmp_path, name):
    (tmp_path / "in").mkdir()
    for each in "abc":
        (tmp_path / "in" / each).write_text("x")
    assert finish(go(name, "--count", 2))[0] == 0
    assert len(notes()) == 2


def test_count_ends_a_listener_created_by_the_class(coil, go, notes):
    put(coil, "a", "b", "c")
    assert finish(go("MadeJob", "--count", 2, env={"BROKER": coil.url("/queue/a")}))[0] == 0
    assert notes() == ["a", "b", "clean_up"]
    with stand_in(assets=3, rate=200) as server:
        assert finish(go("MadeAsset", "--count", 1, env=server.environment()))[0] == 0
    assert len(notes()) == 4


@pytest.mark.parametrize(
    ("name", "form", "given"),
    [
        ("Line", "lines", b"a\nb\nc\n"),
        ("Line", "null", b"a\0b\0c\0"),
        ("Line", "json", b'\n"a"\n\n"b"\n"c"\n'),
        ("MadeLine", "", b"a\0b\0c\0"),
    ],
)
def test_count_ends_standard_input(go, name, form, given):
    settings = ["--set", f"Source.form={form}"] if form else []
    status, events, _ = finish(go(name, "--count", 2, *settings, stdin=PIPE), given)
    assert (status, [event["data"] for event in events]) == (0, ["a", "b"])


def test_count_does_not_wait_for_the_end_of_standard_input(go):
    process = go("Line", "--count", 1, stdin=PIPE)
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert process.wait(SECONDS) == 0
    assert b'"data":"a"' in process.stdout.read()


def test_invalid_lines_do_not_count(go):
    given = b"[\n1\n2\n"
    status, events, err = finish(
        go("Line", "--count", 1, "--set", "Source.form=json", stdin=PIPE), given
    )
    assert (status, [event["data"] for event in events]) == (1, [1])
    assert "1 of 2 lines were refused" in err


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("Line", "--state", "x"),
        ("Line", "--since", "1h"),
        ("Line", "--prefetch", "5"),
        ("Tick", "--include", "created"),
        ("ThreeTicks", "--exclude", "created"),
        ("Folder", "--broker", "a:1"),
        ("OnRaises", "--dead-letter", "/queue/x"),
        ("Tick", "--header", "a=b"),
        ("Job", "--state", "x"),
    ],
)
def test_an_option_that_does_not_apply_to_the_source_is_refused(go, name, option, value):
    where = {"Folder": ["--set", "Source.directory=."], "Job": NOWHERE}.get(name, [])
    status, events, err = finish(go(name, option, value, *where))
    assert (status, events) == (2, [])
    assert f"{option} does not apply to the SOURCE" in err
    assert err.count("\n") == 1


def test_a_worker_runs_on_the_files_of_a_folder(go, notes, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.mxf", "b.txt"):
        (tmp_path / "in" / name).write_text("x")
    options = ("directory=in", "existing=yes", "match=*.mxf *.mov", "settle=0")
    settings = [part for each in options for part in ("--set", f"Source.{each}")]
    assert finish(go("Folder", "--count", 1, *settings))[0] == 0
    assert notes() == ["a.mxf"]


def test_events_read_from_a_pipe_are_acknowledged_to_their_source(coil, shell, variables):
    put(coil, "a", "b")
    line = (
        f"flow-listen-stomp --ack worker --count 2 '{coil.url()}' |"
        " flow-run tests.runners:Line --set Source.form=json > /dev/null"
    )
    assert shell(line, **variables)[0] == 0
    assert coil.store.size("/queue/a") == 0


@pytest.mark.parametrize("ackto", ["self:#a.b", "self:#a.1"])
def test_an_ackto_in_the_input_that_looks_like_ours_is_a_warning(go, ackto):
    bad = Event("t", 1, source="s", id="1", ackto=ackto).encode()
    other = Event("t", 2, source="s", id="2").encode()
    process = go("Line", "--set", "Source.form=json", stdin=PIPE)
    status, events, err = finish(process, bad + other)
    assert (status, [each["data"] for each in events]) == (0, [1, 2])
    assert f"cannot acknowledge '{ackto}': this source has not written it" in err


def test_a_worker_runs_on_assets_and_files_of_viz_one(go, notes):
    with stand_in(assets=3, files=1, rate=200) as server:
        env = server.environment()
        assert finish(go("Asset", "--count", 1, "-n", "mine", env=env))[0] == 0
        assert notes()[0].startswith("admin flow_mine ")
        location = ["--set", "Source.location=xmlimport", "--set", "Source.skip empty files=yes"]
        assert finish(go("File", "--count", 1, *location, env=env))[0] == 0
        assert notes()[1].endswith(".mxf") or "." in notes()[1]


def test_a_source_gets_the_options_of_its_section(go, notes):
    settings = ["--set", "Source.first=x", "--set", "Source.second one=y"]
    assert finish(go("WithOptions", *settings))[0] == 0
    assert notes() == ["x", "y"]
    status, _, err = finish(go("WithOptions", *settings, "--set", "Source.third=z"))
    assert status == 78
    assert "cannot configure Source 'SOURCE': TypeError" in err


def test_events_of_a_source_without_a_broker_are_finished_before_the_end(go, notes):
    process = go("Slow", "--grace", "0.1")
    until(lambda: "given" in notes())
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert [n for n in notes() if n != "given"] == [f"done {n}" for n in range(20)]


def test_events_of_a_source_without_a_broker_get_no_longer_than_the_drain(go, notes):
    process = go("Hangs", "--grace", "0.1", "--drain", "0.3", "--timeout", "0")
    until(lambda: "hangs 0" in notes())
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == -signal.SIGTERM
    assert "read but not processed" in err


# A Source that behaves badly


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("OnRaises", ["1"], "the Source 'Raises' failed: ValueError: broken ("),
        ("OnGarbage", ["1", "2"], "3 of 5 values were not events"),
    ],
)
def test_events_given_before_the_source_failed_are_processed(go, notes, name, values, message):
    status, _, err = finish(go(name))
    assert (status, notes()) == (1, values)
    assert message in err


def test_a_flood_of_events_is_held_back_and_ends_with_a_signal(go, notes):
    process = go("OnFlood", "-j", 2)
    until(lambda: notes() and int(notes()[-1]) > 500)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_flood_of_events_before_a_stuck_worker_takes_no_memory(go, notes):
    process = go("Stuck", "-j", 2, "--timeout", 0)
    until(lambda: notes().count("stuck") == 2)
    # Once the process uses no CPU time, the internal pipe is full and the source waits.
    before = None
    while before != (before := cpu_ticks(process.pid)):
        time.sleep(0.5)
    resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096
    assert resident < 100_000_000
    assert max((int(n) for n in notes() if n != "stuck"), default=0) < 500


def cpu_ticks(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]


def test_too_many_stuck_threads_end_the_command_and_its_source(go, notes):
    process = go("Stuck", "-j", 2, "--timeout", 0.05, "--grace", 0.05, "--max-abandoned", 3)
    status, _, err = finish(process)
    assert status == 70
    assert "3 threads are stuck in the Worker (--max-abandoned 3); ending" in err


def test_a_second_signal_ends_the_command_immediately(go, notes):
    process = go("Stuck", "--timeout", 0, "--drain", 1000)
    until(lambda: "stuck" in notes())
    process.terminate()

    def has_ended():
        process.terminate()
        return process.poll() is not None

    until(has_ended)
    assert process.returncode == -signal.SIGTERM


def test_a_source_that_ignores_the_stop_does_not_outlive_a_signal(go, notes):
    process = go("OnSilent", "--grace", "0.2")
    until(lambda: set(notes()) == {"silent", "1"})
    process.terminate()
    status, _, err = finish(process)
    assert status == -signal.SIGTERM
    assert "the Source 'Silent' has not ended and is abandoned" in err


def test_done_of_the_source_gets_the_outcome_of_each_event(go, notes):
    status, _, _ = finish(go("OnMany", "-j", 4, "-q"))
    assert status == 1
    found = [each.split() for each in notes()]
    assert len(found) == 1000
    assert all((ok == "True") == (int(n.split(".")[1]) % 2 == 0) for n, ok in found)


# How it ends


@pytest.mark.parametrize(
    ("name", "args", "status", "message"),
    [
        ("NoSource", [], 78, "cannot run Worker 'tests.runners:NoSource': its class has no SOURCE"),
        ("Lettered", [], 78, "'str' is not a Source: see flow-source(1)"),
        ("Numbered", [], 78, "'int' is not a Source: see flow-source(1)"),
        ("Needy", [], 78, "NEEDS has the unknown name 'stor'; known are client, store"),
        ("Job", [], 78, "[Source] 'stomp url' is missing: GenericStompListener needs it"),
        ("Job", ["--set", "Source.url=http://x"], 78, "[Source]: "),
        (
            "Tick",
            ["--set", "Source.interval=soon"],
            78,
            "[Source] interval: 'soon' is not a number",
        ),
        ("Tick", ["--set", "Source.window start=25"], 78, "[Source]: '25:00-' is not a window"),
        ("Asset", [], 78, "VIZONE_URL and VIZONE_USER and VIZONE_PASSWORD not set"),
        ("Asset", [], 78, "or give --url, --user and --password-file"),
        ("File", ["--set", "Source.skip empty files=perhaps"], 78, "is neither yes nor no"),
        ("Nowhere", [], 78, "cannot load Worker 'tests.runners:Nowhere': there is no class"),
        ("nowhere.ini", [], 78, "cannot read profile 'nowhere.ini': No such file or directory"),
        ("Job", ["--resume"], 2, "--resume needs --joblog FILE"),
        ("Job", ["--heart-beat", "x", *NOWHERE], 2, "invalid heart-beat 'x'"),
    ],
)
def test_each_mistake_is_a_one_line_error_with_its_exit_status(go, name, args, status, message):
    ended, events, err = finish(go(name, *args))
    assert (ended, events) == (status, [])
    assert message in err
    assert err.count("\n") == 1


def test_an_unreachable_broker_is_status_69_and_a_refusing_one_77(go, script):
    assert finish(go("Job", *NOWHERE, "--retry-for", "0.1"))[0] == 69
    process = go("Job", *on(script))
    peer = script.accept()
    peer.read("CONNECT")
    peer.write("ERROR", {"message": "Bad CONNECT"}, b"Access refused for user")
    peer.close()
    status, _, err = finish(process)
    assert status in (69, 77), err


def test_a_user_without_a_monitor_link_is_status_77(go):
    with stand_in() as server:
        env = server.environment() | {"VIZONE_USER": "guest"}
        status, _, err = finish(go("Asset", env=env))
    assert (status, err.count("\n")) == (77, 1)
    assert "Asset/Admin" in err


def test_dry_run_takes_no_message(coil, go, notes):
    put(coil, "a")
    status, _, err = finish(go("Job", "--dry-run", "-j", 3, *on(coil)))
    assert status == 0
    assert "would run tests.runners:Job on the events of GenericStompListener with 3 thr" in err
    assert (notes(), coil.store.size("/queue/a")) == ([], 1)


def test_workers_run_in_processes(coil, go, notes):
    put(coil, *"abcd")
    args = ["--isolation", "process", "-j", 2, "--count", 4, *on(coil)]
    assert finish(go("Job", *args))[0] == 0
    assert sorted(notes()) == ["a", "b", "c", "clean_up", "clean_up", "d"]
    assert coil.store.size("/queue/a") == 0


def test_the_state_after_sigusr1_is_printed_as_flow_run(coil, go, notes):
    put(coil, "wait")
    process = go("Job", *on(coil))
    until(lambda: notes() == ["wait"])
    process.send_signal(signal.SIGUSR1)
    assert Lines(process.stderr).until(b"flow-run: thread")
