"""Applications of the older Flow with their original imports, `flow` and `vizone`.

The five do what the applications shipped with it did; they were written for this test, in the
style of their time and with profiles of that kind.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from coilmq.util.frames import Frame

from flowtools import compat
from flowtools.compat.oldmodules import ELSEWHERE, LEGACY, MODULES
from flowtools.sim.faults import Rates
from tests.conftest import ROOT
from tests.ftp_server import FtpServer
from tests.plugin_documents import document, ftp_url
from tests.running import SECONDS, finish, until
from tests.vizone_servers import client_of, stand_in

pytest_plugins = ["tests.run_fixtures", "tests.stomp_fixtures"]

TICKER = """\
from flow import Flow
from flow.source import Interval
from vizone import logging


class Ticker(Flow):
    SOURCE = Interval

    def start(self, nothing):
        assert nothing is None
        logging.info(u'It is time again.')
"""

TICKER_PROFILE = """\
[Flow]
class = ticker.Ticker
workers = 1
[Source]
interval = 1
window start = 00:00
window end = 23:59
[Viz One]
use https = no
username = username
password = password
[Logging]
level = info
"""

LISTENER = """\
from flow import Flow
from flow.needs import NeedsClient
from flow.source import GenericStompListener
from flow.lock import Locked
from vizone import logging
from vizone.payload.asset import Item


class Listener(Flow, NeedsClient):
    SOURCE = GenericStompListener

    def start(self, message):
        asset = Item(message)
        with Locked(asset.atomid):
            with open('seen', 'a') as f:
                f.write('%s %s\\n' % (message.headers['identity'], asset.title))
"""

LISTENER_PROFILE = """\
[Flow]
class = listener.Listener
workers = 1
[Source]
stomp url = {url}
[Viz One]
use https = no
username = username
password = password
"""

MAPPER = '''\
import time
from flow import Flow
from flow.needs import NeedsStore, NeedsClient, NeedsConfig
from flow.source import AssetEntryListener
from flow.operation import retry_on_conflict, Retry
from vizone import logging
from vizone.client import HTTPClientError, HTTPServerError
from vizone.vdf import Payload

Payload._default_namespace = 'http://www.vizrt.com/types'
Payload._default_output_format = 'xml_alt'


class Mapper(Flow, NeedsClient, NeedsStore, NeedsConfig):
    """
    Keeps fields of an asset in step with one another.
    """
    SOURCE = AssetEntryListener

    def configure(self, config):
        self.rules = config.items('Mappings') if config.has_section('Mappings') else []
        logging.log('Rules', self.rules, 'pp')

    @retry_on_conflict(max_retries=5)
    def start(self, asset, info=None, log_id=-1):
        try:
            before = Payload(self.client.GET(asset.describedby_link))
        except HTTPClientError as e:
            logging.error(u'(%s) No metadata: %s', log_id, e.response.status_code)
            return
        except HTTPServerError:
            time.sleep(0.1)
            raise Retry
        after = Payload(before.generate())
        names = {'asset': asset, 'metadata': after}
        for field, rule in self.rules:
            after.set(field, eval(rule, names))
        logging.log(u'(%s) Result' % log_id, after.generate(), 'xml')
        if after != before:
            self.client.PUT(asset.describedby_link, after, etag=before.response_etag)
'''

MAPPER_PROFILE = """\
[Flow]
class = mapper.Mapper
[Source]
[Viz One]
hostname = {host}
use https = no
pem file = $HOME/sles.pem
username = admin
password = $SECRET
[Mappings]
asset.synopsis = metadata.get("asset.title")
asset.keywords = asset.title + ' of ' + metadata.get('asset.synopsis')
"""

IMPORTER = '''\
from lxml import etree
from flow import Flow
from flow.needs import NeedsStore, NeedsClient, NeedsConfig
from flow.source import UnmanagedFilesListener
from flow.operation import (
    create_or_update_asset,
    delete_unmanaged_file,
    import_unmanaged_file,
)
from flow.lock import Locked
from flow.data import MultiParser
from vizone import logging
from vizone.iso8601 import Timestamp
from vizone.urilist import UriList
from vizone.payload.asset import Item
from vizone.payload.metadata import ImportExport


class Importer(Flow, NeedsClient, NeedsStore, NeedsConfig):
    """
    Brings media and the XML beside it together, whichever comes first.
    """
    SOURCE = UnmanagedFilesListener

    def configure(self, config):
        self.is_custom = config.get('Xml', 'format') == 'custom'
        self.fields = []
        for section in config.sections():
            if section.startswith('Field:'):
                options = dict((k.replace(' ', '_'), v) for k, v in config.items(section))
                xpath = options.pop('xpath')
                self.fields.append((section[6:], xpath, MultiParser(**options)))
        self.transforms = config.items('Transforms') if self.is_custom else []
        self.vdf = config.items('Vdf') if self.is_custom else []

    def start(self, f, info=None, log_id=-1):
        with Locked(f.title):
            if not f.title.lower().endswith('.xml'):
                self.take_media(f)
            elif f.media.filesize != 0:
                self.take_xml(f)

    def take_xml(self, f):
        answer = self.client.GET(f.media.url)
        if self.is_custom:
            identity, media, metadata = self.read(f.title, answer.content)
        else:
            xml = ImportExport(answer)
            identity, metadata = xml.id, xml.describedby_link.metadata
            media = xml.content.src if xml.content else None
        asset = create_or_update_asset(id=identity, metadata=metadata, client=self.client)
        delete_unmanaged_file(unmanaged_file=f, client=self.client)
        if asset.assetmediatype != 'placeholder' or not media:
            return
        known = self.store.get(media)
        if known is not None and known.get('type') == 'media':
            import_unmanaged_file(asset, UriList([known.get('link')]), client=self.client)
            self.store.delete(media)
        else:
            self.store.put(media, {'type': 'asset', 'link': asset.self_link.href})

    def take_media(self, f):
        known = self.store.get(f.title)
        if known is None:
            self.store.put(f.title, {'type': 'media', 'link': f.self_link.href})
        elif known.get('type') == 'asset':
            asset = Item(self.client.GET(known.get('link')))
            import_unmanaged_file(asset, UriList([f.self_link.href]), client=self.client)
            self.store.delete(f.title)

    def read(self, name, content):
        data = {'xml_filename': name}
        root = etree.fromstring(content)
        for field, xpath, parser in self.fields:
            found = root.xpath(xpath)
            raw = getattr(found[0], 'text', found[0]) if found else None
            data[field] = parser.convert(raw, self.client)
        logging.log('Data', data, 'pp')
        for field, rule in self.transforms:
            data[field] = eval(rule, data)
        vdf = dict((field, eval(rule, data)) for field, rule in self.vdf)
        return data['asset_id'], data.get('media_filename'), vdf
'''

IMPORTER_PROFILE = """\
[Flow]
app name = importer
class = importer.Importer
[Source]
location = xmlimport
skip empty files = {skip}
[Viz One]
hostname = {host}
use https = no
username = admin
password = $SECRET
[Xml]
#format = default
format = {format}
[Field:title]
xpath = /item/title
[Field:asset_id]
xpath = /item/@id
[Field:kept]
xpath = /item/keepuntil
type = date
format = %Y/%d/%m
[Field:category]
xpath = /item/category
type = dictionary
source = http://{host}/api/metadata/dictionary/~category
[Transforms]
heading = title + ', until ' + kept
media_filename = xml_filename[:-4] + '.mxf'
[Vdf]
form = "sim-item"
asset.title = title
asset.synopsis = heading
asset.category = category
"""

EXPORTER = '''\
from flow.transfer import TransferPlugin
from vizone.net.ftp import FXP, ftp_write, connect
from vizone import logging


class Exporter(TransferPlugin):
    """
    Exports media from server to server, and its metadata as XML.
    """

    def start(self, data):
        self.use(data)
        if self.asset.describedby_link.metadata is None:
            self.fail('There is no metadata')
        self.update_progress(0)
        fxp = FXP(self.source, self.destination, debug=True)
        fxp.run()
        fxp.quit()
        logging.log('FXP done', None, 'ok')
        self.update_progress(99)
        ftp_write(self.destination + '.xml', self.asset.describedby_link.metadata.generate())
        self.update_progress(100)
'''

EXPORTER_PROFILE = """\
[Flow]
app name = exporter
class = exporter.Exporter
[Source]
payload class = vizone.payload.transfer.PluginData
[Viz One]
use https = no
"""

FAULTS = Rates(failing=0.05, slow=0.05, drop=0.02, conflict=0.1)


@pytest.fixture
def app(tmp_path, go):
    """Start an application by its profile, with the old names on the path."""

    def run(name, text, profile, *args, server=None, **more):
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / f"{name}.ini").write_text(profile)
        env = {"PYTHONPATH": os.pathsep.join([str(LEGACY), str(ROOT)])}
        if server is not None:
            env["SECRET"] = server.password
        return go(f"{name}.ini", *args, env=env, **more)

    return run


def end(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    return process.stderr.read().decode()


def host(server):
    return server.url.removeprefix("http://")


def test_the_ticker_logs_as_its_profile_says(app):
    status, _, err = finish(app("ticker", TICKER, TICKER_PROFILE, "--count", 2))
    assert (status, err.count("It is time again.")) == (0, 2), err


def test_the_listener_reads_assets_from_messages(app, coil, tmp_path):
    entry = b'<entry xmlns="http://www.w3.org/2005/Atom"><id>urn:%d</id><title>T%d</title></entry>'
    for number in (1, 2):
        headers = {"destination": "/queue/test", "identity": f"urn:{number}"}
        coil.server.queue_manager.send(Frame("SEND", headers, entry % (number, number)))
    profile = LISTENER_PROFILE.format(url=coil.url("/queue/test"))
    assert finish(app("listener", LISTENER, profile, "--count", 2)) == (0, [], "")
    seen = sorted((tmp_path / "seen").read_text().splitlines())
    assert seen == ["urn:1 T1", "urn:2 T2"]


def test_the_mapper_updates_fields_despite_server_faults(app):
    with stand_in(echo=True, faults=FAULTS) as server, client_of(server) as client:
        for number in range(12):
            server.catalogue.create(f"Item {number}")
        profile = MAPPER_PROFILE.format(host=host(server))
        args = ["--since", "1d", "-w", 4, "--retries", 5, "--backoff", "0.05"]
        process = app("mapper", MAPPER, profile, *args, server=server)

        def all_done():
            assets = server.catalogue.assets()
            done = [f"{a.title} of {a.title}".encode() in a.payload for a in assets]
            return all(done)

        until(all_done)
        assert "error" not in end(process)
        assert client.account.url == server.url


XML = '<item id="{id}"><title>News {id}</title><keepuntil>2027/31/01</keepuntil>{category}</item>'


def put(server, name, content):
    server.catalogue.put_file("xmlimport", name, content)


@pytest.mark.parametrize("order", ["xml first", "media first"])
@pytest.mark.parametrize("form", ["default", "custom"])
def test_the_importer_matches_media_and_xml(app, form, order):
    with stand_in(import_seconds=0.05) as server, client_of(server) as client:
        profile = IMPORTER_PROFILE.format(host=host(server), format=form, skip="yes")
        process = app("importer", IMPORTER, profile, "--settle", "0.1", server=server)
        until(lambda: server._broker.has_subscriber("/topic/vizone.unmanaged.xmlimport", 0.1))
        category = "<category>sport</category>"
        content = XML.format(id="site-1", category=category)
        if form == "default":
            content = (
                '<a:entry xmlns:a="http://www.w3.org/2005/Atom" xmlns:d="http://purl.org/dc/terms/">'
                "<d:identifier>site-1</d:identifier><a:title>News site-1</a:title>"
                '<a:content src="a.mxf"/><a:link rel="describedby"><a:inline><payload'
                ' xmlns="http://www.vizrt.com/types"><field name="asset.title"><value>News site-1'
                "</value></field></payload></a:inline></a:link></a:entry>"
            )
        pair = [("a.xml", content.encode()), ("a.mxf", b"the media")]
        store = client.store("flow_importer")
        for name, said in pair if order == "xml first" else reversed(pair):
            put(server, name, said)
            until(lambda: store.get("a.mxf") is not None or imported(client))

        until(lambda: imported(client))
        until(lambda: store.get("a.mxf") is None)
        metadata = client.assets.metadata(client.assets.find_one("site-1"))
        assert metadata["asset.title"] == "News site-1"
        if form == "custom":
            assert metadata["asset.synopsis"] == "News site-1, until 2027-01-31"
            assert metadata["asset.category"] == "sport"
            assert metadata.origin("asset.category")[1].endswith(":category:sport")
        said = end(process)
        assert "warning" not in said, said


def imported(client):
    asset = client.assets.find_one("site-1")
    return asset is not None and asset.media != "placeholder" and asset.status == "online"


def test_the_exporter_transfers_between_servers_and_reports(app, tmp_path):
    with (
        stand_in() as server,
        FtpServer(tmp_path / "source") as source,
        FtpServer(tmp_path / "target") as target,
    ):
        (source.folder / "clip.mxf").write_bytes(bytes(300_000))
        addresses = {"source": ftp_url(source, "clip.mxf"), "destination": ftp_url(target, "b.mxf")}
        process = app("exporter", EXPORTER, EXPORTER_PROFILE, stdin=subprocess.PIPE)
        assert finish(process, document(server, **addresses)) == (0, [], "")
        assert (target.folder / "b.mxf").stat().st_size == 300_000
        assert b"Evening bulletin" in (target.folder / "b.mxf.xml").read_bytes()
        assert server.steps.reports["1"][-1] == ("active", 100, None)
        process = app("exporter", EXPORTER, EXPORTER_PROFILE, stdin=subprocess.PIPE)
        text = document(server, number=2, metadata=False, **addresses)
        assert finish(process, text)[0] == 0
        assert server.steps.reports["2"][-1] == ("error", 0, "There is no metadata")


# The names


def python(code, **more):
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(LEGACY), str(ROOT)])} | more
    args = [sys.executable, "-c", code]
    return subprocess.run(
        args, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def test_every_module_has_the_names_of_the_table():
    lines = [f"from {module} import {name}" for module, names in MODULES.items() for name in names]
    lines += [f"import {module}" for module in MODULES]
    found = python("\n".join([*lines, "import sys; print(len(sys.modules))"]))
    assert (found.returncode, found.stderr) == (0, "")
    for names in MODULES.values():
        for name in names:
            there = hasattr(compat, name) or name == "Instance"
            assert there or any(name in MODULES[each] for each in ELSEWHERE), name


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from flow.source.web import WebInterface", "write a Source: examples/sources"),
        ("from flow.multi import Pool", "flow-run and flow-work are the pool"),
        ("from vizone.payload.asset import Nothing", "see docs/porting.md for what to use"),
        ("import vizone.nothing", "there is no module 'vizone.nothing'"),
        ("from vizone.net.message_queue import ConnectionManager", "inherit NeedsStomp"),
    ],
)
def test_missing_parts_of_the_older_flow_give_advice(code, said):
    found = python(code)
    assert (found.returncode, said in found.stderr) == (1, True), found.stderr


def test_the_path_for_pythonpath_is_printed(run):
    status, out, err = run("flow-run", "--legacy-path")
    assert (status, Path(out.decode().strip()), err) == (0, LEGACY, "")
    assert (LEGACY / "flow" / "__init__.py").exists()


def test_python_m_flow_runs_flow_run(tmp_path):
    (tmp_path / "ticker.py").write_text(TICKER)
    (tmp_path / "ticker.ini").write_text(TICKER_PROFILE)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(LEGACY), str(ROOT)])}
    args = [sys.executable, "-m", "flow", "ticker.ini", "--count", "1", "-q"]
    found = subprocess.run(
        args, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_importing_the_old_name_without_the_path_gives_a_hint(go, tmp_path):
    (tmp_path / "ticker.py").write_text(TICKER)
    (tmp_path / "ticker.ini").write_text(TICKER_PROFILE)
    status, _, err = finish(go("ticker.ini"))
    assert status == 78
    assert "PYTHONPATH=$(flow-run --legacy-path)" in err
    assert "'flow'" in err
