"""The fuzz targets: one function for each parser, which takes any bytes and must not raise.

Each accepts only the error that the parser promises for bad input, and asserts what has to
hold for the rest. test_fuzz.py runs them on input from hypothesis and on the corpus;
run.py (`make fuzz`) on input that atheris finds by watching which branches are taken.
"""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from urllib.parse import unquote

import orjson

from flowtools.ack.records import AckError, parse_ackto, read_packet
from flowtools.core.key import Key
from flowtools.core.lines import LineReader
from flowtools.core.seen import Wrapper
from flowtools.core.wait import Stop
from flowtools.errors import ConfigurationError, ProtocolError, UsageError
from flowtools.event import Event, EventError, decode
from flowtools.pool.failed import replayable
from flowtools.pool.joblog import Done, JobLog
from flowtools.pool.limits import Halt, Rate
from flowtools.pool.outcome import Attempt, Outcome
from flowtools.pool.results import lines_of
from flowtools.run import profile
from flowtools.source.asset import AssetEntryListener
from flowtools.source.clock import Clock
from flowtools.source.daytime import Window, zone
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.schedule import Cron
from flowtools.source.vizone.entries import modified
from flowtools.source.vizone.listening import parse_since
from flowtools.source.vizone.state import StateFile
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import Frame, FrameParser, encode_frame
from flowtools.stomp.message import event_of
from flowtools.stomp.outgoing import outgoing
from flowtools.stomp.settings import parse_headers, parse_heart_beat
from flowtools.stomp.url import parse_url
from flowtools.vizone.account import Account
from flowtools.vizone.asset import as_asset, group_permissions
from flowtools.vizone.atom import Feed, as_entry, as_feed, as_tombstone
from flowtools.vizone.changes import changes_in, read_changes
from flowtools.vizone.document import parse, serialise
from flowtools.vizone.files import as_file
from flowtools.vizone.metadata import Payload
from flowtools.vizone.model import read_model
from flowtools.vizone.plugindata import PluginData
from flowtools.vizone.service import read_service
from flowtools.vizone.transport import without_user
from flowtools.worker.config import load as load_config

ACCOUNT = Account("http://one.example", "anna", "s3cret")
DIALECTS = [
    Dialect(server, version)
    for server, version in (
        ("RabbitMQ/3.10.8", "1.2"),
        ("ActiveMQ/5.17.2", "1.1"),
        ("CoilMQ/1.1", "1.0"),
        ("", "1.2"),
    )
]
SCRATCH = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


def lines(data):
    """A pipe's bytes; the first says in what pieces they come, the second the longest line."""
    size, longest = (data[0] % 64 + 1, data[1] + 1) if len(data) > 1 else (64, 256)
    found = _read(data[2:60_000], size, longest)
    expected = data[2:60_000].split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert len(found) == len(expected)
    for line, whole in zip(found, expected, strict=True):
        assert line == whole or (len(whole) > longest and len(line) <= 400)
        _line(whole)


def _read(data, size, longest):
    reading, writing = os.pipe()
    stop = Stop()
    try:
        reader = LineReader(reading, stop, max_line=longest)
        found = []
        for at in range(0, len(data), size):
            os.write(writing, data[at : at + size])
            found += reader.read()
        os.close(writing)
        while (block := reader.read()) is not None:
            found += block
        return found
    finally:
        os.close(reading)
        stop.close()


def _line(line):
    event, error = None, None
    try:
        event = decode(line, 7)
    except EventError as refused:
        error = str(refused)
        assert error
        assert "\n" not in error
    attempt = Attempt(
        event, line, 7, Outcome.FAILED, 1, True, 0.0, 0.0, 0.0, error or "ValueError: x"
    )
    kept = replayable(attempt)
    assert kept.count(b"\n") == 1
    assert kept.endswith(b"\n")
    assert isinstance(orjson.loads(kept), dict)
    if event is None:
        with suppress(EventError):
            decode(kept)
            raise AssertionError("what is no event has become one")
        return
    again = decode(kept, 9)
    ours = {"ackto", "flowerror", "flowattempts", "flowfailedat"}
    assert _without(again, ours) == _without(event, ours)
    assert "ackto" not in again.attributes
    with suppress(EventError):  # 1024 levels of nesting can be read, and 254 written.
        assert decode(event.encode(), 7) == event
        for made in lines_of(event, event.data):
            decode(made)
    _sent(line)


def _sent(line):
    event = decode(line, 1, source="flow-send")  # Its id has 1: first occurrence.
    wrapper = Wrapper("flow-send")
    for raw in (False, True):
        with suppress(EventError):
            message = outgoing(line, 7, wrapper=wrapper, raw=raw, group_key=Key.parse("subject"))
            assert isinstance(message.body, bytes)
            if not raw:
                upstream = {"ackto", "redelivered", "time"}
                assert _without(decode(message.body, 7), upstream) == _without(event, upstream)


def _without(event, names):
    return {name: value for name, value in event.attributes.items() if name not in names}


def frames(data):
    """A broker's bytes; the first says the protocol's version, and in what pieces they come."""
    size = data[0] % 64 + 1 if data else 64
    dialect = DIALECTS[(data[0] if data else 0) % len(DIALECTS)]
    data = data[1:]
    whole, refused = _parsed([data], dialect.version)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    slowly, refused_too = _parsed(pieces, dialect.version)
    # With small pieces more frames may be returned before the error.
    assert slowly[: len(whole)] == whole
    assert refused == refused_too
    assert refused or slowly == whole
    for frame in slowly:
        _frame(frame, dialect)


def _parsed(chunks, version):
    parser = FrameParser()
    parser.version = version
    found = []
    try:
        for chunk in chunks:
            found += parser.feed(chunk)
    except ProtocolError as error:
        assert "\n" not in str(error)
        return found, True
    return found, False


def _frame(frame, dialect):
    event = event_of(frame, dialect, "stomp://h:1/")
    assert decode(event.encode()) == event
    assert event_of(frame, dialect, "stomp://h:1/").id == event.id
    for source in (AssetEntryListener(ACCOUNT), UnmanagedFilesListener(ACCOUNT, "here")):
        for each in source.to_events(frame):
            assert decode(each.encode()) == each
            modified(each)
    dialect.ack_headers(frame)
    if frame.command in ("CONNECT", "CONNECTED"):
        return  # Their headers are never escaped: no round trip.
    headers = {k: v for k, v in frame.headers.items() if k != "content-length"}
    headers["content-length"] = str(len(frame.body))
    again = FrameParser()
    again.version = "1.2"
    assert again.feed(encode_frame(frame.command, headers, frame.body)) == [
        Frame(headers, frame.body, frame.command)
    ]


def xml(data):
    """A document of Viz One, or what claims to be one."""
    for change in read_changes({}, data, "http://one.example"):
        assert change.kind
    try:
        root = parse(data, name="it", base="http://one.example/")
    except ProtocolError as error:
        assert "\n" not in str(error)
        return
    for read in (as_feed, as_entry):
        with suppress(ProtocolError):
            _resource(read(root, "it"))
    with suppress(ProtocolError):
        _payload(Payload(root, "it"))
    with suppress(ProtocolError):
        read_model(root)
    with suppress(ProtocolError):
        for collection in read_service(root):
            for template in collection.templates.values():
                with suppress(ProtocolError):
                    template.fill({"count": "1"}, main="a/b")
    as_tombstone(root)
    _plugin(root)
    parse(serialise(root), name="again")


def _resource(resource):
    assert all(resource.link(each.rel) for each in resource.links)
    _ = resource.id, resource.title, resource.updated
    if isinstance(resource, Feed):
        _ = resource.total, resource.per_page, resource.start, resource.tombstones
        changes_in(resource)
        for entry in resource.entries[:10]:
            _resource(entry)
        return
    asset, file = as_asset(resource), as_file(resource)
    _ = asset.identifiers, asset.status, asset.media, asset.keywords, resource.self_link
    _ = file.name, file.size, file.url
    group_permissions(resource.element, "asset")
    without_user(file.url or "")


def _plugin(root):
    data = PluginData(root)
    for step in (data.step, data.request):
        if step is not None:
            _ = step.state, step.is_done, step.error, step.self_link
    if data.request is not None:
        _ = data.request.progress, data.request.priority
    if data.settings is not None:
        _ = data.settings["plugin.user"]
    if data.step is not None:
        data.step.set_state("active")
        data.step.set_done(50)
        data.step.set_error("no\0 \ud800 good")
        assert data.step.done == 50
        assert b"good" in serialise(data.element)


def _payload(payload):
    for name in [*payload][:20]:
        _ = payload[name], payload.origin(name), payload.rows(name), payload.model
        with suppress(ValueError):
            payload.set(name, "new")
            assert payload[name] == "new"


def urls(data):
    """What may be typed, or come in a document, where an address is wanted."""
    text = os.fsdecode(data)
    with suppress(UsageError):
        url = parse_url(text)
        # Text that cannot be encoded is refused on the command line.
        assert parse_url(url.public) == replace(url, user=None)
        assert url.public.isascii() or not text.isascii()
        if url.user and "@" not in unquote(text.partition("?")[2]):
            assert f"//{url.user}@" not in url.public
    with suppress(ConfigurationError):
        Account(text, "u", "p")


def expressions(data):
    """What may be typed for --key, --halt, --rate, --window, --since ...; then, an event."""
    typed, _, rest = data.partition(b"\n")
    text = os.fsdecode(typed)
    for read in (Halt.parse, Rate.parse, Window.parse, zone, parse_since, parse_heart_beat):
        with suppress(UsageError):
            read(text)
    with suppress(UsageError):
        parse_headers((text,))
    with suppress(UsageError):
        Cron(text, Clock(), UTC).due()
    with suppress(UsageError):
        key = Key.parse(text)
        event = Event("t", {"a": [1, {"b": None}], "": {"~/": ""}}, source="s", id="i")
        with suppress(EventError):
            event = decode(rest)
        picked = key.of(event)
        assert picked is None or (isinstance(picked, str) and picked)


def acks(data):
    """A packet at the acknowledgement socket; and an `ackto`."""
    found = read_packet(data)
    byes = data.split(b"\n").count(b"bye")
    lines = sum(1 for line in data.split(b"\n") if line)
    assert len(found.acks) + found.malformed + byes == lines
    assert found.bye == bool(byes)
    for ack in found.acks:
        if ack.reason is not None:
            assert len(ack.reason.encode()) <= 4096
            assert ack.reason.error.isprintable()
        assert 0 <= ack.number < 10**19
    with suppress(AckError):
        path, token = parse_ackto(data.decode("utf-8", "surrogateescape"))
        assert path.startswith("/")
        assert "\0" not in path
        path.encode()
        (ack,), _, _ = read_packet(f"{token} ack\n".encode())
        assert f"{ack.epoch}.{ack.number}" == token or token.rpartition(".")[2].startswith("0")


def settings(data):
    """An INI file of a Worker's settings; and a --set."""
    path = SCRATCH / "settings.ini"
    path.write_bytes(data)
    try:
        load_config(path, ())
    except ConfigurationError as error:
        assert "\n" not in str(error)
    with suppress(ConfigurationError, UsageError):
        load_config(None, (os.fsdecode(data),))


def profiles(data):
    """A profile of the older Flow."""
    path = SCRATCH / "profile.ini"
    path.write_bytes(data)
    try:
        config = profile.read(path, None)
        known = profile.understand(config, is_old=True)
        for section in config.sections():
            config.items(section)
    except ConfigurationError:
        return  # The message may quote a value of several lines, which stderr shows as one.
    assert known.threads is None or known.threads >= 1
    assert known.timeout is None or known.timeout >= 0


def files(data):
    """A state file and a job log that were damaged."""
    path = SCRATCH / "file"
    path.write_bytes(data)
    state = StateFile(path, "assets", "http://one.example")
    try:
        kept = state.load()
        assert kept is not None
        state.save(*kept)
        assert state.load() == kept
    except ConfigurationError as error:
        assert "\n" not in str(error)
    finally:
        state.close()
    path.write_bytes(data)
    before = Done.read(path)
    try:
        log = JobLog(path)
    except ConfigurationError:
        assert path.read_bytes() == data
        assert data[:1] != b"{"
        return
    with log:
        event = Event("t", source="s", id="new")
        log.record(Attempt(event, b"", 1, Outcome.DONE, 1, True, 0.0, 0.0, 0.0, None))
    after = Done.read(path)
    assert event in after
    assert len(after) == len(before) + (event not in before)


TARGETS = {
    each.__name__: each
    for each in (lines, frames, xml, urls, expressions, acks, settings, profiles, files)
}
