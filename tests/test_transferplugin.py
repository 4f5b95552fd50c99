"""TransferPlugin: one document on stdin, reports to the step, and the ending."""

import signal
from subprocess import PIPE

import pytest

from flowtools.errors import UnreachableError
from flowtools.vizone import stepreport
from flowtools.vizone.document import parse, serialise
from flowtools.vizone.plugindata import PluginData
from tests.plugin_documents import document
from tests.running import SECONDS, finish, until

pytest_plugins = ["tests.run_fixtures", "tests.vizone_fixtures"]


@pytest.fixture
def plugin(go):
    def run(name, text, *args, **env):
        process = go(f"tests.plugins:{name}", *args, stdin=PIPE, env=env)
        status, _, err = finish(process, text)
        return status, err

    return run


def test_a_plugin_gets_its_parts_and_reports_progress(server, plugin, notes):
    assert plugin("Copy", document(server), PAUSE="0") == (0, "")
    assert notes() == [
        "ftp://u:p@source/a.mxf ftp://u:p@target/b.mxf Evening bulletin admin",
        "xml Evening bulletin",
    ]
    assert server.steps.reports["1"] == [("active", n, None) for n in range(101)]


def test_reports_are_rate_limited_and_the_last_is_never_lost(server, plugin):
    assert plugin("Copy", document(server), PAUSE="1000") == (0, "")
    assert server.steps.reports["1"] == [("active", 0, None), ("active", 100, None)]
    assert plugin("Copy", document(server, number=2), PAUSE="1000", UNTIL="42") == (0, "")
    assert server.steps.reports["2"] == [("active", 0, None), ("active", 42, None)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_slow_server_does_not_delay_the_transfer(server, monkeypatch, fails):
    now = 0.0

    class Slow:
        sent = 0

        def request(self, *args, **options):
            nonlocal now
            now += 4.0
            self.sent += 1
            if fails:
                raise UnreachableError("no answer")

    monkeypatch.setattr(stepreport, "monotonic", lambda: now)
    report = stepreport.StepReport(Slow(), PluginData.read(document(server)).step, 1.0)
    for thousandth in range(1001):
        now += 0.1
        report.progress(thousandth / 10)
    # At most a tenth of the transfer's hundred seconds; the first and last report in any case.
    assert report._client.sent == 4


def test_a_report_is_the_received_step_with_only_the_set_values_changed(server, plugin):
    import httpx

    text = document(server)
    plugin("Copy", text, UNTIL="3")
    sent = httpx.get(
        f"{server.url}/api/transfer/step/1", auth=(server.user, server.password)
    ).content
    expected = PluginData.read(text).step
    expected.set_state("active")
    expected.set_done(3)
    assert parse(sent, name="sent").get("custom") == "kept"
    assert sent == serialise(expected.element)


@pytest.mark.parametrize("name", ["Fails", "Child"])
def test_fail_reports_an_error_and_ends_with_status_0(server, plugin, notes, name):
    status, err = plugin(name, document(server))
    assert (status, notes()) == (0, [])
    assert err == "flow-run: warning: the step has failed: the tape is \\x01 torn\n"
    assert server.steps.reports["1"] == [("active", 7, None), ("error", 7, "the tape is  torn")]


def test_any_other_exception_is_reported_and_is_status_1(server, plugin):
    status, err = plugin("Crashes", document(server))
    assert status == 1
    assert "OSError: no such tape" in err
    assert server.steps.reports["1"] == [("error", 0, "OSError: no such tape")]


@pytest.mark.parametrize("code", [0, 3])
def test_sys_exit_is_reported_like_any_other_failure(server, plugin, code):
    status, err = plugin("Exits", document(server), STATUS=str(code))
    assert (status, f"failed: SystemExit: {code}" in err) == (1, True)
    assert server.steps.reports["1"] == [("active", 3, None), ("error", 3, f"SystemExit: {code}")]


@pytest.fixture
def going(server, go, notes):
    """Start a plugin and wait until it is in the middle of its transfer."""

    def run(name, *args):
        process = go(f"tests.plugins:{name}", *args, stdin=PIPE)
        process.stdin.write(document(server))
        process.stdin.close()
        process.stdin = None
        until(lambda: "going" in notes())
        return process

    return run


ABORTED = ("error", 7, "aborted: its process was asked to end")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "name", ["Goes", "Hangs", "HangsAndCleans", "Swallows", "OldGoes", "OldHangs"]
)
def test_a_transfer_ended_by_a_signal_is_reported_as_aborted(server, going, notes, name, signum):
    # Reacting to the exception may take long on a busy machine.
    process = going(name, "--grace", "0.2" if "Hangs" in name else "20")
    process.send_signal(signum)
    _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, b"Traceback" in err) == (-signum, False)
    assert server.steps.reports["1"] == [("active", 7, None), ABORTED]
    said = {"Goes": ["let go"], "HangsAndCleans": ["clean_up"], "Swallows": ["swallowed", "let go"]}
    assert notes()[1:] == said.get(name, [])


def test_drain_gives_a_transfer_time_to_end(server, going, tmp_path):
    process = going("Lingers", "--drain", "30")
    process.send_signal(signal.SIGTERM)
    (tmp_path / "enough").touch()
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert server.steps.reports["1"] == [("active", 7, None), ("active", 100, None)]


@pytest.mark.parametrize("name", ["Goes", "Hangs"])
def test_a_transfer_beyond_its_timeout_is_reported_as_aborted(server, plugin, name):
    # Long enough to reach the step on a busy machine.
    status, err = plugin(name, document(server), "--timeout", "15", "--grace", "0.2")
    assert (status, "not done within 15 s" in err) == (1, True)
    late = ("error", 7, "aborted: its time was up")
    assert server.steps.reports["1"] == [("active", 7, None), late]


def test_a_step_that_failed_first_is_active_again_after_a_successful_retry(server, plugin):
    assert plugin("SecondTime", document(server), "--retries", 1, "--backoff", "0.01")[0] == 0
    said = [("active", 7, None), ("error", 7, "OSError: not yet"), ("active", 0, None)]
    assert server.steps.reports["1"] == said


def test_a_step_that_hung_first_may_fail_in_the_retry(server, plugin):
    args = ["--timeout", "6", "--grace", "0.2", "--retries", 1, "--backoff", "0.01"]
    assert plugin("HangsAtFirst", document(server), *args)[0] == 0
    assert server.steps.reports["1"] == [("error", 0, "once more")]


def test_reporting_before_use_is_an_error(server, plugin, notes):
    status, err = plugin("Early", document(server))
    assert (status, err) == (0, "flow-run: warning: the step has failed: no\n")
    said = "the step is not known: call self.use(data) before anything else"
    assert notes() == [said] * 3
    assert server.steps.reports == {}


def test_progress_is_limited_to_0_to_100_and_must_be_a_number(server, plugin):
    status, err = plugin("Odd", document(server))
    assert (status, err) == (0, "flow-run: warning: cannot report inf %: not a finite number\n")
    assert server.steps.reports["1"] == [("active", 0, None), ("active", 100, None)]


@pytest.mark.parametrize("link", ["/api/transfer/step/1", "step/1", "file:///api/step/1"])
@pytest.mark.parametrize("user", ["admin", None])
def test_a_step_without_a_usable_link_is_named(server, plugin, link, user):
    text = document(server, user=user).replace(f"{server.url}/api/transfer/step/1".encode(), b"@")
    status, err = plugin("Copy", text.replace(b"@", link.encode()), **server.environment())
    said = f"the link of its step, '{link}', is not an http(s) address"
    assert (status, said in err) == (1, True)
    assert "VIZONE_URL" not in err


def test_a_document_may_have_up_to_16_mib(server, plugin):
    text = document(server)
    # As a JSON line it is twice as long.
    whole = text + (b"<!--" + b'"' * 56 + b"-->\n") * (((16 << 20) - len(text)) // 64)
    whole += b" " * ((16 << 20) - len(whole))
    assert plugin("Copy", whole, PAUSE="1000") == (0, "")
    status, err = plugin("Copy", whole + b"\n")
    assert (status, "cannot read 'the plugin data': larger than 16777216 bytes" in err) == (1, True)
    status, err = plugin("Copy", b"<x>" + b"\n" * (64 << 20))
    said = "cannot take the document: longer than 67108864 bytes; --max-line allows more\n"
    assert (status, said in err, err.count("\n")) == (1, True, 1)


@pytest.mark.parametrize("missing", ["source", "destination", "title"])
def test_a_missing_part_fails_the_step_unless_it_is_optional(
    server,
    plugin,
    notes,
    missing,
):
    text = document(server, **{missing: None})
    part = "asset" if missing == "title" else missing
    assert plugin("Copy", text)[0] == 0
    assert server.steps.reports["1"] == [("error", 0, f"the plugin data has no {part}")]
    assert plugin("Lenient", text)[0] == 0
    assert notes()[-1] == "('error', 0)"


def test_plugins_have_no_timeout_by_default(server, plugin):
    assert plugin("Slow", document(server), "--grace", "0.1")[0] == 0
    status, err = plugin("Slow", document(server), "--timeout", "0.3", "--grace", "3")
    assert (status, "not done within 0.3 s" in err) == (1, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not XML"),
        (b"<plugindata/>", "it has no transfer step with a link"),
        (b"<a><step/></a>", "it has no transfer step with a link"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type declaration"),
    ],
)
def test_malformed_plugin_data_is_status_1(plugin, text, message):
    status, err = plugin("Copy", text)
    assert (status, message in err) == (1, True), err


def test_failing_reports_are_only_warnings(server, plugin):
    text = document(server, password="wrong")
    status, err = plugin("Copy", text)
    assert status == 0
    assert "cannot report 0 %" in err
    assert "cannot report 100 %" in err
    # However, a failure that could not be reported is a failed event.
    status, err = plugin("Copy", document(server, password="wrong", source=None))
    assert status == 1
    assert "wrong" not in err


def test_without_a_login_in_the_settings_the_environment_is_used(server, plugin, notes):
    text = document(server, user=None)
    assert plugin("Lenient", text)[0] == 1
    plugin("Lenient", text, **server.environment())
    assert notes()[0] == "ftp://u:p@source/a.mxf Evening bulletin"


@pytest.mark.parametrize(
    ("step", "state", "done"),
    [
        ("<s:TransferStep><state>x</state><progress>4</progress>", "x", 4),
        ("<step><state state='x'/><progress><done>4</done></progress>", "x", 4),
        ("<transfer_step><s:state><state>x</state></s:state><s:progress done='4'/>", "x", 4),
        ("<step>", None, None),
    ],
)
def test_a_step_is_found_and_changed_in_several_spellings(step, state, done):
    close = step[: step.index(">")].replace("<", "</").split()[0] + ">"
    link = "<link xmlns='http://www.w3.org/2005/Atom' rel='edit' href='http://x/1'/>"
    text = f"<x xmlns:s='urn:s'><y>{step}{link}{close}</y></x>"
    found = PluginData.read(text).step
    assert (found.state, found.done) == (state, done)
    found.set_state("active")
    found.set_done(50)
    found.set_error("no")
    assert (found.state, found.done, found.error) == ("active", 50, "no")
