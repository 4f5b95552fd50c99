"""flow-run: the options of its listener, on the command line or in [Source] of a profile."""

from importlib import import_module

import pytest
from coilmq.util.frames import Frame

from tests.running import finish
from tests.vizone_servers import client_of, stand_in

pytest_plugins = ["tests.run_fixtures", "tests.stomp_fixtures"]

APP = """\
from flowtools.source.asset import AssetEntryListener
from flowtools.source.interval import Interval
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.stomp import GenericStompListener
from flowtools.source.watch import HotFolder

class OnAssets:
    SOURCE = AssetEntryListener
    def start(self, event):
        return event.data

class OnFiles(OnAssets):
    SOURCE = UnmanagedFilesListener

class OnStomp(OnAssets):
    SOURCE = GenericStompListener

class OnTicks(OnAssets):
    SOURCE = Interval

class OnFolder(OnAssets):
    SOURCE = HotFolder
"""


@pytest.fixture
def app(tmp_path, go):
    (tmp_path / "app.py").write_text(APP)

    def run(name, *args, keys=None, server=None):
        env = {} if server is None else server.environment()
        if keys is None:
            return finish(go(f"app:{name}", *args, env=env))
        lines = "".join(f"{key} = {said}\n" for key, said in keys.items())
        (tmp_path / "app.ini").write_text(
            f"[Flow]\nclass = app.{name}\n[Viz One]\nuse https = no\n[Source]\n{lines}"
        )
        return finish(go("app.ini", *args, env=env))

    return run


def datas(result):
    status, events, err = result
    assert (status, err) == (0, "")
    return [event["data"] for event in events]


@pytest.mark.parametrize("listener", ["listen_assets", "listen_files", "listen_stomp"])
def test_flow_run_has_every_option_of_the_listener(listener):
    def options(command):
        params = import_module(f"flowtools.commands.{command}").main.params
        return {name for param in params for name in param.opts if name.startswith("-")}

    # There is no --ack, as the pool always acknowledges, and no --browse, which takes no messages.
    assert options(listener) - options("run") - {"--browse"} == {"--ack"}


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "in the profile"])
def test_assets_are_selected_and_completed_as_requested(app, typed):
    with stand_in() as server, client_of(server) as client:
        client.assets.create("One", "site-1")
        server.catalogue.create("Film", media="video", status="online")
        server.catalogue.create("Sound", media="audio", status="online")
        if typed:
            args = ["--all", "--media", "video", "--status", "online"]
            args += ["--metadata", "--xml", "--resolve", "--count", 1]
            result = app("OnAssets", *args, server=server)
        else:
            keys = {"all": "yes", "media": "video, film", "status": "online", "count": "1"}
            keys |= {"metadata": "yes", "xml": "yes", "resolve": "yes"}
            result = app("OnAssets", keys=keys, server=server)
        (data,) = datas(result)
        assert (data["title"], data["metadata"]["asset.title"]) == ("Film", "Film")
        assert "entry" in data["xml"]


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "in the profile"])
def test_existing_reports_files_that_are_already_there_first(app, typed):
    with stand_in() as server:
        server.catalogue.put_file("xmlimport", "empty.mxf", b"")
        server.catalogue.put_file("xmlimport", "a.mxf", b"bytes")
        if typed:
            args = ["--existing", "--skip-empty", "--settle", "0.1", "--xml", "--count", 1]
            result = app("OnFiles", *args, keys={"location": "xmlimport"}, server=server)
        else:
            keys = {"Location": "xmlimport", "existing": "yes", "skip_empty_files": "yes"}
            keys |= {"settle": "0.1", "xml": "yes", "count": "1"}
            result = app("OnFiles", keys=keys, server=server)
        (data,) = datas(result)
        assert (data["name"], "fileSize" in data["xml"]) == ("a.mxf", True)


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "in the profile"])
def test_existing_works_for_a_hot_folder(app, tmp_path, typed):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "empty.mxf").touch()
    (tmp_path / "in" / "full.mxf").write_bytes(b"bytes")
    keys = {"directory": "in"}
    if typed:
        args = ["--existing", "--skip-empty", "--settle", "0.1", "--count", 1]
        result = app("OnFolder", *args, keys=keys | {"settle": "600"})
    else:
        keys |= {"existing": "yes", "skip empty": "yes", "settle": "0.1"}
        result = app("OnFolder", "--count", 1, keys=keys)
    (data,) = datas(result)
    assert data["name"] == "full.mxf"


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "in the profile"])
def test_idle_empties_the_queue_and_then_ends(app, coil, typed):
    for body in (b"a", b"b"):
        coil.server.queue_manager.send(Frame("SEND", {"destination": "/queue/a"}, body))
    keys = {"stomp url": coil.url()} | ({} if typed else {"idle": "0.5", "prefetch": "10"})
    args = ["--idle", "0.5", "--prefetch", "10"] if typed else []
    found = datas(app("OnStomp", *args, keys=keys))
    assert sorted(each["body"] for each in found) == ["a", "b"]
    assert coil.store.size("/queue/a") == 0


def test_typed_options_override_the_profile(app):
    with stand_in() as server:
        for media in ("video", "audio"):
            server.catalogue.create(media, media=media)
        keys = {"all": "yes", "media": "video", "count": "2"}
        result = app("OnAssets", "--media", "audio", "--count", 1, keys=keys, server=server)
        assert [each["title"] for each in datas(result)] == ["audio"]


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("OnTicks", "--metadata"),
        ("OnTicks", "--all"),
        ("OnFiles", "--resolve"),
        ("OnFiles", "--status"),
        ("OnFiles", "--all"),
        ("OnAssets", "--existing"),
        ("OnAssets", "--skip-empty"),
        ("OnAssets", "--idle"),
        ("OnStomp", "--xml"),
        ("OnStomp", "--settle"),
    ],
)
def test_options_that_do_not_apply_to_the_source_are_refused(app, name, option):
    values = {"--status": ["online"], "--idle": ["1"], "--settle": ["1"]}
    keys = {"location": "xmlimport", "stomp url": "stomp://127.0.0.1:1/?destination=/queue/a"}
    with stand_in() as server:
        status, _, err = app(name, option, *values.get(option, []), keys=keys, server=server)
    assert (status, f"{option} does not apply to the SOURCE" in err) == (2, True), err


@pytest.mark.parametrize(
    ("name", "key", "said", "reason"),
    [
        ("OnAssets", "resolve", "perhaps", "'perhaps' is neither yes nor no"),
        ("OnAssets", "include", "created gone", "'gone' is not one of created"),
        ("OnAssets", "prefetch", "0", "'0' is not a whole number from 1 up"),
        ("OnAssets", "count", "-3", "'-3' is not a whole number"),
        ("OnStomp", "idle", "0", "'0' is not a number above 0"),
        ("OnFiles", "settle", "x", "'x' is no"),
    ],
)
def test_a_malformed_value_in_the_profile_is_a_configuration_error(app, name, key, said, reason):
    keys = {"location": "x", "stomp url": "stomp://127.0.0.1:1/?destination=/queue/a", key: said}
    with stand_in() as server:
        status, _, err = app(name, keys=keys, server=server)
    assert (status, reason in err, f"[Source] {key}" in err) == (78, True, True), err


def test_a_key_unknown_to_the_source_is_named(app):
    keys = {"all": "yes", "count": "1", "idle": "3"}
    with stand_in() as server:
        server.catalogue.create("One")
        status, events, err = app("OnAssets", keys=keys, server=server)
    assert (status, len(events)) == (0, 1)
    assert "[Source] 'idle' is" in err
