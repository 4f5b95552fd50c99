"""flowtools.compat: the old names behave as before, or say what they cannot do."""

import configparser
import logging
import subprocess
from types import SimpleNamespace

import pytest

from flowtools import compat
from flowtools.compat import logging as old_logging
from flowtools.compat.defaults import DEFAULTS, add_defaults
from flowtools.compat.instance import use_for_default
from flowtools.compat.operation import new_form
from flowtools.compat.received import old_object
from flowtools.errors import ConfigurationError, ProtocolError
from flowtools.event import Event
from tests.plugin_documents import document
from tests.running import SECONDS, finish
from tests.vizone_servers import client_of, stand_in

pytest_plugins = ["tests.run_fixtures"]


@pytest.fixture
def one():
    with stand_in() as server, client_of(server) as client:
        yield SimpleNamespace(
            server=server, client=compat.Client(client), assets=client.assets, vizone=client
        )
        use_for_default(lambda: pytest.fail("the default of another test is used"))


# Values


def test_the_old_client_looks_up_a_dictionary(one):
    source = f"{one.server.url}/api/metadata/dictionary/~category"
    parser = compat.MultiParser(type="dictionary", source=source)
    term = parser.convert("news", one.client)
    assert (term.key, term.label) == ("news", "News")
    with pytest.raises(ValueError, match="has no key 'weather'"):
        parser.convert("weather", one.client)
    use_for_default(lambda: one.client)
    assert parser.convert("sport").key == "sport"
    assert (parser.convert("", one.client), parser.convert(None, one.client)) == (None, None)


def test_times_are_timestamps():
    moment = compat.MultiParser(
        type="datetime", format="%d.%m.%Y %H:%M", default_timezone="Europe/Oslo"
    ).convert("24.12.2026 18:00", None)
    assert (moment, type(moment)) == ("2026-12-24T17:00:00Z", compat.Timestamp)
    day = compat.MultiParser(type="date", format="%Y/%d/%m").convert("2026/24/12", None)
    assert day == "2026-12-24"
    iso = compat.MultiParser(type="iso").convert("2026-12-24T18:00:00+01:00", None)
    assert iso == moment
    payload = compat.Payload('<payload xmlns="http://www.vizrt.com/types"/>')
    payload.set("asset.retentionDate", day)
    assert payload.get("asset.retentionDate") == "2026-12-24"


def test_a_timestamp_serves_as_text_and_as_datetime():
    naive = compat.Timestamp("2026-12-24T18:00:00")
    assert not naive.has_tz()
    oslo = naive.assume("Europe/Oslo")
    assert (oslo.has_tz(), oslo.utc()) == (True, "2026-12-24T17:00:00Z")
    assert oslo.assume("America/New_York") == oslo
    assert naive.utc() == "2026-12-24T18:00:00Z"
    assert oslo < naive.utc() <= compat.Timestamp("2026-12-24T18:00:00Z")
    assert oslo >= compat.Timestamp("2026-12-24T17:00:00Z") > "2026-12-24T16:59:59Z"
    assert compat.Timestamp("2026-12-24") < compat.Timestamp("2026-12-25")
    assert compat.Timestamp().has_tz()
    assert "at " + compat.Timestamp("18:00") == "at 18:00"
    for wrong, act in (
        ("soon", compat.Timestamp),
        ("2026-12-24", lambda said: compat.Timestamp(said).utc()),
        ("2026-12-24T18:00:00", lambda said: compat.Timestamp(said).assume("Here")),
    ):
        with pytest.raises(ValueError, match=r"is not ISO 8601|is not a moment|no time zone"):
            act(wrong)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ({"body": "text"}, "text"),
        ({"body": {"a": [1]}, "headers": {"content-type": "application/json"}}, '{"a":[1]}'),
        ({"body": "x", "headers": {"content-type": "application/json; charset=utf-8"}}, '"x"'),
        ({"body": "{cut", "headers": {"content-type": "application/json"}}, "{cut"),
        ({"body": None, "headers": {"content-type": "application/x+json"}}, "null"),
        ({"body_base64": "/w=="}, b"\xff"),
        ({}, ""),
    ],
)
def test_the_content_of_a_message_is_bytes_or_text(data, content):
    message = old_object(Event("flow.stomp.message", {"headers": {}} | data, source="x"), None)
    assert message.content == content


def test_a_deleted_file_is_named_after_the_end_of_its_address():
    links = {"self": "http://x/api/media/unmanaged/7/clip%201.mxf"}
    event = Event("flow.file.deleted", {"name": None, "links": links}, source="http://x")
    assert old_object(event, None).title == "clip 1.mxf"
    event = Event("flow.file.deleted", {"id": "urn:a:b.mxf", "links": {}}, source="http://x")
    assert old_object(event, None).title == "b.mxf"


# The client


def test_an_error_carries_the_response_of_the_server(one):
    with pytest.raises(compat.HTTPClientError) as caught:
        one.client.GET(f"{one.server.url}/api/asset/item/1")
    response = caught.value.response
    assert (response.status_code, bool(response)) == (404, False)
    assert b"no asset" in response.content
    assert "no asset" in response.text
    assert response.url.endswith("/api/asset/item/1")
    with pytest.raises(compat.HTTPClientError) as caught:
        one.client.POST(f"{one.server.url}/thirdparty/asset/item", b"<entry/>")
    assert caught.value.response.status_code == 400


def test_the_service_document_leads_to_collections_and_templates(one):
    found = one.client.servicedoc.get_collection_by_keyword("client-config")
    url = found.get_resolve_by_id("client-config").make_url("k/1", {"vizid:application": "a"})
    one.client.PUT(url, b'"v"', {"Content-Type": "application/octet-stream"})
    assert compat.Store("a", one.client).get("k/1") == "v"
    assets = one.client.servicedoc.get_collection_by_keyword("asset")
    assert compat.Item(one.client.POST(assets.endpoint, compat.Item(id="x"))).id == "x"
    assert assets.search_link.href
    with pytest.raises(ProtocolError, match="no template 'other'"):
        assets.get_resolve_by_id("other")
    with pytest.raises(ProtocolError, match="it has no 'nothing'"):
        one.client.servicedoc.get_collection_by_keyword("nothing")


def test_a_store_takes_a_name_and_a_client(one):
    store = compat.Store("app", one.client)
    store.put("key", {"a": 1})
    assert compat.Store("app", one.vizone).get("key") == {"a": 1}
    use_for_default(lambda: one.client)
    assert compat.Store("app").get("key") == {"a": 1}
    asset = one.assets.create("One")
    store.put("key", 2, atomid=asset.id)
    assert (store.get("key", asset.id), store.get("key")) == (2, {"a": 1})
    store.delete("key")
    assert store.get("key") is None


def test_functions_use_the_client_created_by_init(one):
    host = one.server.url.removeprefix("http://")
    made = compat.init(host, one.server.user, one.server.password, secure=False, timeout=SECONDS)
    assert compat.get_default_instance() is made
    asset = compat.create_or_update_asset(id="site-1", metadata={"asset.title": "One"})
    assert asset.describedby_link.metadata.get("asset.title") == "One"
    assert compat.get_asset_by_id("site-1").atomid == asset.atomid
    with pytest.raises(compat.HTTPClientError, match="there is no asset 'site-2'") as caught:
        compat.get_asset_by_id("site-2")
    assert caught.value.response.status_code == 404
    with pytest.raises(ConfigurationError, match="init: unsupported arguments: proxy"):
        compat.init(host, "u", "p", proxy="x")
    made.one.close()


# Assets


def test_metadata_with_a_table_is_written(one):
    theirs = one.assets.create("Theirs", "site-1")
    given = compat.Payload(one.client.GET(theirs.metadata_link).content)
    given.form.rows("asset.broadcasts")[0]["broadcast.date"] = "2027-01-01"
    given.set("asset.synopsis", "Long")
    made = compat.create_or_update_asset(id="site-2", metadata=given, client=one.client)
    metadata = made.describedby_link.metadata
    assert metadata.form.rows("asset.broadcasts")[0]["broadcast.date"] == "2027-01-01"
    assert metadata.get("asset.synopsis") == "Long"
    # Parts that the given form lacks stay.
    one.assets.set_metadata(one.assets.find_one("site-2"), {"asset.own": "kept"})
    compat.create_or_update_asset(id="site-2", metadata=given, client=one.client)
    now = one.assets.metadata(one.assets.find_one("site-2"))
    assert now["asset.own"] == "kept"
    before = one.server.catalogue.asset(one.assets.find_one("site-2").identifiers["id"])
    compat.create_or_update_asset(id="site-2", metadata=given, client=one.client)
    after = one.server.catalogue.asset(before.number)
    assert after.payload_revision == before.payload_revision


def test_a_form_that_an_asset_cannot_have_is_named(one):
    asset = compat.create_or_update_asset(id="site-1", client=one.client)
    assert new_form(asset, {"form": "sim-item"}, one.client).element.get("model")
    with pytest.raises(ValueError, match="asset 'site-1' has no metadata form 'other'"):
        new_form(asset, {"form": "other"}, one.client)


def test_a_new_asset_gets_the_given_rights(one):
    acl = compat.Acl([compat.AclEntry("Editors", read=True)])
    asset = compat.create_or_update_asset(
        id="site-1", acl=acl, mediaacl=acl, tags={"s": "t"}, client=one.client
    )
    assert asset.acl.groupentries == asset.mediaacl.groupentries == acl.groupentries
    for wrong in ({"id": None}, {"rightscode": "x"}, {"materialtype": "x", "category": "y"}):
        with pytest.raises(ValueError, match=r"create_or_update_asset: (unsupported|an id)"):
            compat.create_or_update_asset(**{"id": "site-1", "client": one.client} | wrong)


# Configuration and logging


def test_a_class_gets_the_defaults_of_the_older_flow(go, tmp_path):
    (tmp_path / "app.py").write_text(
        "from flowtools.compat import Interval, Flow, NeedsConfig\n\n"
        "class App(Flow, NeedsConfig):\n"
        "    SOURCE = Interval\n"
        "    def configure(self, config):\n"
        "        self.values = [config.get('Viz One', 'hostname'), config.get('Flow', 'workers'),\n"
        "                     config.getfloat('Stomp', 'heartbeat timeout'),\n"
        "                     config.getboolean('Logging', 'formal')]\n"
        "    def start(self, message):\n"
        "        open('said', 'w').write(repr(self.values))\n"
    )
    (tmp_path / "app.ini").write_text(
        "[Flow]\nclass = app.App\nworkers = 3\n[Source]\ninterval = 1\n[Viz One]\nenabled = no\n"
    )
    assert finish(go("app.ini", "--count", 1)) == (0, [], "")
    assert (tmp_path / "said").read_text() == "['localhost', '3', 10.0, False]"


def test_defaults_do_not_replace_configured_values():
    config = configparser.ConfigParser()
    config.read_string("[Viz One]\nhostname = mine\n")
    add_defaults(config)
    assert config.get("Viz One", "hostname") == "mine"
    for section, keys in DEFAULTS.items():
        assert set(keys) <= set(config[section])


STDIN = """\
from flowtools.compat import Flow, STDIN
from flowtools.compat import Payload as Form

class Own(Form):
    pass

class App(Flow):
    SOURCE = STDIN
    def start(self, data):
        open('said', 'w').write(type(data).__name__)
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vizone.vdf.Payload", "Payload"),
        ("vizone.payload.transfer.PluginData", "PluginData"),
        ("app.Own", "Own"),
        (None, "str"),
        ("vizone.payload.Nothing", "flowtools.compat has no 'Nothing'"),
        ("app.Nothing", "cannot load 'app.Nothing'"),
        ("nowhere.Nothing", "No module named 'nowhere'"),
    ],
)
def test_the_payload_class_decides_the_object_of_a_plain_flow(go, tmp_path, name, said):
    (tmp_path / "app.py").write_text(STDIN)
    line = f"payload class = {name}\n" if name else ""
    (tmp_path / "app.ini").write_text(
        f"[Flow]\nclass = app.App\n[Source]\n{line}[Viz One]\nenabled = no\n"
    )
    process = go("app.ini", stdin=subprocess.PIPE)
    status, _, err = finish(process, b'<payload xmlns="http://www.vizrt.com/types"/>')
    if " " in said:
        assert (status, said in err) == (78, True), err
    else:
        assert (status, err) == (0, "")
        assert (tmp_path / "said").read_text() == said


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append((record.levelname, record.getMessage()))

    def take(self):
        taken, self.records = self.records, []
        return taken


@pytest.fixture
def records():
    logger = logging.getLogger("flowtools.app")
    handler = Records()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_value_is_logged_in_the_format_of_its_kind(records):
    old_logging.log("Failed", "because", "error")
    old_logging.log("Done", None, "ok")
    old_logging.log("Settings", {"a": 1}, "pp")
    assert records.take() == [("ERROR", "Failed: because"), ("INFO", "Done")]
    old_logging.log("Answer", b"<a><b/></a>", "xml", debug=False)
    old_logging.get_default_logger().debug = True
    assert old_logging.get_default_logger().debug
    old_logging.log("Answer", '{"a":[1]}', "json")
    old_logging.log("Settings", {"a": 1}, "pp")
    old_logging.log("Odd", "no xml\x1b[2J", "xml")
    assert records.take() == [
        ("INFO", "Answer:\n  <a>\n    <b/>\n  </a>"),
        ("DEBUG", 'Answer:\n  {\n    "a": [\n      1\n    ]\n  }'),
        ("DEBUG", "Settings: {'a': 1}"),
        ("DEBUG", "Odd: no xml\\x1b[2J"),
    ]
    old_logging.get_default_logger().debug = False
    with pytest.raises(AttributeError, match="--log-format"):
        old_logging.get_default_logger().color = True
    with pytest.raises(NotImplementedError, match="standard error"):
        old_logging.set_logger(None)
    assert old_logging.pretty("x" * 20_000, "pp").endswith("... (20000 characters)")


# Steps


class Reports(compat.TransferPlugin, compat.NeedsStore):
    def start(self, data):
        self.use(data)
        assert self.step is not None
        self.step.progress.done = 40
        self.step.state.state = "active"
        self.client.PUT(self.step.edit_link, self.step)
        assert self.get_progress() == ("active", 40)
        self.update_progress("67.5")
        self.step.state.state = "error"
        self.step.error = "no room"
        self.client.PUT(self.step.edit_link, self.step)


def test_a_plugin_can_set_its_step_directly(one, go):
    env = one.server.environment()
    process = go("tests.test_compat_names:Reports", stdin=subprocess.PIPE, env=env)
    status, _, err = finish(process, document(one.server))
    assert (status, err) == (0, "")
    assert one.server.steps.reports["1"] == [
        ("active", 40, None),
        ("active", 67, None),
        ("error", 67, "no room"),
    ]


def test_a_request_and_an_incoming_have_state_and_progress():
    names = 'xmlns="http://www.w3.org/2005/Atom" xmlns:t="http://ns.vizrt.com/ardome/transfer"'
    request = compat.TransferRequest(
        f"<entry {names}><t:state>active</t:state><t:priority>low</t:priority>"
        '<t:progress done="3" total="4"/></entry>'
    )
    assert (request.state.state, str(request.state), request.priority) == (
        "active",
        "active",
        "low",
    )
    assert request.state == "active"
    assert (request.progress.done, request.progress.total) == (3, 4)
    request.priority = "high"
    assert b"high" in request.generate()
    with pytest.raises(ValueError, match="there is no priority 'urgent'"):
        request.priority = "urgent"
    for part, name in ((request.state, "stat"), (request.progress, "total")):
        with pytest.raises(AttributeError):
            setattr(part, name, 1)
    incoming = compat.Incoming(f"<entry {names}><title>x</title></entry>")
    assert (incoming.progress.done, incoming.transfer_link, incoming.error) == (None, None, None)


# Sources


ENTRY = (
    '<entry xmlns="http://www.w3.org/2005/Atom"><id>urn:1</id><title>One</title>'
    '<link rel="self" href="http://h/1"/><x xmlns="urn:x">kept</x></entry>'
)


class Gives(compat.Iterable):
    def __init__(self):
        self.objects = [
            compat.Item(ENTRY),
            compat.UnmanagedFile(ENTRY),
            compat.Message({"a": "b", "content-type": "application/json"}, b'{"a": 1}'),
            compat.Message({}, b"\xff"),
            {"plain": 1},
        ]

    def next(self):
        if not self.objects:
            raise StopIteration
        return self.objects.pop(0)


class Takes(compat.Flow):
    SOURCE = Gives

    def start(self, obj):
        if isinstance(obj, compat.Message):
            said = (dict(obj.headers), obj.content)
        elif isinstance(obj, dict):
            said = obj
        else:
            said = (type(obj).__name__, obj.title, obj.atomid, b"kept" in obj.generate())
        with open("said", "a") as file:  # noqa: PTH123  as it was written then
            file.write(f"{said!r}\n")


def test_objects_of_an_old_source_reach_the_worker_complete(go, tmp_path):
    assert finish(go("tests.test_compat_names:Takes")) == (0, [], "")
    assert (tmp_path / "said").read_text().splitlines() == [
        "('Item', 'One', 'urn:1', True)",
        "('UnmanagedFile', 'One', 'urn:1', True)",
        "({'a': 'b'}, '{\"a\": 1}')",
        "({}, b'\\xff')",
        "{'plain': 1}",
    ]
