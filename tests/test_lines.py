"""Reading and writing lines: blocks, bounds, whole writes, and closed readers."""

import fcntl
import json
import os
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtools.core.lines import BLOCK, PIPE_BUF, LineReader, LineWriter
from flowtools.core.toolong import TooLong
from flowtools.core.wait import Stop
from flowtools.errors import FlowError, ReaderGone
from flowtools.event import Event, EventError
from tests.running import SECONDS


@contextmanager
def pipe(*, size=None):
    """A pipe as [reader, writer]; an end that the test closes must be set to None."""
    ends = list(os.pipe())
    if size:
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, size)
    try:
        yield ends
    finally:
        for fd in ends:
            if fd is not None:
                os.close(fd)


@pytest.fixture
def stop():
    stop = Stop()
    yield stop
    stop.close()


def close(ends, which):
    os.close(ends[which])
    ends[which] = None


def lines_of(blocks, **options):
    """The lines that a LineReader reads from blocks arriving one by one, up to the end."""
    stop = Stop()
    got = []
    try:
        with pipe() as ends:
            reader = LineReader(ends[0], stop, **options)
            for block in blocks:
                os.write(ends[1], block)
                got += reader.read()
            close(ends, 1)
            while (block := reader.read()) is not None:
                got += block
            assert reader.read() is None
    finally:
        stop.close()
    return got


@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"x", b"\n"))))
def test_lines_do_not_depend_on_how_the_input_is_split(pieces):
    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert lines_of(pieces) == expected


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 25))
def test_only_lines_beyond_the_limit_are_cut_however_the_input_is_split(sizes, piece):
    whole = b"".join(b"y" * size + b"\n" for size in sizes)
    pieces = [whole[at : at + piece] for at in range(0, len(whole), piece)]
    got = lines_of(pieces, max_line=20)
    assert [isinstance(line, TooLong) for line in got] == [size > 20 for size in sizes]
    assert [line for line in got if not isinstance(line, TooLong)] == [
        b"y" * size for size in sizes if size <= 20
    ]


def test_a_line_of_many_blocks_is_whole():
    line = os.urandom(5 * BLOCK).replace(b"\n", b"")
    pieces = [line[at : at + BLOCK] for at in range(0, len(line), BLOCK)]
    assert lines_of([*pieces, b"\nnext"]) == [line, b"next"]


def test_only_the_beginning_of_a_line_beyond_the_limit_is_kept():
    (line, following) = lines_of([b"z" * BLOCK] * 5 + [b"\nok\n"], max_line=2 * BLOCK)
    assert isinstance(line, TooLong)
    assert line == b"z" * 200 + b"..."
    assert following == b"ok"


def test_the_line_separator_can_be_chosen():
    assert lines_of([b"a\nb\0c"], separator=b"\0") == [b"a\nb", b"c"]


def test_a_stop_ends_the_input_and_drops_the_unfinished_line(stop):
    with pipe() as ends:
        reader = LineReader(ends[0], stop)
        os.write(ends[1], b"whole\nunfin")
        assert reader.read() == [b"whole"]
        stop.set()
        os.write(ends[1], b"ished\n")
        assert reader.read() is None
        assert reader.read() is None


def test_read_returns_after_its_timeout(stop):
    with pipe() as ends:
        assert LineReader(ends[0], stop).read(0.001) == []


def test_a_wait_may_be_longer_than_poll_can(stop):
    with pipe() as ends:
        os.write(ends[1], b"a\n")
        assert LineReader(ends[0], stop).read(1e9) == [b"a"]


def test_the_wake_descriptor_ends_a_wait(stop):
    with pipe() as ends, pipe() as bell:
        reader = LineReader(ends[0], stop, wake=bell[0])
        os.write(bell[1], b"!")
        assert reader.read() == []


def test_a_non_blocking_descriptor_is_not_mistaken_for_the_end(stop):
    with pipe() as ends:
        os.set_blocking(ends[0], False)
        reader = LineReader(ends[0], stop)
        os.write(ends[1], b"a\n")
        assert reader.read() == [b"a"]
        assert reader.read(0.001) == []


def test_unreadable_input_is_an_error(stop, tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FlowError, match="cannot read standard input: Is a directory"):
            LineReader(fd, stop).read()
    finally:
        os.close(fd)


def event_of(size):
    """An event whose line has `size` bytes."""
    event = Event("t", "", source="s", id="1", time="2026-01-02T03:04:05Z")
    event.attributes["data"] = "d" * (size - len(event.encode()))
    assert len(event.encode()) == size
    return event


def test_emitted_events_wait_for_the_flush_and_keep_their_order():
    with pipe() as ends:
        writer = LineWriter(ends[1])
        events = [Event("t", number, source="s") for number in range(3)]
        for event in events:
            writer.emit(event)
        assert writer.unread() == 0
        writer.flush()
        assert os.read(ends[0], BLOCK) == b"".join(event.encode() for event in events)


@pytest.mark.parametrize("sizes", [[1000] * 9, [3000, 3000], [200, 9000, 200], [4096, 4096]])
def test_writes_stay_within_pipe_buf_unless_a_line_is_longer(monkeypatch, sizes):
    written = []
    monkeypatch.setattr(os, "write", lambda fd, block: written.append(bytes(block)) or len(block))
    writer = LineWriter(1)
    events = [event_of(size) for size in sizes]
    for event in events:
        writer.emit(event)
    writer.flush()
    monkeypatch.undo()
    assert b"".join(written) == b"".join(event.encode() for event in events)
    for block in written:
        assert block.endswith(b"\n")
        assert len(block) <= PIPE_BUF or block.count(b"\n") == 1


def test_write_flushes_waiting_lines_first():
    with pipe() as ends:
        writer = LineWriter(ends[1])
        writer.emit_line(b"first\n")
        writer.write(b"second\n")
        assert os.read(ends[0], BLOCK) == b"first\nsecond\n"


def test_held_lines_are_written_as_the_reader_makes_room_without_blocking():
    lines = [bytes([97 + n]) * (500 + 1911 * n) + b"\n" for n in range(8)]
    with pipe(size=4096) as ends:
        writer = LineWriter(ends[1])
        held = [writer.hold(line) for line in lines]
        assert held == [sum(map(len, lines[: n + 1])) for n in range(8)]
        assert not writer.try_flush()
        assert not writer.try_flush()
        got = os.read(ends[0], 4096)
        while not writer.try_flush():
            got += os.read(ends[0], 4096)
        assert writer.hold(b"last\n") == 5
        os.set_blocking(ends[0], False)
        got += os.read(ends[0], 4096)
        assert writer.try_flush()
        got += os.read(ends[0], 4096)
        assert got == b"".join(lines) + b"last\n"


def test_held_lines_keep_their_place_among_the_others():
    with pipe(size=4096) as ends:
        writer = LineWriter(ends[1])
        long = b"x" * 5000 + b"\n"
        writer.hold(long)
        assert not writer.try_flush()  # the reader has released the first part
        writer.emit_line(b"a\n")
        writer.hold(b"b\n")
        got = os.read(ends[0], 4096)
        writer.write(b"c\n")
        assert got + os.read(ends[0], 4096) == long + b"a\nb\nc\n"


@pytest.mark.parametrize("sizes", [[1000] * 9, [3000, 3000], [200, 4000, 200], [4096, 4096]])
def test_writing_held_lines_never_tears_a_line_within_pipe_buf(monkeypatch, sizes):
    written = []
    monkeypatch.setattr(os, "write", lambda fd, block: written.append(bytes(block)) or len(block))
    with pipe() as ends:
        writer = LineWriter(ends[1])
        for size in sizes:
            writer.hold(event_of(size).encode())
        assert writer.try_flush()
    monkeypatch.undo()
    assert b"".join(written) == b"".join(event_of(size).encode() for size in sizes)
    assert all(len(block) <= PIPE_BUF and block.endswith(b"\n") for block in written)


def test_an_unencodable_event_does_not_affect_the_others():
    with pipe() as ends:
        writer = LineWriter(ends[1])
        writer.emit_line(b"a\n")
        with pytest.raises(EventError):
            writer.emit(Event("t", {1, 2j}, source="s"))
        writer.emit_line(b"b\n")
        writer.flush()
        assert os.read(ends[0], BLOCK) == b"a\nb\n"


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_of_many_threads_stay_whole_with_a_slow_reader(blocking):
    lines = [bytes([97 + n]) * (500 + 911 * n) + b"\n" for n in range(8)]
    with pipe(size=4096) as ends:
        os.set_blocking(ends[1], blocking)
        writer = LineWriter(ends[1])

        def work(line):
            for _ in range(20):
                writer.write(line)

        threads = [threading.Thread(target=work, args=(line,)) for line in lines]
        for thread in threads:
            thread.start()
        got = b""
        while got.count(b"\n") < 160:
            got += os.read(ends[0], 1000)
        for thread in threads:
            thread.join(SECONDS)
    assert sorted(got.splitlines(keepends=True)) == sorted(lines * 20)


def test_writing_to_a_closed_reader_raises_reader_gone():
    with pipe() as ends:
        writer = LineWriter(ends[1])
        close(ends, 0)
        writer.emit_line(b"a\n")
        with pytest.raises(ReaderGone):
            writer.flush()
        writer.hold(b"b\n")
        with pytest.raises(ReaderGone):
            writer.try_flush()


def test_a_full_disk_is_not_mistaken_for_a_closed_reader():
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(FlowError, match="cannot write standard output: No space left"):
            LineWriter(fd).write(b"a\n")
    finally:
        os.close(fd)


def test_unread_counts_the_bytes_in_the_pipe():
    with pipe() as ends:
        writer = LineWriter(ends[1])
        writer.write(b"12345\n")
        assert writer.unread() == 6
        os.read(ends[0], 4)
        assert writer.unread() == 2


def test_a_regular_file_has_nothing_unread(tmp_path):
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as ours, path.open("ab", buffering=0) as theirs:
        writer = LineWriter(ours.fileno())
        writer.write(b"a\n")
        theirs.write(b"b\n")
        assert writer.unread() == 0


def test_two_commands_writing_to_one_pipe_keep_their_lines_whole(shell):
    status, out, err = shell(
        "seq 20000 > in; (flow-stdin < in & flow-stdin < in; wait) | cat", timeout=100
    )
    assert (status, err) == (0, "")
    values = [json.loads(line)["data"] for line in out.splitlines()]
    assert sorted(values) == sorted([str(n) for n in range(1, 20001)] * 2)
