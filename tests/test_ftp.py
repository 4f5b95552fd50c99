"""flowtools.ftp: from one FTP server to another, over real sockets."""

import ftplib
import socket
import threading
import time

import pytest

from flowtools import compat, ftp
from flowtools.compat import ftp as old_ftp
from flowtools.errors import ProtocolError, RefusedError, UnreachableError
from tests.ftp_server import FtpServer
from tests.plugin_documents import ftp_url
from tests.running import until

CONTENT = bytes(range(256)) * 6000


@pytest.fixture
def servers(tmp_path):
    with (
        FtpServer(tmp_path / "source", 700_000) as source,
        FtpServer(tmp_path / "target") as target,
    ):
        (source.folder / "clip 1.mxf").write_bytes(CONTENT)
        yield source, target


def urls(servers, to="b.mxf"):
    source, target = servers
    return ftp_url(source, "clip%201.mxf"), ftp_url(target, to)


WAYS = [ftp.copy, ftp.transfer]


@pytest.mark.parametrize("way", WAYS, ids=["copy", "transfer"])
def test_a_file_arrives_complete_with_progress(servers, way, monkeypatch):
    monkeypatch.setattr(ftp, "LOOK_EVERY", 0.1)
    percents = []
    way(*urls(servers), percents.append)
    assert (servers[1].folder / "b.mxf").read_bytes() == CONTENT
    assert (percents[-1], percents) == (100, sorted(percents))
    assert len(percents) > 2


@pytest.mark.parametrize("way", WAYS, ids=["copy", "transfer"])
@pytest.mark.parametrize("what", ["no file", "no folder", "login"])
def test_a_refusal_by_the_server_is_reported_without_the_password(servers, way, what):
    source, target = servers
    if what == "no file":
        (source.folder / "clip 1.mxf").unlink()
    if what == "login":
        target.password = "wr0ng"
    kind = RefusedError if what == "login" else ProtocolError
    with pytest.raises(kind, match=r"FTP server '127.0.0.1' refuses: 5[35]0") as caught:
        way(*urls(servers, "nowhere/b.mxf" if what == "no folder" else "b.mxf"))
    assert source.password not in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    # None of our threads is left waiting.
    until(lambda: not [each for each in threading.enumerate() if each.name == "ftp"])


@pytest.mark.parametrize("way", WAYS, ids=["copy", "transfer"])
def test_a_server_that_vanishes_during_a_transfer_is_an_error(servers, way, monkeypatch):
    monkeypatch.setattr(ftp, "LOOK_EVERY", 0.1)
    source, _ = servers
    (source.folder / "clip 1.mxf").write_bytes(bytes(40_000_000))

    def drop_in_the_middle(per_cent):
        if 0 < per_cent < 100:
            source.drop()

    with pytest.raises((UnreachableError, ProtocolError)):
        way(*urls(servers), drop_in_the_middle)


def test_a_file_gets_its_final_name_once_complete(servers):
    names = []

    def note_names(per_cent):
        if per_cent < 100:
            names.extend(each.name for each in servers[1].folder.iterdir())

    assert ftp.copy(*urls(servers), note_names, temporary=".part") == len(CONTENT)
    assert set(names) == {"b.mxf.part"}
    assert [each.name for each in servers[1].folder.iterdir()] == ["b.mxf"]


def test_small_files_are_written_and_read(servers, monkeypatch):
    url = ftp_url(servers[1], "a.xml")
    ftp.write(url, b"<a/>")
    assert ftp.read(url) == b"<a/>"
    monkeypatch.setattr(ftp, "LARGEST", 3)
    with pytest.raises(ProtocolError, match=r"cannot read 'a.xml': larger than 3 bytes"):
        ftp.read(url)


def test_a_silent_server_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"ftp://u:s3cret@127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(UnreachableError, match=r"FTP server '127.0.0.1'") as caught:
            ftp.read(url, seconds=0.3)
        assert time.monotonic() - began < 20
        assert "s3cret" not in str(caught.value)
    with pytest.raises(UnreachableError, match="Connection refused"):
        ftp.read(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:s3cret@h/a",
        "ftp://u:s3cret@h",
        "ftp:///a",
        "ftp://u:s3cret@h:x/a",
        "ftp://u:s3cret@h/a%0d%0aDELE%20b",
        "ftp://u%0a:s3cret@h/a",
    ],
)
def test_a_malformed_file_address_is_refused(url):
    with pytest.raises(ValueError, match="address") as caught:
        ftp.read(url)
    assert "s3cret" not in str(caught.value)


def test_the_old_names_still_work(servers):
    source, destination = urls(servers)
    fxp = old_ftp.FXP(source, destination, debug=True)
    fxp.run()
    fxp.quit()
    old_ftp.ftp_write(destination + ".xml", "<a/>")
    connection, path = old_ftp.connect(destination, debug=True)
    assert isinstance(connection, ftplib.FTP)
    assert connection.size(path) == len(CONTENT)
    connection.quit()
    assert compat.ftp_write is old_ftp.ftp_write
    assert (servers[1].folder / "b.mxf.xml").read_bytes() == b"<a/>"
