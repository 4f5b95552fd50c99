"""flowtools.compat: classes in the style of the older Flow run after a change of imports."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from coilmq.util.frames import Frame

from flowtools import compat
from flowtools.compat.received import old_object
from flowtools.event import Event
from flowtools.run.profile import new_parser
from flowtools.worker.needs import Equipment, make
from tests.plugin_documents import document
from tests.running import SECONDS, finish, until
from tests.vizone_servers import client_of, stand_in

pytest_plugins = ["tests.run_fixtures", "tests.stomp_fixtures"]

OLD_MAPPER = '''\
from flow import Flow
from flow.needs import NeedsClient, NeedsStore, NeedsConfig, NeedsCleanUp
from flow.source import AssetEntryListener
from flow.operation import retry_on_conflict
from flow.lock import Locked
from vizone import logging
from vizone.client import HTTPClientError
from vizone.vdf import Payload

Payload._default_namespace = 'http://www.vizrt.com/types'


class Stamp(Flow, NeedsClient, NeedsStore, NeedsConfig, NeedsCleanUp):
    """
    Puts the words of the profile into a field of each asset.
    """
    SOURCE = AssetEntryListener

    def configure(self, config):
        self.words = dict(config.items('Words'))
        self.field = config.get('Stamp', 'fieldName')

    @retry_on_conflict(max_retries=5)
    def start(self, asset, conflict=False):
        with Locked(asset.atomid):
            logging.info(u'Asset %s "%s"', asset.id, asset.title)
            try:
                metadata = Payload(self.client.GET(asset.describedby_link))
            except HTTPClientError as e:
                logging.error(u'No metadata: %s', e.response.status_code)
                return
            before = Payload(metadata.generate())
            metadata.set(self.field, self.words['Stamp'] + ' ' + metadata.get('asset.title'))
            if metadata != before:
                self.client.PUT(asset.describedby_link, metadata, etag=metadata.response_etag)
            self.store.put(asset.atomid, {'instance': self.instance_name})

    def clean_up(self):
        open('cleaned', 'w').close()
'''

OLD_PLUGIN = """\
from flow.transfer import TransferPlugin
from vizone import logging


class Say(TransferPlugin):
    def start(self, plugin_data):
        self.use(plugin_data)

        self.update_progress(0)

        if self.asset.describedby_link.metadata is None:
            self.fail('Asset has no metadata')
        logging.info(u'From %s to %s', self.source, self.destination)
        with open('said', 'w') as f:
            f.write(self.asset.title + self.settings.get('plugin.suffix'))
            f.write(self.asset.describedby_link.metadata.generate().decode())

        self.update_progress(100)
"""


def ported(old):
    """Change only the import lines."""
    lines = []
    for line in old.splitlines():
        if line.startswith("from "):
            line = "from flowtools.compat import " + line.split(" import ")[1]
        lines.append(line)
    changed = [a for a, b in zip(old.splitlines(), lines, strict=True) if a != b]
    assert all(each.startswith("from ") for each in changed)
    return "\n".join(lines) + "\n"


@pytest.fixture
def app(tmp_path):
    """Write an application into its own directory; return the path of its profile."""

    def write(text, profile):
        folder = tmp_path / "app"
        folder.mkdir()
        (folder / "app.py").write_text(ported(text))
        (folder / "app.ini").write_text(profile)
        return "app/app.ini"

    return write


def test_an_old_worker_with_its_old_profile_runs(app, go, tmp_path):
    with stand_in() as server:
        for number in range(10):
            server.catalogue.create(f"Item {number}")
        path = app(
            OLD_MAPPER,
            "[Flow]\napp name = stamp\nclass = app.Stamp\nworkers = 4\n[Source]\n[Viz One]\n"
            f"hostname = {server.url.removeprefix('http://')}\nuse https = no\n"
            "username = admin\npassword = $SECRET\n"
            "[Stamp]\nfieldName = asset.synopsis\n[Words]\nStamp = seen\n",
        )
        env = {"SECRET": server.password}
        assert finish(go(path, "--since", "1d", "--count", 10, env=env)) == (0, [], "")
        assert (tmp_path / "app" / "cleaned").exists()
        with client_of(server) as client:
            found = list(client.assets.find())
            assert len(found) == 10
            for asset in found:
                metadata = client.assets.metadata(asset)
                assert metadata["asset.synopsis"] == f"seen {metadata['asset.title']}"
                kept = client.store("flow_stamp").get(asset.id)
                assert kept == {"instance": "stamp"}


def test_an_old_worker_runs_in_a_pipe_too(app, shell, variables, tmp_path):
    with stand_in(assets=5, rate=100) as server:
        app(OLD_MAPPER, "[Stamp]\nfieldName = asset.synopsis\n[Words]\nStamp = seen\n")
        line = "flow-listen-assets --count 5 | flow-work app:Stamp --config app.ini -j 2"
        env = variables | server.environment()
        status, _, err = shell(line, cwd=tmp_path / "app", **env)
        # --config has keys without case; only a profile keeps it.
        assert status == 1
        assert "KeyError: 'Stamp'" in err


def test_an_old_plugin_runs(app, go, tmp_path):
    with stand_in() as server:
        path = app(
            OLD_PLUGIN,
            "[Flow]\napp name = say\nclass = app.Say\n[Source]\n"
            "payload class = vizone.payload.transfer.PluginData\n[Viz One]\nuse https = no\n",
        )
        process = go(path, stdin=subprocess.PIPE)
        assert finish(process, document(server)) == (0, [], "")
        assert [each[:2] for each in server.steps.reports["1"]] == [("active", 0), ("active", 100)]
        said = (tmp_path / "app" / "said").read_text()
        assert said.startswith("Evening bulletinxml<?xml")
        process = go(path, stdin=subprocess.PIPE)
        assert finish(process, document(server, number=2, metadata=False))[0] == 0
        assert server.steps.reports["2"][-1] == ("error", 0, "Asset has no metadata")


# Sources


class Numbers(compat.Iterable, compat.NeedsConfig, compat.NeedsCleanUp):
    def __init__(self, first="0"):
        self.number = int(first)

    def configure(self, config):
        self.last = config.getint("Numbers", "last")

    def next(self):
        if self.number > self.last:
            raise StopIteration
        self.number += 1
        return self.number - 1

    def clean_up(self):
        print("cleaned up")


class Ask(compat.Once):
    def run(self):
        return {"asked": True}


class Bell(compat.EventBased):
    def run(self):
        self.callback("ding")
        self.callback("dong", {"some": "header"})


class Listens(compat.EventBased, compat.NeedsStomp):
    def __init__(self, stomp_url):
        self.url = stomp_url

    def run(self):
        self.stomp.register_handler(self.url, self.heard)

    def heard(self, message):
        if message.content == b"bad":
            raise ValueError("bad")
        self.callback(message.content.decode() + message.headers["kind"])


class OnListens(compat.Flow):
    SOURCE = Listens

    def start(self, obj):
        with Path("heard").open("a") as file:
            file.write(f"{obj}\n")


class OnNumbers(OnListens):
    SOURCE = Numbers


@pytest.mark.parametrize(
    ("name", "args", "values", "said"),
    [
        ("Numbers", ["--set", "Numbers.last=2"], [0, 1, 2], "flow-source: source: cleaned up\n"),
        ("Ask", [], [{"asked": True}], ""),
        ("Bell", ["--count", "2"], ["ding", "dong"], ""),
    ],
)
def test_all_three_kinds_of_source_run(run, variables, name, args, values, said):
    status, out, err = run("flow-source", f"tests.test_compat:{name}", *args, env=variables)
    assert (status, [json.loads(line)["data"] for line in out.splitlines()]) == (0, values)
    assert err == said


def test_a_source_without_a_loop_runs_until_the_signal(start, variables):
    process = start("flow-source", "tests.test_compat:Bell", env=variables)
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_source_gets_its_options_and_its_broker(coil, go, tmp_path):
    for body in (b"a", b"bad", b"b"):
        frame = Frame("SEND", {"destination": "/queue/a", "kind": "!"}, body)
        coil.server.queue_manager.send(frame)
    profile = tmp_path / "app.ini"
    profile.write_text(
        "[Flow]\nclass = tests.test_compat.OnListens\n"
        f"[Source]\nstomp url = {coil.url()}\n[Viz One]\nenabled = no\n"
    )
    process = go("app.ini")
    heard = tmp_path / "heard"
    until(lambda: heard.exists() and heard.read_text() == "a!\nb!\n")
    until(lambda: coil.store.size("/queue/a.failed") == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert coil.store.size("/queue/a") == 0
    profile.write_text(
        "[Flow]\nclass = tests.test_compat.OnNumbers\n[Source]\nfirst = 3\n[Numbers]\nlast = 4\n"
    )
    assert finish(go("app.ini"))[0] == 0
    assert heard.read_text() == "a!\nb!\n3\n4\n"


def test_a_handler_whose_login_is_refused_connects_again(script, go, tmp_path):
    (tmp_path / "again.py").write_text(
        "from flowtools.compat import stomp\nfrom tests.test_compat import OnListens\n\n"
        "stomp.AGAIN = 0.1\n\n\nclass Again(OnListens):\n    pass\n"
    )
    (tmp_path / "again.ini").write_text(
        "[Flow]\nclass = again.Again\n"
        f"[Source]\nstomp url = {script.url()}\n[Viz One]\nenabled = no\n"
    )
    process = go("again.ini")
    for _ in range(2):
        peer = script.accept()
        peer.read("CONNECT")
        peer.write("ERROR", {"message": "denied"})
        peer.close()
    peer = script.accept()
    peer.subscribed()
    peer.message(1, b"a", kind="!")
    heard = tmp_path / "heard"
    until(lambda: heard.exists() and heard.read_text() == "a!\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    said = process.stderr.read().decode()
    assert said.count("refuses the login: denied; connecting again in 0.1 seconds") == 2


# Objects


def no_fetch(url):
    raise AssertionError(f"nothing needs {url}")


def old(event, fetch=no_fetch):
    return old_object(event, fetch)


def test_an_event_becomes_the_old_kind_of_object():
    links = {
        "self": "http://x/1",
        "describedby": "http://x/1/m",
        "import-unmanaged": "http://x/1/i",
    }
    data = {
        "id": "urn:vme:default:asset:1",
        "title": "One",
        "identifiers": {"id": "1", "identifier": "site-1"},
        "status": "online",
        "media": "video",
        "updated": "2026-01-01T00:00:00Z",
        "links": links,
        "keywords": [{"scheme": "s", "term": "t"}, {"scheme": None, "term": "u"}],
    }
    item = old(Event("flow.asset.updated", data, source="x"))
    assert (item.atomid, item.id, item.title) == ("urn:vme:default:asset:1", "site-1", "One")
    assert (item.assetmediatype, item.mediastatus) == ("video", "online")
    assert item.keywords == [("s", "t"), (None, "u")]
    assert item.import_unmanaged_link.href == "http://x/1/i"
    assert (item.edit_link.href, item.monitor_link) == ("http://x/1", None)
    assert item.describedby_link.metadata is None
    item = old(Event("flow.asset.deleted", data | {"links": {}}, source="x"))
    assert (item.mediastatus, item.title, item.describedby_link) == ("deleted", "One", None)
    data = {"name": "a.mxf", "size": 0, "url": "http://x/f", "links": {"self": "http://x/1"}}
    file = old(Event("flow.file.created", data, source="x"))
    assert (file.title, file.media.url, file.media.filesize) == ("a.mxf", "http://x/f", 0)
    assert file.delete_link.href == "http://x/1"
    message = Event("flow.stomp.message", {"headers": {"a": "b"}, "body": "c"}, source="x")
    assert old(message).headers == {"a": "b"}
    assert old(message).content == "c"
    assert old(Event("flow.interval.tick", {"number": 1}, source="x")) is None
    assert old(Event("mine", [1], source="x")) == [1]


def test_the_old_operations_work():
    with stand_in() as server, client_of(server) as one:
        client = compat.Client(one)
        fields = {"form": "hubitem", "asset.synopsis": "Long", "asset.title": "T"}
        for _ in range(2):
            asset = compat.create_or_update_asset(
                id="site-1", metadata=fields, tags={"s": "t"}, client=client, log_id=-1
            )
        assert asset.describedby_link.metadata.get("asset.synopsis") == "Long"
        assert (asset.id, asset.keywords) == ("site-1", [("s", "t")])
        assert asset.assetmediatype == "placeholder"
        with pytest.raises(ValueError, match="unsupported arguments: rightscode"):
            compat.create_or_update_asset(id="site-1", rightscode="x", client=client)
        assert compat.set_group_permissions(asset.acl, "Editors", admin=False)
        assert not compat.set_group_permissions(asset.acl, "Editors", admin=False)
        client.PUT(asset.edit_link, asset)
        again = compat.Item(client.GET(asset.self_link))
        assert [(e.name, e.read, e.admin) for e in again.acl.groupentries] == [
            ("Editors", True, False)
        ]
        server.catalogue.put_file("xmlimport", "a.mxf", b"bytes")
        location = one.files.location("xmlimport")
        (file,) = compat.UnmanagedFileCollection(client.GET(location.link("down"))).entries
        uris = compat.UriList([file.self_link])
        assert compat.import_unmanaged_file(asset, uris, client=client, log_id=-1)
        assert not compat.import_unmanaged_file(asset, uris, client=client)
        compat.delete_unmanaged_file(file, client=client, log_id=-1)
        compat.delete_unmanaged_file(file, client=client)
        with pytest.raises(compat.HTTPClientError) as caught:
            client.GET(file.self_link)
        assert caught.value.response.status_code == 404
        assert client.GET(file.self_link, check_status=False).status_code == 404


def test_a_conflict_is_retried_and_the_last_one_is_raised():
    calls = []

    @compat.retry_on_conflict(max_retries=3)
    def change(entry, conflict=False):
        calls.append(conflict)
        if len(calls) < 3:
            raise compat.HTTPClientError(compat.Response(409, b"", {}, "x"))
        return entry

    assert change("entry") == "entry"
    assert calls == [False, True, True]

    @compat.retry_on_conflict()
    def never():
        raise compat.Retry

    with pytest.raises(compat.Retry):
        never()


def test_conflict_is_passed_only_to_functions_that_have_such_an_argument():
    @compat.retry_on_conflict()
    def local():
        conflict = ["a variable", "of its own"]
        return " ".join(conflict)

    @compat.retry_on_conflict()
    def options(**options):
        return options

    class Callable:
        def __call__(self, *, conflict):
            return conflict

    assert local() == "a variable of its own"
    assert options() == {"conflict": False}
    assert compat.retry_on_conflict()(Callable())() is False


@pytest.mark.parametrize("times", [0, -1])
def test_a_function_is_called_once_even_with_less_than_one_retry(times):
    @compat.retry_on_conflict(max_retries=times)
    def change():
        return "done"

    assert change() == "done"


def test_a_marker_without_its_method_is_named():
    class Bare(compat.Once, compat.NeedsConfig):
        pass

    with pytest.raises(Exception, match="NeedsConfig must define configure"):
        make("Source", Bare, "Bare", new_parser(), {}, Equipment("x"))
