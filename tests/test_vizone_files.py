"""Files, imports and what follows them; against the stand-in, over real HTTP."""

import ctypes
import threading
import time

import pytest

from flowtools.errors import ProtocolError, UnreachableError
from flowtools.vizone import ConflictError, TransferFailed
from flowtools.vizone.atom import as_entry
from flowtools.vizone.document import parse
from flowtools.vizone.transfer import Incoming, TransferRequest, Transfers
from tests.running import SECONDS
from tests.vizone_servers import client_of, stand_in


@pytest.fixture
def server():
    with stand_in(import_seconds=0.05) as server:
        server.catalogue.put_file("xmlimport", "a b.mxf", b"12345")
        yield server


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def only_file(client):
    (file,) = client.files.find(client.files.location("xmlimport"))
    return file


def test_files_of_a_location_are_found_read_and_deleted(server, client):
    file = only_file(client)
    assert (file.name, file.size, client.files.read(file)) == ("a b.mxf", 5, b"12345")
    client.files.delete(file)
    client.files.delete(file)  # gone already: fine
    assert server.catalogue.storages.files("xmlimport") == []


def test_every_page_of_a_location_is_read(server, client):
    for number in range(250):
        server.catalogue.put_file("ftpimport", f"{number:03}", b"")
    names = [each.name for each in client.files.find(client.files.location("ftpimport"))]
    assert names == [f"{number:03}" for number in range(250)]


@pytest.mark.parametrize("ftp", [False, True])
def test_a_file_becomes_the_media_of_a_placeholder(client, ftp):
    asset = client.assets.create("one")
    source = "ftp://user:secret@h/path/c.mxf" if ftp else only_file(client)
    incoming = client.files.import_into(asset, source)
    assert incoming.state == "pending"
    done = client.transfers.wait(incoming, 30, pause=0.02)
    asset = client.assets.get(asset.self_link)
    assert (done.state, asset.status, asset.media) == ("finished", "online", "video")
    assert client.transfers.incoming(asset).id == incoming.id
    assert [each.id for each in client.transfers.incomings()] == [incoming.id]
    request = client.transfers.request(done)
    assert (request.state, request.progress) == ("finished", (100, 100))
    assert request.link("monitor").startswith("stomp://")


def test_only_a_placeholder_accepts_an_import(client):
    asset = client.assets.create("one")
    incoming = client.files.import_into(asset, only_file(client))
    with pytest.raises(ConflictError):
        client.files.import_into(asset, only_file(client))
    client.transfers.wait(incoming, 30, pause=0.02)
    with pytest.raises(ConflictError):
        client.files.import_into(asset, only_file(client))


def test_a_missing_file_is_not_imported(server, client):
    file = only_file(client)
    server.catalogue.delete_file("xmlimport", "a b.mxf")
    asset = client.assets.create("one")
    with pytest.raises(ProtocolError, match="400"):
        client.files.import_into(asset, file)
    assert client.assets.get(asset.self_link).status == "empty"


def test_waiting_for_an_import_has_a_limit():
    with stand_in(import_seconds=600) as server, client_of(server) as client:
        server.catalogue.put_file("xmlimport", "a", b"1")
        incoming = client.files.import_into(client.assets.create("one"), only_file(client))
        assert client.transfers.request(incoming) is None
        with pytest.raises(UnreachableError, match=r"not ended within 0\.1 s"):
            client.transfers.wait(incoming, 0.1, pause=0.02)


def test_a_thread_that_waits_for_an_import_can_be_interrupted():
    """The pool raises TimeLimit in a thread; Python does that only between two bytecodes."""
    waits, ended = threading.Event(), threading.Event()

    class Interrupted(BaseException):
        pass

    class Unfinished(Incoming):
        @property
        def is_done(self):
            waits.set()
            return False

    entry = parse(b'<entry xmlns="http://www.w3.org/2005/Atom"><id>i</id></entry>', name="i")

    def work():
        try:
            Transfers(None).wait(Unfinished(entry), 3600, pause=3600)
        except Interrupted:
            ended.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert waits.wait(SECONDS)
    time.sleep(0.2)  # Until it sleeps: a shorter time only makes the test easier to pass.
    ident, kind = ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, kind)
    assert ended.wait(SECONDS)


def test_an_import_into_a_deleted_asset_fails_with_a_reason(server):
    with stand_in(import_seconds=2) as server, client_of(server) as client:
        server.catalogue.put_file("xmlimport", "a", b"1")
        asset = client.assets.create("one")
        incoming = client.files.import_into(asset, only_file(client))
        client.assets.delete(asset)
        with pytest.raises(TransferFailed, match="has failed: there is no asset"):
            client.transfers.wait(incoming, 30, pause=0.05)
        client.transfers.delete(incoming)
        client.transfers.delete(incoming)


def test_changing_the_priority_does_not_conflict_with_progress(client):
    asset = client.assets.create("one")
    done = client.transfers.wait(client.files.import_into(asset, only_file(client)), 30, pause=0.02)
    request = client.transfers.request(done)
    assert client.transfers.set_priority(request, "high").priority == "high"
    with pytest.raises(ConflictError):
        client.transfers.set_priority(request, "low")
    assert client.transfers.request(request).priority == "high"


ENTRY = '<entry xmlns="http://www.w3.org/2005/Atom" xmlns:t="http://ns.vizrt.com/ardome/transfer">{}</entry>'


def entry(inner, kind=TransferRequest):
    return kind(as_entry(parse(ENTRY.format(inner).encode(), name="it"), "it").element)


@pytest.mark.parametrize(
    ("inner", "progress"),
    [
        ('<t:progress done="67" total="100"/>', (67, 100)),
        ("<progress><done>1</done><total>4</total></progress>", (1, 4)),
        ("<progress>12</progress>", (12, 100)),
        ("", None),
        ("<progress>much</progress>", None),
    ],
)
def test_progress_is_read_in_every_known_form(inner, progress):
    assert entry(inner).progress == progress


@pytest.mark.parametrize(
    ("said", "done", "failed"),
    [("O", True, False), ("E", False, True), ("C", False, True), ("active", False, False)],
)
def test_the_public_states_are_understood(said, done, failed):
    step = entry(f"<state>{said}</state>", Incoming)
    assert (step.is_done, step.has_failed) == (done, failed)
