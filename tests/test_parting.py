"""Control-C, or the end of one command, while an event is in flight behind it: it still counts.

Each pipeline is real, and runs in a real shell. A signal goes to the whole process group, as that
of a terminal does.
"""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.queues import LOGIN, Queue
from tests.running import until
from tests.stomp_servers import SECONDS

WORKERS = """
import time
from pathlib import Path

from flowtools.source.stomp import GenericStompListener

class Held:
    def start(self, event):
        Path(f"started.{time.monotonic_ns()}").touch()
        while not Path("go").exists():
            time.sleep(0.01)

class Free:
    def start(self, event):
        return None

class OnQueue(Free):
    SOURCE = GenericStompListener

class Two:
    def start(self, event):
        yield from (1, 2)

class Numbers:
    def __iter__(self):
        yield 1
        while True:
            time.sleep(0.05)
            yield None  # Not an event, but a moment at which the Source can be ended.

    def done(self, event, ok):
        Path("told").touch()
"""

LONGER = 1.5
"""Seconds after which a source would long have given up: more than flowtools.ack.receiver.GRACE."""

MIDDLES = {
    "flow-jq": "flow-jq . |",
    "flow-jq, several outputs": "flow-jq .,. | jq -c --unbuffered . |",
    "jq": "jq -c --unbuffered . |",
    "grep": "grep --line-buffered . |",
    "flow-tee": "flow-tee kept |",
    "flow-tee, tolerant": "flow-tee --tolerate kept >(jq -c --unbuffered . | flow-ack) |",
    "flow-tee, two branches": (
        "flow-tee >(jq -c --unbuffered . | flow-work mymod:Held) | jq -c --unbuffered . |"
    ),
    "flow-view": "flow-view --tee 2>/dev/null |",
    "flow-work --pass": "flow-work --pass mymod:Free |",
    "flow-work --relay": "flow-work --relay mymod:Two | jq -c --unbuffered . |",
}


@pytest.fixture
def jobs():
    queue = Queue("/queue/jobs")
    yield queue
    queue.close()


@pytest.fixture
def pipeline(tmp_path, jobs):
    """Start a line in bash, in a session of its own; what is left of it is killed."""
    (tmp_path / "mymod.py").write_text(WORKERS)
    started = []

    def run(line):
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=environment(URL=jobs.url, **LOGIN),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def of_session(process, name):
    """The processes of the pipeline that run the command `name`."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (each / "cmdline").read_bytes().split(b"\0")
            if os.getsid(int(each.name)) == process.pid and any(
                Path(word.decode()).name == name for word in words[:2]
            ):
                found.append(int(each.name))
    return found


def begun(tmp_path, number=1):
    until(lambda: len([*tmp_path.glob("started.*")]) >= number)


def interrupt(process):
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize("middle", MIDDLES.values(), ids=MIDDLES)
def test_an_event_in_flight_behind_a_command_that_ends_at_control_c_is_acknowledged(
    tmp_path, jobs, pipeline, middle
):
    jobs.put(b"one")
    process = pipeline(
        f'flow-listen-stomp --ack worker "$URL" | {middle} flow-work mymod:Held -j 4'
    )
    begun(tmp_path, 2 if "Two" in middle or ".,." in middle or "Held" in middle else 1)
    interrupt(process)
    time.sleep(LONGER)
    (tmp_path / "go").touch()
    _, err = process.communicate(timeout=SECONDS)
    until(lambda: not of_session(process, "flow-listen-stomp"))
    assert "cannot acknowledge" not in err.decode()
    assert "not been acknowledged" not in err.decode()
    assert jobs.waiting() == []


SOURCES = {
    "flow-watch": (
        "flow-watch in --existing --settle 0 --ack worker --done done",
        lambda place, jobs: (place / "done" / "clip").exists(),
    ),
    "flow-source": (
        "flow-source --ack worker mymod:Numbers",
        lambda place, jobs: (place / "told").exists(),
    ),
    "flow-failed": (
        "flow-failed --replay kept.jsonl",
        lambda place, jobs: not (place / "kept.jsonl").read_text(),
    ),
    "flow-run": (
        'flow-run --pass mymod:OnQueue --set "Source.url=$URL"',
        lambda place, jobs: not jobs.waiting(),
    ),
}
"""Each source, and whether it knows that its only event is done."""


@pytest.mark.parametrize(("source", "knows"), SOURCES.values(), ids=SOURCES)
def test_every_source_waits_for_the_event_in_flight(tmp_path, jobs, pipeline, source, knows):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "clip").write_text("x")
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    (tmp_path / "kept.jsonl").write_text(json.dumps(event) + "\n")
    jobs.put(b"one")
    process = pipeline(f"{source} | jq -c --unbuffered . | flow-work mymod:Held")
    begun(tmp_path)
    interrupt(process)
    time.sleep(LONGER)
    assert not knows(tmp_path, jobs) or "flow-run" in source  # The queue shows free messages only.
    (tmp_path / "go").touch()
    _, err = process.communicate(timeout=SECONDS)
    assert err.decode() == ""
    assert knows(tmp_path, jobs)


def test_a_filter_that_is_killed_costs_no_event_in_flight_behind_it(tmp_path, jobs, pipeline):
    jobs.put(b"one")
    process = pipeline('flow-listen-stomp --ack worker "$URL" | flow-jq . | flow-work mymod:Held')
    begun(tmp_path)
    (jq,) = of_session(process, "flow-jq")
    os.kill(jq, signal.SIGKILL)
    time.sleep(LONGER)
    (tmp_path / "go").touch()
    _, err = process.communicate(timeout=SECONDS)
    assert "cannot acknowledge" not in err.decode()
    assert jobs.waiting() == []


@pytest.fixture
def interrupted(tmp_path, jobs, pipeline):
    """Start a pipeline whose Worker holds an event, and send it Control-C; gives the process."""

    def start(drain):
        jobs.put(b"one")
        process = pipeline(
            f'flow-listen-stomp --ack worker --drain {drain} "$URL" | flow-jq . |'
            " flow-work mymod:Held"
        )
        begun(tmp_path)
        interrupt(process)
        return process

    return start


def test_a_source_waits_no_longer_than_its_drain(jobs, interrupted):
    process = interrupted("0.5")
    until(lambda: not of_session(process, "flow-listen-stomp"))
    assert len(of_session(process, "flow-work")) == 1
    until(lambda: jobs.waiting() == ["one"])


@pytest.mark.parametrize("then", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_wait_at_once(jobs, interrupted, then):
    process = interrupted("1d")
    until(lambda: not of_session(process, "flow-jq"))
    (source,) = of_session(process, "flow-listen-stomp")
    os.kill(source, then)
    until(lambda: not of_session(process, "flow-listen-stomp"))
    until(lambda: jobs.waiting() == ["one"])


def test_a_source_ends_when_the_last_who_may_acknowledge_has_gone(jobs, interrupted):
    process = interrupted("1d")
    until(lambda: not of_session(process, "flow-jq"))
    os.kill(*of_session(process, "flow-work"), signal.SIGKILL)
    until(lambda: not of_session(process, "flow-listen-stomp"))
    until(lambda: jobs.waiting() == ["one"])


@pytest.mark.parametrize("middle", ["", "flow-jq . |", "flow-tee kept |", "cat |"])
def test_a_reader_that_never_acknowledges_is_not_waited_for(jobs, pipeline, middle):
    for number in range(300):
        jobs.put(b"%d" % number)
    process = pipeline(
        f'flow-listen-stomp --ack worker --drain 1d "$URL" | {middle} head -1;'
        " echo ${PIPESTATUS[@]}"
    )
    out, err = process.communicate(timeout=SECONDS)
    assert (out.split()[-2:], err) == ([b"141", b"0"], b"")


def test_after_a_signal_a_source_dies_by_the_signal_though_its_reader_was_quicker(
    tmp_path, jobs, pipeline
):
    jobs.put(b"one")
    process = pipeline(
        'trap : INT; flow-listen-stomp --ack worker "$URL" | flow-jq . | flow-work mymod:Held;'
        " echo ${PIPESTATUS[@]}"
    )
    begun(tmp_path)
    interrupt(process)
    until(lambda: not of_session(process, "flow-jq"))
    (tmp_path / "go").touch()
    assert process.communicate(timeout=SECONDS) == (b"130 130 130\n", b"")


def test_flow_tee_lets_its_other_branches_finish_when_one_has_gone(tmp_path, jobs, pipeline):
    jobs.put(b"one")
    os.mkfifo(tmp_path / "branch")
    process = pipeline(
        "(jq -c --unbuffered . <branch | flow-work mymod:Held) &"
        ' flow-listen-stomp --ack worker --drain 1d "$URL"'
        " | flow-tee --drain 1d branch >(flow-work mymod:Held) | flow-work mymod:Held; wait"
    )
    begun(tmp_path, 3)
    os.kill(*of_session(process, "jq"), signal.SIGKILL)
    time.sleep(LONGER)
    (tmp_path / "go").touch()
    _, err = process.communicate(timeout=SECONDS)
    assert "cannot acknowledge" not in err.decode()
    assert jobs.waiting() == []
