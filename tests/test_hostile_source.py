"""Nothing that a user's Source does may delay or silence flow-source."""

import json
import re
import signal

import pytest

from tests.running import SECONDS, until

HEAD = """
import logging, os, subprocess, sys, threading, time
def note(text):
    open('notes', 'a').write(f'{text}\\n')
class Exits(Exception):
    def __str__(self):
        sys.exit(5)
"""


@pytest.fixture
def source(start, tmp_path):
    """Start flow-source on the class S of this code."""

    def run(code, *args, **options):
        (tmp_path / "mine.py").write_text(HEAD + code)
        return start("flow-source", "mine:S", *args, **options)

    return run


@pytest.fixture
def acknowledged(source, start):
    """Start flow-source with flow-ack behind it, which acknowledges each event."""

    def run(code, *args):
        process = source(code, "--ack", "worker", *args)
        start("flow-ack", stdin=process.stdout)
        process.stdout.close()
        process.stdout = None
        return process

    return run


def finish(process):
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, [json.loads(line)["data"] for line in (out or b"").splitlines()], err


def test_a_hanging_done_is_abandoned(acknowledged, notes):
    code = """
class S:
    def __iter__(self):
        yield 1
        yield 2
        time.sleep(1000)
    def done(self, event, ok):
        note('done')
        time.sleep(1000)
"""
    process = acknowledged(code, "--drain", 0.5, "--grace", 0.5)
    until(lambda: notes() == ["done"])
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == -signal.SIGTERM
    assert b"'done' of the Source has not returned for 2 events" in err


def test_a_done_that_emits_does_not_wait_for_itself(acknowledged, notes):
    code = """
class S:
    def run(self, emit):
        self.emit, self.seen = emit, threading.Event()
        emit(1)
        self.seen.wait(60)
    def done(self, event, ok):
        note(event.data)
        if event.data < 4:
            self.emit(event.data + 1)
        else:
            self.seen.set()
"""
    assert finish(acknowledged(code, "--prefetch", 1))[0] == 0
    assert notes() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("raised", ["SystemExit(3)", "Exits()", "KeyboardInterrupt", "ValueError"])
@pytest.mark.parametrize("ack", ["pipe", "worker"])
def test_a_done_that_raises_is_reported_and_the_others_continue(
    acknowledged, source, notes, raised, ack
):
    code = f"""
class S:
    def __iter__(self):
        yield from range(3)
    def done(self, event, ok):
        note(event.data)
        if event.data == 1:
            raise {raised}
"""
    status, _, err = finish((acknowledged if ack == "worker" else source)(code))
    assert (status, sorted(notes())) == (1, ["0", "1", "2"])
    name = re.match(r"\w+", raised)[0].encode()
    assert b"the 'done' of Source 'mine:S' failed: " + name in err
    assert err.endswith(b"flow-source: 'done' of the Source failed for 1 event\n")


def test_an_exception_whose_text_raises_is_still_reported(source):
    code = """
class S:
    def __iter__(self):
        yield 1
        raise Exits
"""
    status, out, err = finish(source(code))
    assert (status, out) == (1, [1])
    assert b"the Source 'mine:S' failed: Exits: its text cannot be made: SystemExit" in err


def test_threads_of_a_source_end_quietly(source):
    code = """
class S:
    def run(self, emit):
        def give():
            for number in range(1000):
                emit(number)
        threads = [threading.Thread(target=give) for _ in range(5)]
        for each in threads: each.start()
        for each in threads: each.join()
"""
    status, out, err = finish(source(code, "--count", 3))
    assert (status, len(out), err) == (0, 3, b"")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("time.sleep(1000)", b"cannot clean up after the Source: not done within 0.5 s\n"),
        ("raise ValueError('no')", b"cannot clean up after the Source: ValueError: no (/"),
        ("raise Exits", b"cannot clean up after the Source: "),
    ],
)
def test_clean_up_is_guarded_and_bounded(source, code, complaint):
    code = f"""
class S:
    def __iter__(self):
        yield 1
    def clean_up(self):
        {code}
"""
    status, out, err = finish(source(code, "--drain", 0.5))
    assert (status, out) == (1, [1])
    assert complaint in err


def test_everything_a_source_prints_becomes_a_message(source):
    code = """
print('said 1')
log = logging.getLogger('own')
class S:
    def configure(self, config):
        print('said 2', file=sys.stderr)
        logging.config = None
        logging.disable()
    def __iter__(self):
        sys.stdout.write('said 3')
        logging.disable(logging.NOTSET)
        log.warning('said 4')
        subprocess.run(['echo', 'said 5'])
        threading.Thread(target=print, args=('said 6',)).start()
        yield 1
"""
    status, out, err = finish(source(code, "--log-format", "json"))
    assert (status, out) == (0, [1])
    said = [json.loads(line) for line in err.splitlines()]
    assert sorted(each["message"] for each in said) == [f"said {n}" for n in range(1, 7)]
    assert {each["command"] for each in said} == {"flow-source"}


def test_an_unread_stderr_delays_nothing(source, tmp_path):
    code = """
class S:
    def __iter__(self):
        for number in range(3000):
            print('x' * 1000)
            yield number
        while not os.path.exists('read'):
            time.sleep(0.01)
"""
    process = source(code)
    for _ in range(3000):
        process.stdout.readline()
    (tmp_path / "read").touch()
    err = process.stderr.read()
    assert process.wait(SECONDS) == 0
    lost = [int(found) for found in re.findall(rb"(\d+) messages? (?:was|were) dropped", err)]
    assert sum(lost) + err.count(b"xxx\n") == 3000
    assert sum(lost) > 0
