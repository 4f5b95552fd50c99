"""The promises of --state: an absence loses nothing, and the file never runs ahead."""

import json
import os
import random
import re
import resource
import select
import signal
import stat
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from subprocess import DEVNULL

import pytest

from flowtools.core.times import instant
from flowtools.errors import ConfigurationError
from flowtools.event import Event
from flowtools.sim.broker import Broker
from flowtools.sim.people import People
from flowtools.source.vizone.progress import Progress
from flowtools.source.vizone.replay import Replay
from flowtools.source.vizone.shown import Sight
from flowtools.source.vizone.state import StateFile
from tests.conftest import KILLS, UNCOMPILED
from tests.running import SECONDS, until

pytest_plugins = ["tests.vizone_fixtures"]

TOPIC = "/topic/vizone.assets"


def listen(start, server, *args, **options):
    before = len(subscriptions(server))
    env = server.environment() | UNCOMPILED
    process = start("flow-listen-assets", *args, env=env, **options)
    until(lambda: process.poll() is not None or len(subscriptions(server)) > before)
    return process


def subscriptions(server):
    return [each for each in server._broker._delivery._subscriptions if each.destination == TOPIC]


def end(server, process):
    """Kill the listener, and wait until the broker has noticed."""
    process.kill()
    process.wait()
    until(lambda: not subscriptions(server))
    return [json.loads(line) for line in process.stdout.read().splitlines()]


def kept(tmp_path):
    return json.loads((tmp_path / "s").read_bytes())


def next_event(process):
    return json.loads(process.stdout.readline())


def test_changes_during_an_absence_are_replayed_oldest_first(server, start):
    server.catalogue.create("before the first run")
    process = listen(start, server, "--state", "s")
    live = server.catalogue.create("live")
    assert next_event(process)["subject"] == live.urn
    end(server, process)
    missed = [server.catalogue.create(f"missed {number}") for number in range(250)]
    updated = server.catalogue.update(live.number, title="anew")
    process = listen(start, server, "--state", "s", "--count", "251")
    out, err = process.communicate(timeout=SECONDS)
    events = [json.loads(line) for line in out.splitlines()]
    assert (process.returncode, err) == (0, b"")
    wanted = [each.urn for each in [*missed, updated]]
    # Live events may come again if the file had not been written yet.
    assert [event["subject"] for event in events][-len(wanted) :] == wanted
    assert all(event["replayed"] is True for event in events)
    assert {event["type"] for event in events} == {"flow.asset.changed"}


def test_a_replayed_change_has_the_id_of_the_live_one(server, start, tmp_path):
    process = listen(start, server, "--state", "s", "-v")
    # Before the feed has been read, the reading may find the change first.
    while b"changes found" not in process.stderr.readline():
        assert process.poll() is None
    server.catalogue.create("one")
    live = next_event(process)
    end(server, process)
    again = listen(start, server, "--since", "1h", "--count", "1")
    out, _ = again.communicate(timeout=SECONDS)
    replayed = json.loads(out)
    assert "replayed" not in live
    assert (replayed["replayed"], replayed["id"]) == (True, live["id"])


def test_finished_events_are_not_repeated(server, start, tmp_path):
    process = listen(start, server, "--state", "s")
    for number in range(5):
        server.catalogue.create(str(number))
        next_event(process)
    until(lambda: len(kept(tmp_path)["seen"]) == 5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    until(lambda: not subscriptions(server))
    process = listen(start, server, "--state", "s")
    server.catalogue.create("last")
    assert next_event(process)["data"]["title"] == "last"


def test_a_first_run_starts_from_now(server, start, tmp_path):
    server.catalogue.create("old")
    process = listen(start, server, "--state", "s")
    new = server.catalogue.create("new")
    assert next_event(process)["subject"] == new.urn
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


def test_changes_during_a_broker_outage_are_replayed(server, start):
    process = listen(start, server, "--state", "s")
    (lost,) = subscriptions(server)
    lost.connection.drop()
    until(lambda: lost not in subscriptions(server))
    missed = [server.catalogue.create(f"missed {number}").urn for number in range(20)]
    assert {next_event(process)["subject"] for _ in missed} == set(missed)
    live = server.catalogue.create("live again")
    assert next_event(process)["subject"] == live.urn


def show(server, old, new):
    """Let what the server answers say `new` instead of `old`."""
    answer = server._web.resources.answer

    def other(request):
        reply = answer(request)
        return replace(reply, body=reply.body.replace(old.encode(), new.encode()))

    server._web.resources.answer = other


def test_a_moved_broker_is_found_through_the_monitor_link(server, start):
    """A standby host of the broker has taken over; the old one is gone permanently."""
    process = listen(start, server, "--state", "s")
    old = server._broker
    other = Broker("127.0.0.1", 0, People(server.password))
    other.start()
    show(server, f":{old.port}/", f":{other.port}/")
    (lost,) = subscriptions(server)
    old._server.server_close()
    lost.connection.drop()
    missed = server.catalogue.create("missed").urn
    assert next_event(process)["subject"] == missed
    server._broker = other
    until(lambda: subscriptions(server))
    other.publish(TOPIC, {"identity": "urn:live"}, b"")
    assert next_event(process)["subject"] == "urn:live"
    process.kill()
    _, err = process.communicate()
    assert f"the broker is now at 'stomp://127.0.0.1:{other.port}/?dest" in err.decode()
    other.close()
    server._broker = old


def test_a_changed_destination_is_subscribed_to(server, start):
    process = listen(start, server, "--state", "s")
    show(server, TOPIC, "/topic/elsewhere")
    (lost,) = subscriptions(server)
    lost.connection.drop()
    assert server._broker.has_subscriber("/topic/elsewhere", 30)
    server._broker.publish("/topic/elsewhere", {"identity": "urn:live"}, b"")
    assert next_event(process)["subject"] == "urn:live"


def test_the_login_is_not_sent_if_the_monitor_link_changes_to_another_host(server, start):
    process = listen(start, server, "--state", "s")
    show(server, "stomp://127.0.0.1:", "stomp://evil.example:")
    (lost,) = subscriptions(server)
    lost.connection.drop()
    until(lambda: lost not in subscriptions(server))
    until(lambda: subscriptions(server))
    server.catalogue.create("live")
    next_event(process)
    process.kill()
    _, err = process.communicate()
    said = "cannot refresh the monitor link: cannot send the login to the broker at 'evil.example:"
    assert err.decode().count(said) == 1


def test_all_prints_every_asset_and_then_listens(server, start):
    there = [server.catalogue.create(str(number)).urn for number in range(230)]
    process = listen(start, server, "--all")
    assert [next_event(process)["subject"] for _ in there] == there
    live = server.catalogue.create("live")
    event = next_event(process)
    assert (event["subject"], event["type"]) == (live.urn, "flow.asset.created")


def test_since_and_all_exclude_each_other_and_a_malformed_time_is_refused(server, run):
    env = server.environment()
    status, _, err = run("flow-listen-assets", "--since", "2h", "--all", env=env)
    assert (status, "exclude each other" in err) == (2, True)
    status, _, err = run("flow-listen-assets", "--since", "noon", env=env)
    assert (status, "cannot start from 'noon'" in err) == (2, True)


WORKER = """
import time

class DoesOne:
    def start(self, event):
        title = event.data["title"]
        with open("begun", "a") as file:
            file.write(f"{title}\\n")
        if title != "0":
            time.sleep(600)
"""


def test_a_killed_worker_loses_nothing(server, start, tmp_path):
    """With --ack worker, events that a killed worker had begun and not done are requested again."""
    (tmp_path / "mine.py").write_text(WORKER)
    (tmp_path / "begun").touch()
    args = ("--state", "s", "--ack", "worker")
    process = listen(start, server, *args)
    worker = start("flow-work", "-j", "30", "mine:DoesOne", stdin=process.stdout)
    process.stdout.close()  # The worker is the only reader.
    urns = [server.catalogue.create(str(number)).urn for number in range(30)]
    until(lambda: len((tmp_path / "begun").read_text().splitlines()) == len(urns))
    until(lambda: kept(tmp_path)["seen"])
    worker.kill()
    process.wait(SECONDS)
    until(lambda: not subscriptions(server))
    again = listen(start, server, *args)
    assert [next_event(again)["subject"] for _ in urns[1:]] == urns[1:]


def test_the_mark_stays_before_unfinished_changes():
    progress = Progress(1000.0, {})
    first, second = progress.begin("a", 1010.0), progress.begin("b", 1020.0)
    progress.done([second])
    assert progress.mark == 1010.0
    progress.done([first])
    assert progress.mark == 1020.0
    unknown = progress.begin("c", None)
    later = progress.begin("d", 1030.0)
    progress.done([later])
    assert progress.mark == 1020.0
    progress.done([unknown])
    assert progress.mark == 1030.0


def test_the_mark_stays_while_a_replay_is_pending():
    progress = Progress(1000.0, {})
    outstanding = progress.begin("a", 1010.0)
    progress.begin("b", 1015.0)
    assert progress.expect() == 1010.0
    progress.done([outstanding, progress.begin("c", 1050.0)])
    assert (progress.mark, progress.is_known("a"), progress.is_known("c")) == (1010.0, False, True)
    progress.reach(1040.0)
    assert progress.mark == 1040.0
    progress.fulfil()
    assert progress.mark == 1050.0


def test_a_clock_ahead_does_not_move_the_mark_into_the_future():
    progress = Progress(1000.0, {})
    progress.done([progress.begin("a", time.time() + 1e6)])
    assert progress.mark <= time.time()
    assert progress.is_known("a")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\0" * 4096,
        b'{"flow-state":1}',
        b'{"flow-state":2,"changed":"2020-01-01","seen":{}}',
        b'{"flow-state":1,"of":"assets","source":"","changed":"2020-01-01","seen":{},"clock":[]}',
        b'{"flow-state":1,"of":"assets","source":"x","changed":"2020-01-01","seen":{"a":1e999}}',
    ],
)
def test_a_damaged_state_file_is_refused_and_kept(server, run, tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    status, out, err = run("flow-listen-assets", "--state", "s", env=server.environment())
    assert (status, out) == (78, b"")
    assert "cannot use state file 's': it is damaged" in err
    assert (tmp_path / "s").read_bytes() == content


def test_a_state_file_from_the_future_is_refused_and_kept(server, run, tmp_path):
    content = (
        b'{"flow-state":1,"of":"assets","source":"","changed":"2999-01-01T00:00:00Z","seen":{}}'
    )
    (tmp_path / "s").write_bytes(content)
    status, out, err = run("flow-listen-assets", "--state", "s", env=server.environment())
    assert (status, out) == (78, b"")
    assert "everything is done up to 2999-01-01T00:00:00Z, which is in the future" in err
    assert (tmp_path / "s").read_bytes() == content


def test_a_clock_that_was_ahead_causes_no_loss(tmp_path):
    file = StateFile(tmp_path / "s", "assets", "http://one")
    file.save(time.time() + 600, {})
    assert file.load()[0] <= time.time()
    file.close()


@pytest.mark.parametrize("path", ["missing/s", "/proc/s", "."])
def test_an_impossible_path_of_the_state_file_is_a_configuration_error(server, run, path):
    status, out, err = run("flow-listen-assets", "--state", path, env=server.environment())
    assert (status, out) == (78, b"")
    assert f"state file '{path}'" in err
    assert len(err.splitlines()) == 1


def fill_the_disk(process, bytes):
    """Limit the size of files that the process writes to `bytes`; -1: no limit."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (bytes, hard))


def test_a_full_disk_is_reported_once_and_the_listener_continues(server, start, tmp_path):
    process = listen(start, server, "--state", "s")
    server.catalogue.create("before")
    next_event(process)
    until(lambda: len(kept(tmp_path)["seen"]) == 1)
    before = (tmp_path / "s").read_bytes()
    fill_the_disk(process, 0)
    for number in range(3):
        server.catalogue.create(str(number))
        next_event(process)
        time.sleep(1.1)  # It retries every second.
    assert (tmp_path / "s").read_bytes() == before
    fill_the_disk(process, -1)
    until(lambda: len(kept(tmp_path)["seen"]) == 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    said = process.stderr.read().decode().splitlines()
    assert said == [
        (
            "flow-listen-assets: cannot write state file 's': File too large; going on, but events"
            " done from now on may come again after a restart"
        ),
        "flow-listen-assets: warning: state file 's' can be written again",
    ]


def test_a_replay_that_does_not_fit_on_the_disk_is_reported_and_comes_later(server, start):
    there = [server.catalogue.create(str(number)).urn for number in range(20)]
    process = start(
        "/bin/bash",
        *("-c", "ulimit -S -f 0; exec flow-listen-assets --all"),
        # Coverage would write a file, too.
        env=server.environment() | UNCOMPILED | {"COVERAGE_PROCESS_CONFIG": ""},
    )
    said = process.stderr.readline().decode()
    assert re.fullmatch(
        r"flow-listen-assets: warning: cannot read the missed changes: no temporary file: .+;"
        r" TMPDIR says where that is; trying again\n",
        said,
    )
    fill_the_disk(process, -1)
    assert [next_event(process)["subject"] for _ in there] == there


def test_a_since_before_all_time_means_the_beginning(server, start):
    there = server.catalogue.create("old")
    process = listen(start, server, "--state", "s", "--since", "999999999d")
    assert next_event(process)["subject"] == there.urn


def test_a_second_listener_on_the_same_file_is_refused(server, start, run):
    listen(start, server, "--state", "s")
    status, out, err = run("flow-listen-assets", "--state", "s", env=server.environment())
    assert (status, out) == (78, b"")
    assert "another listener has it" in err


def test_a_symbolic_link_to_a_state_file_is_followed_and_locked(server, start, run, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "s").symlink_to("there/state")
    process = listen(start, server, "--state", "s")
    env = server.environment()
    status, _, err = run("flow-listen-assets", "--state", "there/state", env=env)
    assert (status, "another listener has it" in err) == (78, True)
    server.catalogue.create("one")
    next_event(process)
    until(lambda: json.loads((tmp_path / "there" / "state").read_bytes())["seen"])
    assert (tmp_path / "s").is_symlink()
    end(server, process)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    status, _, err = run("flow-listen-assets", "--state", "a", env=env)
    assert (status, "cannot use state file 'a'" in err) == (78, True)


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z"),
        ("2017-01-01T24:00:00Z", "2017-01-02T00:00:00Z"),
        ("2017-01-01T24:00:00+01:00", "2017-01-01T23:00:00Z"),
        ("2017-01-01t12:00:00z", "2017-01-01T12:00:00Z"),
        ("2017-01-01T12:00:00+0100", "2017-01-01T11:00:00Z"),
        ("2017-01-01T12:00:00", "2017-01-01T12:00:00Z"),
        (" 2017-01-01T12:00:00.123456789Z ", "2017-01-01T12:00:00.123456Z"),
    ],
)
def test_a_time_is_read_in_every_common_form(said, plain):
    assert instant(said) == datetime.fromisoformat(plain).timestamp()


@pytest.mark.parametrize("said", [None, "", "noon", "2017-01-01T25:00:00Z", "2017-01-01T24:01:00Z"])
def test_a_malformed_time_is_none(said):
    assert instant(said) is None


def test_a_state_file_of_another_listener_is_refused(tmp_path):
    file = StateFile(tmp_path / "s", "assets", "http://one")
    file.save(5.0, {"k": 5.0}, -3600.5)
    assert file.load() == (5.0, {"k": 5.0}, -3600.5)
    file.close()
    other = StateFile(tmp_path / "s", "the files of 'x'", "http://one")
    with pytest.raises(ConfigurationError, match="it belongs to assets, not the files of 'x'"):
        other.load()
    other.close()


def test_a_pipeline_killed_at_any_moment_loses_nothing(server, start, tmp_path):
    """The whole pipeline is killed repeatedly while assets change."""
    dice = random.Random(7)
    done = tmp_path / "done"
    done.touch()
    pipe = (
        "flow-listen-assets --state s --ack worker --prefetch 8 2>>err"
        " | while IFS= read -r line; do"
        "   printf '%s\\n' \"$line\" >>done; printf '%s\\n' \"$line\" | flow-ack 2>>err; done"
    )
    made = []
    for _ in range(KILLS):
        process = _shell(start, pipe, server)
        until(lambda: subscriptions(server))
        for _ in range(12):
            made.append(server.catalogue.create(str(len(made))).urn)
            time.sleep(dice.random() / 50)
        until(lambda: done.read_bytes().count(b"\n") > dice.randrange(len(made)))
        _kill_group(process)
        until(lambda: not subscriptions(server))
        made.append(server.catalogue.create("in between").urn)
        acknowledged_before_mark(tmp_path, made, server)
    process = _shell(start, pipe, server)

    def subjects_done():
        lines = done.read_bytes().splitlines()
        return {json.loads(line)["subject"] for line in lines if line.endswith(b"}")}

    until(lambda: set(made) <= subjects_done(), seconds=120)
    _kill_group(process)


def acknowledged_before_mark(tmp_path, made, server):
    """Check that the file has as done only events that were written."""
    mark = datetime.fromisoformat(kept(tmp_path)["changed"]).timestamp()
    written = (tmp_path / "done").read_text()
    for urn in made:
        asset = server.catalogue.asset(urn.rpartition(":")[2])
        if datetime.fromisoformat(asset.updated).timestamp() < mark - 0.001:
            assert urn in written


def _shell(start, script, server):
    env = server.environment()
    return start("/bin/bash", "-c", script, env=env, start_new_session=True, stdout=DEVNULL)


def _kill_group(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Page(list):
    """A page of a feed, as a list of sightings."""

    served = None


def in_feed(*assets):
    """The entries of a feed: name and time of each asset."""
    return Page(
        Sight(Event("flow.asset.changed", {"id": name}, source="urn:s", id=f"{name}#{when}"), when)
        for name, when in assets
    )


@contextmanager
def replaying(shown, progress, **options):
    """A replay of the feed that `shown` returns, newest first, begun."""
    by_name = {}

    def look(sights):
        by_name.update((each.event.id, each.when) for each in sights)
        return sights

    replay = Replay(
        progress, lambda: [shown()], look, lambda event: by_name.get(event.id), **options
    )
    replay.start()
    yield replay
    replay.close()


def take(replay, most=10):
    assert select.select([replay], [], [], SECONDS)[0]
    return [(event.data["id"], token) for event, token in replay.take(most)]


def test_late_entries_of_the_feed_are_found_by_a_second_reading(caplog):
    """A search index lags: changes just before the subscription are not in it yet."""
    caplog.set_level("INFO", "flowtools.source.vizone.replay")
    shown = [("b", 1002.0), ("a", 1000.0)]
    progress = Progress(1000.0, {})
    with replaying(lambda: in_feed(*shown), progress, lag=0.2) as replay:
        first = take(replay)
        assert [name for name, _ in first] == ["a", "b"]
        shown.insert(1, ("late", 1001.0))
        late = until(lambda: take(replay))
        assert [name for name, _ in late] == ["late"]
        # The late change is not done, whatever else is.
        progress.done([token for _, token in first])
        assert progress.mark == 1001.0
        progress.done([token for _, token in late])
        assert progress.mark == 1002.0
    assert [message for message in caplog.messages if "been replayed" in message] == [
        "2 events have been replayed",
        "1 event has been replayed",
    ]


def test_the_second_reading_repeats_nothing_even_with_a_backlog():
    shown = [(str(number), 2000.0 - number) for number in range(200)]
    progress = Progress(0.0, {})
    reads = []

    def read():
        reads.append(None)
        return in_feed(*shown)

    with replaying(read, progress, lag=0.0) as replay:
        until(lambda: len(reads) == 2)
        taken = []
        while len(taken) < 200:
            taken += take(replay, 7)
            progress.done([token for _, token in taken])
        assert [name for name, _ in taken] == [str(number) for number in reversed(range(200))]
        assert until(lambda: progress.mark == 2000.0)


def test_an_asset_from_the_future_does_not_hide_late_entries():
    shown = [("future", time.time() + 1e9), ("a", 1000.0)]
    with replaying(lambda: in_feed(*shown), Progress(1000.0, {}), lag=0.2) as replay:
        assert [name for name, _ in take(replay)] == ["a", "future"]
        shown.append(("late", time.time() - 1))
        assert [name for name, _ in until(lambda: take(replay))] == ["late"]
