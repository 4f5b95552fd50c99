"""Profiles of the older Flow, read unchanged, and their effect on flow-run."""

import signal
from contextlib import closing
from pathlib import Path

import pytest

from flowtools.errors import ConfigurationError
from flowtools.run.profile import new_parser, read, understand
from flowtools.sim.standin import Plan, StandIn
from tests.running import SECONDS, finish, until
from tests.vizone_servers import stand_in

pytest_plugins = ["tests.run_fixtures"]

WHOLE = """\
[Flow]
app name = sweeper
class = old.module.Sweep
workers = 3
worker_timeout = 0
[Source]
interval = 20 ; seconds
Window Start = 10:16
[Viz One]
hostname = $HOST
username = ${WHO}
password = pa$$word
use https = no
pem file =
[Stomp]
heartbeat interval = 2
[Logging]
level = debug
[Mine]
asset.Title = %(prefix)s and more
prefix = So
format = %Y/%d/%m
price = $5 $HOST
"""


def parsed(text, tmp_path, name=None):
    path = tmp_path / "p.ini"
    path.write_text(text)
    return understand(read(path, name), is_old=True)


def test_a_profile_is_read_as_in_the_older_flow(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HOST", "one.example")
    monkeypatch.setenv("WHO", "anna")
    profile = parsed(WHOLE, tmp_path)
    assert (profile.worker, profile.application) == ("old.module:Sweep", "sweeper")
    assert (profile.threads, profile.timeout, profile.verbosity) == (3, 0.0, 2)
    assert profile.source == {"interval": "20", "Window Start": "10:16"}
    assert profile.heart_beat == (2.0, 10.0)
    said = profile.viz_one
    assert (said["hostname"], said["username"], said["use https"]) == ("one.example", "anna", "no")
    # `$word` is not a set variable and may be part of the password: it is not shown.
    assert said["password"] == "pa$$word"
    assert [r.getMessage() for r in caplog.records] == [
        "[Viz One] password: an environment variable in it is not set; the text is used as it is"
    ]


def test_the_workers_own_sections_are_read_as_by_python_2(tmp_path, monkeypatch):
    monkeypatch.setenv("HOST", "one.example")
    config = parsed(WHOLE, tmp_path).config
    assert dict(config.items("Mine")) == {
        "asset.Title": "So and more",
        "prefix": "So",
        "format": "%Y/%d/%m",
        "price": "$5 $HOST",
    }


def test_the_last_of_repeated_keys_counts_and_two_quotes_mean_empty(tmp_path, caplog):
    text = """[Flow]
        workers = 1
        ; workers = 7
        app name = one
        workers = 2
[Viz One]
password = ""
[Mine]
key = [Flow]
 workers = 8
workers = 9
Workers = 10
[Flow]
app name : two
"""
    profile = parsed(text, tmp_path)
    assert (profile.threads, profile.application) == (2, "two")
    assert (profile.viz_one, caplog.record_tuples[0][0]) == ({"password": ""}, "flowtools.run")
    path = tmp_path / "p.ini"
    assert [record.getMessage() for record in caplog.records] == [
        f"'{path}', line 5: key 'workers' is in section [Flow] already; this one counts",
        f"'{path}', line 14: key 'app name' is in section [Flow] already; this one counts",
    ]


def test_a_base_profile_may_repeat_keys_of_the_profile(tmp_path, monkeypatch, caplog):
    (tmp_path / "flow.ini").write_text("[Flow]\nworkers = 2\n")
    monkeypatch.setenv("PYTHON_CONFIG_ROOT", str(tmp_path))
    assert parsed("[Flow]\nworkers = 3\n", tmp_path).threads == 3
    assert caplog.records == []


def test_unknown_keys_are_named(tmp_path, caplog):
    logging = "[Logging]\nlogger = html\nlevel = chatty\n"
    parsed("[Flow]\nworker = 2\n[Viz One]\nhost = x\n" + logging, tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        "[Flow] 'worker' is not a key of a profile and is ignored",
        "[Viz One] 'host' is not a key of a profile and is ignored",
        "[Logging] logger 'html' is not supported: messages go to standard error",
        "[Logging] level: 'chatty' is not one of debug, info, warn, warning, error; it is ignored",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Flow]\nworkers = many\n", "[Flow] workers: 'many' is not a number from 0 up"),
        ("[Stomp]\nheartbeats = maybe\n", "[Stomp] heartbeats: 'maybe' is neither yes nor no"),
        ("workers = 2\n", "p.ini', line 1: expected a [section] before the first key"),
        ("[Flow]\nsecret\n", "p.ini', line 2: expected 'key = value'"),
    ],
)
def test_an_unreadable_value_is_named(tmp_path, text, message):
    with pytest.raises(ConfigurationError) as caught:
        parsed(text, tmp_path)
    assert message in str(caught.value)


def test_base_profiles_apply_before_and_after_the_profile(tmp_path, monkeypatch):
    base = tmp_path / "base"
    base.mkdir()
    monkeypatch.setenv("PYTHON_CONFIG_ROOT", str(base))
    (base / "flow.ini").write_text("[Flow]\nworkers = 2\n[Viz One]\nhostname = base\n")
    (base / "mine.ini").write_text("[Flow]\nworkers = 4\n")
    (base / "other.ini").write_text("[Flow]\nworkers = 5\n")
    text = "[Flow]\napp name = mine\nworkers = 3\n"
    assert parsed(text, tmp_path).threads == 4
    assert parsed(text, tmp_path).viz_one == {"hostname": "base"}
    assert parsed(text, tmp_path, "other").threads == 5
    assert parsed(text, tmp_path, "third").threads == 3


def test_base_profiles_are_read_only_from_their_directory(go, profile, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "x.ini").write_text("[Flow]\nworkers = 5\n")
    env = {"PYTHON_CONFIG_ROOT": str(tmp_path / "base")}
    path = profile("[Flow]\nclass = tests.runners.ThreeTicks\n")
    said = "is not a valid application name: it leads out of PYTHON_CONFIG_ROOT\n"
    status, _, err = finish(go(path, "-n", "../x", "--dry-run", env=env))
    assert (status, err) == (78, f"flow-run: --instance-name: '../x' {said}")
    path = profile(f"[Flow]\napp name = {tmp_path}/x\nclass = tests.runners.ThreeTicks\n")
    status, _, err = finish(go(path, "--dry-run", env=env))
    assert (status, f"[Flow] app name: '{tmp_path}/x' {said}" in err) == (78, True)


def test_a_missing_directory_of_base_profiles_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PYTHON_CONFIG_ROOT", "/no/such")
    assert parsed("[Flow]\nworkers = 3\n", tmp_path).threads == 3
    said = "PYTHON_CONFIG_ROOT: '/no/such' is not a directory; no base profiles are read"
    assert [record.getMessage() for record in caplog.records] == [said]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/./zero", "it is larger than 1048576 characters"),
        ("/.", "Is a directory"),
        ("/no/such.ini", "No such file or directory"),
    ],
)
def test_a_path_that_is_not_a_profile_is_named_and_not_read_endlessly(go, path, reason):
    status, _, err = finish(go(path))
    assert (status, err) == (78, f"flow-run: cannot read profile '{Path(path)}': {reason}\n")


def test_the_parser_can_be_pickled():
    import pickle

    config = new_parser()
    config.read_string("[A]\nKey = %(b)s\nb = 1\n")
    assert pickle.loads(pickle.dumps(config)).get("A", "Key") == "1"


# With flow-run


@pytest.fixture
def profile(tmp_path):
    """Write a profile into a directory of its own."""

    def write(text):
        folder = tmp_path / "app"
        folder.mkdir(exist_ok=True)
        (folder / "app.ini").write_text(text)
        return "app/app.ini"

    return write


def test_the_worker_gets_its_sections_and_runs_in_the_folder_of_its_profile(go, notes, profile):
    path = profile("[Flow]\nclass = tests.runners.Settings\n[Mine]\nCamel Case = %d\n")
    assert finish(go(path, "--set", "Mine.More=1"))[0] == 0
    assert notes()[1:] == ["Mine.Camel Case=%d", "Mine.More=1", "in app"]


@pytest.mark.parametrize("way", ["--config", "profile", "--set"])
def test_a_variable_is_replaced_once(go, notes, profile, tmp_path, way):
    """A password that begins with a dollar sign, from each place where it can be given."""
    server = StandIn(Plan(assets=2, rate=200), password="$HOME")
    server.start()
    with closing(server):
        env = server.environment() | {"SECRET": "$HOME", "WHO": "admin", "VIZONE_USER": "no"}
        env |= {"VIZONE_PASSWORD": "no"}
        where = f"[Viz One]\nhostname = {server.url.removeprefix('http://')}\nuse https = no\n"
        login = "username = $WHO\npassword = "
        if way == "--config":
            (tmp_path / "c.ini").write_text(where + login + "$$HOME\n")
            args = ["tests.runners:Asset", "--config", "c.ini"]
        else:
            typed = way == "--set"
            text = f"[Flow]\nclass = tests.runners.Asset\n{where}{login}$SECRET\n"
            args = [profile(text), *(["--set", "Viz One.password=$$HOME"] if typed else [])]
        status, _, err = finish(go(*args, "--count", 1, env=env))
    assert (status, err) == (0, "")
    assert notes()[0].startswith("admin ")


@pytest.mark.parametrize(
    ("name", "section", "said"),
    [
        (
            "Asset",
            "[Viz One]\nhostname = one.$NOWHERE\n",
            "the host of Viz One: an environment variable in 'one.$NOWHERE' is not set",
        ),
        (
            "Job",
            "[Source]\nstomp url = stomp://${NOWHERE}:61613/?destination=/queue/$A\n",
            "[Source] stomp url: an environment variable in '${NOWHERE}' is not set",
        ),
    ],
)
def test_an_unset_variable_in_a_host_is_refused(go, profile, name, section, said):
    path = profile(f"[Flow]\nclass = tests.runners.{name}\n{section}")
    status, _, err = finish(go(path))
    assert (status, err.splitlines()[-1]) == (78, f"flow-run: {said}")


def test_a_module_next_to_the_profile_is_found(go, profile, tmp_path):
    path = profile("[Flow]\nclass = mine.Mine\n")
    (tmp_path / "app" / "mine.py").write_text(
        "from tests.runners import Interval\nclass Mine:\n    'Does much.'\n"
        "    SOURCE = Interval(0.01, count=1)\n    def start(self, event): return 'ran'\n"
    )
    status, events, _ = finish(go(path, "--failed", "failed"))
    assert (status, [event["data"] for event in events]) == (0, ["ran"])
    # A path on the command line is relative to the directory in which the command was started.
    assert (tmp_path / "failed").exists()
    process = go(path, "--man")
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert b"class Mine" in out
    assert b"Does much." in out


def test_threads_and_timeout_of_the_profile_apply_unless_typed(go, notes, profile):
    path = profile("[Flow]\nclass = tests.runners.Hangs\nworkers = 3\nworker_timeout = 1\n")
    process = go(path, "--grace", "0.1")
    until(lambda: len(notes()) >= 6)
    process.send_signal(signal.SIGTERM)
    assert "not done within 1 s" in finish(process)[2]
    plain = profile("[Flow]\nclass = tests.runners.ThreeTicks\nworkers = 3\n")
    assert finish(go(plain, "-w", "2", "--dry-run"))[2].endswith("with 2 threads\n")
    assert finish(go(plain, "--dry-run"))[2].endswith("with 3 threads\n")


def test_the_log_level_of_the_profile_applies_unless_one_is_typed(go, profile):
    text = "[Flow]\nclass = tests.runners.ThreeTicks\n[Logging]\nlevel = debug\n"
    path = profile(text + "[Source]\nbogus = 1\n")
    for typed, is_told in (([], True), (["-q"], False), (["-v"], True), (["-q", "-g"], True)):
        process = go(path, "--set", "Source.interval=0.01", *typed)
        assert (b"'bogus'" in process.communicate(timeout=SECONDS)[1]) == is_told, typed


def test_the_address_of_viz_one_comes_from_the_profile(go, notes, profile):
    with stand_in(assets=2, rate=200) as server:
        text = (
            "[Flow]\napp name = tags\nclass = tests.runners.Asset\n"
            f"[Viz One]\nhostname = {server.url.removeprefix('http://')}\nuse https = no\n"
            "username = admin\npassword = $SECRET\n"
        )
        env = {"SECRET": server.password, "VIZONE_URL": "http://127.0.0.1:1"}
        args = [profile(text), "--count", 1, "--isolation", "process"]
        assert finish(go(*args, env=env))[0] == 0
        assert notes()[0].startswith("admin flow_tags ")
        assert finish(go(*args, "--user", "nobody", env=env))[0] == 77

    with stand_in(assets=2, rate=200) as server:
        bare = profile("[Flow]\nclass = tests.runners.Asset\n[Viz One]\nuse https = no\n")
        assert finish(go(bare, "--count", 1, env=server.environment()))[0] == 0


def test_a_profile_without_an_address_means_this_machine(go, profile):
    path = profile("[Flow]\nclass = tests.runners.Asset\n[Viz One]\nuse https = no\ntime out = 5\n")
    status, _, err = finish(go(path))
    assert status == 69
    assert "'http://localhost/thirdparty'" in err
    off = profile("[Flow]\nclass = tests.runners.Asset\n[Viz One]\nenabled = no\n")
    status, _, err = finish(go(off))
    assert (status, "[Viz One] enabled is no" in err) == (78, True)


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("[Flow]\n", 78, "[Flow] 'class' is missing: it names the Worker"),
        ("[Flow]\nclass = nowhere.X\n", 78, "there is no module 'nowhere'"),
        ("[Flow]\nclass = ../up.X\n", 78, "cannot load Worker '../up:X': write MODULE:CLASS"),
        ("[Flow]\nworkers = -1\n", 78, "[Flow] workers: '-1' is not a number from 0 up"),
        ("[Flow]\nworker_timeout = nan\n", 78, "worker_timeout: 'nan' is not a number from 0 up"),
        ("[Flow]\nclass = X\n", 78, "cannot load Worker ':X': write MODULE:CLASS"),
    ],
)
def test_a_malformed_profile_is_a_one_line_error(go, profile, text, status, message):
    ended, _, err = finish(go(profile(text)))
    assert (ended, err.count("\n")) == (status, 1)
    assert message in err


def test_flow_work_gives_a_worker_its_client_and_application_name(start, variables, notes):
    with stand_in() as server:
        env = variables | server.environment()
        process = start("flow-work", "tests.runners:Asset", env=env, stdin=-1)
        status, _, err = finish(process, b'{"title":"News"}\n')
    assert (status, err) == (0, "")
    assert notes() == ["admin flow_asset News"]
