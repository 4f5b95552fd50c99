"""Parts of the path of a message inside one process: the pipe, the replaced streams, the writer."""

import os
import threading
from contextlib import suppress

import pytest

from flowtools.process import console
from flowtools.process import stderr as writer
from flowtools.process.ear import Ear
from flowtools.process.overheard import Overheard
from tests.running import SECONDS


@pytest.fixture
def answering():
    """Give a function each message, until the test ends: it may write more of them."""
    yield console.relay_to
    console.relay_to(None)


@pytest.fixture
def ear():
    ear = Ear()
    yield ear
    ear.close()


@pytest.mark.parametrize("end", ["hear_out", "leave"])
def test_reading_the_output_of_a_process_ends_despite_endless_writing(ear, answering, end):
    name, pipe = ear.listen(lambda: None)
    written = threading.Event()

    def write_more(_said):
        written.set()
        with suppress(OSError):
            os.write(pipe, b"another line\n")

    answering(write_more)
    os.write(pipe, b"a line\n")
    asking = threading.Thread(target=getattr(ear, end), args=(name,), daemon=True)
    asking.start()
    asking.join(SECONDS)
    assert written.is_set()
    has_ended = not asking.is_alive()
    answering(lambda said: None)
    asking.join(SECONDS)
    ear.leave(name)
    os.close(pipe)
    assert has_ended


def test_unfinished_lines_become_messages_once_while_their_thread_keeps_printing(answering):
    stream, heard = Overheard(1), []

    def write_more(said):
        heard.append(said.text)
        if len(heard) < 1000:
            stream.write("more")

    answering(write_more)
    stream.write("begun")
    stream.finish_all()
    assert heard == ["begun"]


def test_messages_are_written_and_flushed_without_their_own_thread(monkeypatch):
    def cannot(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(writer, "start_thread", cannot)
    reader, end = os.pipe()
    stderr = writer.Stderr(end, lambda count: b"%d dropped\n" % count)
    for number in range(3):
        stderr.put(b"%d\n" % number)
    assert os.read(reader, 100) == b"0\n1\n2\n"
    assert stderr.flush(0.0)
    os.close(reader)
    os.close(end)


def test_the_count_of_dropped_messages_waits_until_a_message_can_be_written():
    reader, end = os.pipe()
    nobody_reads, other = os.pipe()
    os.close(nobody_reads)
    stderr = writer.Stderr(other, lambda count: b"%d dropped\n" % count)
    for number in range(3):
        stderr.put(b"%d\n" % number)
        assert stderr.flush(SECONDS)  # The writing thread does not try again without end.
    os.dup2(end, other)
    stderr.put(b"3\n")
    assert stderr.flush(SECONDS)
    assert os.read(reader, 100) == b"3\n3 dropped\n"
    for fd in (reader, end, other):
        os.close(fd)
