"""The applications in examples/, each run end to end by its profile against the stand-in."""

import re
import signal
import subprocess

import httpx
import pytest
from coilmq.util.frames import Frame

from flowtools.event import Event
from flowtools.run.profile import new_parser
from flowtools.testing import make_event, run_worker, viz_one
from flowtools.vizone.document import parse
from flowtools.vizone.metadata import Payload
from flowtools.worker import Reject
from tests.conftest import ROOT
from tests.ftp_server import FtpServer
from tests.plugin_documents import document, ftp_url
from tests.running import SECONDS, finish, until
from tests.stomp_servers import Lines
from tests.vizone_servers import client_of, stand_in

pytest_plugins = ["tests.run_fixtures", "tests.stomp_fixtures"]
APPS = ROOT / "examples"
NAMES = ["interval_stub", "metadata_mapper", "stomp_stub", "xml_export", "xml_import"]


@pytest.fixture
def app(go):
    def run(name, *args, **options):
        return go(str(APPS / name / f"{name}.ini"), *args, **options)

    return run


def end(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    return process.stderr.read().decode()


@pytest.mark.parametrize("name", NAMES)
def test_each_application_has_a_module_a_profile_and_a_readme(name):
    files = {path.name for path in (APPS / name).iterdir() if path.name != "__pycache__"}
    assert files == {"__init__.py", f"{name}.py", f"{name}.ini", "README.md"}
    readme = (APPS / name / "README.md").read_text()
    assert f"flow-run examples/{name}/{name}.ini" in readme
    text = (APPS / name / f"{name}.py").read_text()
    assert re.search(r"(?<![.\w])(eval|exec)\(", text) is None
    assert len(text.splitlines()) < 250


# Metadata mapper


def test_the_mapper_finds_the_metadata_of_an_asset_by_its_address():
    from examples.metadata_mapper.metadata_mapper import MetadataMapper

    with viz_one() as one, one.client() as client:
        asset = client.assets.create("News")
        links = {"self": asset.self_link}
        event = make_event("flow.asset.changed", {"title": None, "links": links})
        config = {"Mappings": {"asset.synopsis": "metadata['asset.title']"}}
        run_worker(MetadataMapper, event, config=config, viz_one=one).check()
        assert client.assets.metadata(asset)["asset.synopsis"] == "News"


def test_the_mapper_sets_fields_once_and_then_finds_nothing_to_do(app):
    with stand_in(echo=True) as server, client_of(server) as client:
        for number in range(6):
            server.catalogue.create(f"Item {number}" + " with a long title" * (number % 2))
        args = ["--since", "1d", "--count", "12", "--set", "Viz One.use https=no"]
        # Each write is reported as an update: the second time there is nothing to do.
        status, _, err = finish(app("metadata_mapper", *args, env=server.environment()))
        assert (status, err) == (0, "")
        for asset in client.assets.find():
            metadata = client.assets.metadata(asset)
            title = metadata["asset.title"]
            assert metadata["asset.synopsis"] == f"{title} (news)"
            assert metadata["asset.keywords"] == ("short" if len(title) < 20 else "long")
            assert server.catalogue.asset(asset.identifiers["id"]).payload_revision == 2


def mapper(expression):
    from examples.metadata_mapper.metadata_mapper import MetadataMapper

    made = MetadataMapper()
    config = new_parser()
    config.read_string(f"[Mappings]\nasset.Title = {expression}\n")
    made.configure(config)
    return made


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('touch owned')",
        "().__class__.__bases__[0].__subclasses__()",
        "open('/etc/passwd').read()",
        "metadata.__init__.__globals__",
        "'{0.__class__}'.format(metadata)",
        "9**9**9",
        "'x' * 10**9",
        "asset.no_such_thing",
        "metadata.get('asset.synopsis') + 'text'",
    ],
)
def test_an_expression_reaches_only_the_names_it_is_given(expression):
    payload = Payload(parse(b'<payload xmlns="http://www.vizrt.com/types"/>', name="x"))
    with pytest.raises(Reject, match=r"\[Mappings\] asset.Title = "):
        mapper(expression).value("asset.Title", payload, object())


def test_a_malformed_expression_is_reported_at_the_start(app):
    with stand_in() as server:
        args = ["--set", "Mappings.asset.synopsis=", "--set", "Mappings.x=1 +"]
        status, _, err = finish(app("metadata_mapper", *args, env=server.environment()))
    assert status == 78
    assert "cannot configure Worker 'metadata_mapper:MetadataMapper': ValueError: [Mappings]" in err


# XML import

XML = """<item xmlns="http://example.com/broadcast" id="{id}"><title>News {id}</title>
<starts>24.12.2026 18:00</starts><category>sport</category></item>"""


def put(server, name, content):
    url = f"{server.url}/files/xmlimport/{name}"
    httpx.put(url, content=content, auth=(server.user, server.password)).raise_for_status()


@pytest.fixture
def importing(app):
    with stand_in(import_seconds=0.05) as server, client_of(server) as client:
        args = ["--set", "Viz One.use https=no", "--set", "Source.settle=0.1", "-v", "--retries", 5]
        process = app("xml_import", *args, env=server.environment())
        until(lambda: server._broker.has_subscriber("/topic/vizone.unmanaged.xmlimport", 0.1))
        yield server, client, process


def imported(client, identity):
    asset = client.assets.find_one(identity)
    return asset is not None and asset.media != "placeholder" and asset.status == "online"


def names(client):
    return sorted(f.name for f in client.files.find(client.files.location("xmlimport")))


@pytest.mark.parametrize("order", ["xml first", "media first"])
def test_a_pair_becomes_an_asset_in_either_order(importing, order):
    server, client, process = importing
    pair = [("a.xml", XML.format(id="site-a")), ("a.mxf", b"the media")]
    for name, content in pair if order == "xml first" else reversed(pair):
        put(server, name, content)
        if order == "xml first":
            until(lambda: client.assets.find_one("site-a") is not None)
        else:
            until(lambda: client.store("flow_xmlimport").get("a.mxf") or name == "a.xml")  # noqa: B023
    until(lambda: imported(client, "site-a"))
    until(lambda: client.store("flow_xmlimport").get("a.mxf") is None)
    metadata = client.assets.metadata(client.assets.find_one("site-a"))
    assert metadata["asset.title"] == "News site-a"
    assert metadata["asset.synopsis"] == "News site-a, 2026-12-24 17:00:00+00:00"
    assert metadata["asset.category"] == "sport"
    # The XML was removed, and with it the reason to import it again.
    until(lambda: "a.xml" not in names(client))
    end(process)


def test_a_new_process_uses_what_the_previous_one_stored(importing, app):
    server, client, process = importing
    put(server, "b.xml", XML.format(id="site-b"))
    until(lambda: (client.store("flow_xmlimport").get("b.mxf") or {}).get("type") == "asset")
    process.kill()
    process.wait()
    # Wait for this, so that the subscription below is that of the second process.
    until(lambda: not server._broker.has_subscriber("/topic/vizone.unmanaged.xmlimport", 0))
    args = ["--set", "Viz One.use https=no", "--set", "Source.settle=0"]
    second = app("xml_import", *args, env=server.environment())
    until(lambda: server._broker.has_subscriber("/topic/vizone.unmanaged.xmlimport", 0.1))
    put(server, "b.mxf", b"the media")
    until(lambda: imported(client, "site-b"))
    assert "warning" not in end(second)


def test_bad_xml_is_reported_and_other_imports_continue(importing):
    server, client, process = importing
    put(server, "c.xml", XML.replace(' id="{id}"', ""))
    put(server, "d.xml", XML.format(id="site-d"))
    put(server, "e.xml", XML.format(id="e").replace("sport", "weather"))
    until(lambda: client.assets.find_one("site-d") is not None)
    until(lambda: names(client) == ["c.xml", "e.xml"])
    lines = Lines(process.stderr)
    wanted = {b"c.xml: no field or transform gives it an asset_id", b"has no key 'weather'"}
    while wanted:
        line = lines.next()
        wanted = {each for each in wanted if each not in line}


def test_the_default_format_is_that_of_viz_one():
    from examples.xml_import.xml_import import DefaultFormat

    content = b"""<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:d="http://purl.org/dc/terms/">
    <a:id>urn:vme:default:asset:1</a:id><d:identifier>site-1</d:identifier><a:title>One</a:title>
    <a:content src="one.mxf"/><a:link rel="describedby"><a:inline>
    <payload xmlns="http://www.vizrt.com/types"><field name="asset.title"><value>One</value></field>
    </payload></a:inline></a:link></a:entry>"""
    found = DefaultFormat(None).read("x.xml", content, None)
    assert (found.identity, found.title, found.media) == ("site-1", "One", "one.mxf")
    assert found.metadata == {"asset.title": "One"}


# XML export


@pytest.fixture
def servers(tmp_path):
    with (
        stand_in() as server,
        FtpServer(tmp_path / "source", 600_000) as source,
        FtpServer(tmp_path / "target") as target,
    ):
        yield server, source, target


def exporting(app, server, source, target, **more):
    text = document(
        server,
        source=ftp_url(source, "clip%201.mxf"),
        destination=ftp_url(target, "exports/clip.mxf"),
        **more,
    )
    process = app("xml_export", stdin=subprocess.PIPE)
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    return process


def export(app, server, source, target, **more):
    return finish(exporting(app, server, source, target, **more))


def exporting_for_long(app, servers):
    """Start an export, and wait until part of it is done."""
    server, source, target = servers
    (source.folder / "clip 1.mxf").write_bytes(bytes(40_000_000))
    (target.folder / "exports").mkdir()
    process = exporting(app, server, source, target)
    until(lambda: any(each[1] for each in server.steps.reports.get("1", ())))
    return process


def test_media_and_metadata_are_exported_with_progress(app, servers):
    server, source, target = servers
    content = bytes(range(256)) * 8000
    (source.folder / "clip 1.mxf").write_bytes(content)
    (target.folder / "exports").mkdir()
    assert export(app, server, source, target) == (0, [], "")
    assert (target.folder / "exports" / "clip.mxf").read_bytes() == content
    metadata = Payload(
        parse((target.folder / "exports" / "clip.mxf.xml").read_bytes(), name="exported")
    )
    assert metadata["asset.title"] == "Evening bulletin"
    reports = server.steps.reports["1"]
    done = [per_cent for _, per_cent, _ in reports]
    assert (done[0], done[-1], done) == (0, 100, sorted(done))
    # Two megabytes take about three seconds here, and reports are a second apart.
    assert 3 <= len(done) <= 10
    assert {(state, error) for state, _, error in reports} == {("active", None)}


@pytest.mark.parametrize("what", ["no file", "no folder", "login", "no metadata"])
def test_an_export_that_fails_says_why_and_ends_with_status_0(app, servers, what):
    server, source, target = servers
    if what != "no file":
        # More than is in transit when the target refuses it, so that the source is interrupted.
        (source.folder / "clip 1.mxf").write_bytes(bytes(4_000_000))
    if what == "login":
        target.password = "other"
    status, _, err = export(app, server, source, target, metadata=what != "no metadata")
    assert status == 0
    state, _, error = server.steps.reports["1"][-1]
    said = {
        "no file": "cannot export: FTP server '127.0.0.1' refuses: 550",
        "no folder": "cannot export: FTP server '127.0.0.1' refuses: 550",
        "login": "cannot export: FTP server '127.0.0.1' refuses: 530",
        "no metadata": "the asset has no metadata",
    }
    assert (state, error.startswith(said[what])) == ("error", True), error
    assert source.password not in err
    assert server.password not in err


def test_a_server_that_vanishes_during_an_export_is_reported(app, servers):
    server, source, _ = servers
    process = exporting_for_long(app, servers)
    source.drop()
    assert process.wait(SECONDS) == 0
    state, done, error = server.steps.reports["1"][-1]
    assert (state, done > 0) == ("error", True)
    assert error.startswith("cannot export: ")
    assert error != "cannot export: "


def test_a_stopped_export_is_reported_as_aborted(app, servers):
    server, *_ = servers
    process = exporting_for_long(app, servers)
    end(process)
    state, done, error = server.steps.reports["1"][-1]
    assert (state, done > 0) == ("error", True)
    assert error == "aborted: its process was asked to end"


# The stubs


def test_the_stomp_stub_returns_each_message(coil, app):
    for body, identity in (("one", "a"), ("two", "b")):
        frame = Frame("SEND", {"destination": "/queue/test", "identity": identity}, body.encode())
        coil.server.queue_manager.send(frame)
    env = {"MQ_HOST": f"127.0.0.1:{coil.port}"}
    status, events, err = finish(app("stomp_stub", "--count", 2, env=env))
    assert (status, err) == (0, "")
    assert sorted(e["data"]["body"] for e in events) == ["one", "two"]
    assert {e["data"]["identity"] for e in events} == {"a", "b"}
    assert coil.store.size("/queue/test") == 0


def test_the_stomp_stub_receives_asset_messages_of_the_stand_in(app):
    with stand_in(assets=3, rate=100) as server:
        host = server.stomp_url.removeprefix("stomp://").rstrip("/")
        with client_of(server) as client:
            monitor = client.assets.feed().link("monitor")
        topic = monitor.partition("destination=")[2].partition("&")[0]
        url = f"Source.stomp url=stomp://{host}/?destination={topic}"
        login = {"FLOW_USER": server.user, "FLOW_PASSWORD": server.password, "MQ_HOST": host}
        status, events, _ = finish(app("stomp_stub", "--set", url, "--count", 3, env=login))
    assert status == 0
    assert all(e["data"]["identity"].startswith("urn:vme:") for e in events)


def test_the_interval_stub_ticks(app):
    with stand_in() as server:
        args = ["--set", "Source.interval=0.05", "--count", 3]
        args += ["--set", "Source.window start=", "--set", "Source.window end="]
        status, _, err = finish(app("interval_stub", *args, env=server.environment()))
    assert status == 0
    assert [line.partition(": tick ")[2][0] for line in err.splitlines()] == ["1", "2", "3"]


def test_a_mapper_can_be_subclassed_in_python():
    from examples.metadata_mapper.metadata_mapper import MetadataMapper

    class Ours(MetadataMapper):
        def configure(self, config):
            self.mappings = ["asset.synopsis"]

        def value(self, field, metadata, asset):
            return f"about {asset.title}"

    with stand_in() as server, client_of(server) as client:
        made = server.catalogue.create("One")
        url = f"{server.url}/api/asset/item/{made.number}/metadata"
        ours = Ours()
        ours.client = client
        ours.configure(None)
        data = {"title": "One", "links": {"describedby": url}}
        ours.start(Event("flow.asset.created", data, source="x"))
        assert client.metadata(url)["asset.synopsis"] == "about One"
