"""TransferPlugin: one document on stdin, reports to the step, and how it ends."""

from subprocess import PIPE

import pytest

from flowtools.vizone.document import parse, serialise
from flowtools.vizone.plugindata import PluginData
from tests.plugin_documents import document
from tests.running import finish
from tests.vizone_servers import stand_in

pytest_plugins = ["tests.run_fixtures"]


@pytest.fixture
def server():
    with stand_in() as server:
        yield server


@pytest.fixture
def plugin(go):
    def run(name, text, *args, **env):
        process = go(f"tests.plugins:{name}", *args, stdin=PIPE, env=env)
        status, _, err = finish(process, text)
        return status, err

    return run


def test_it_gets_its_parts_and_reports_its_progress(server, plugin, notes):
    assert plugin("Copy", document(server), PAUSE="0") == (0, "")
    assert notes() == [
        "ftp://u:p@source/a.mxf ftp://u:p@target/b.mxf Evening bulletin admin",
        "xml Evening bulletin",
    ]
    assert server.steps.reports["1"] == [("active", n, None) for n in range(101)]


def test_reports_are_limited_in_rate_and_the_last_is_never_lost(server, plugin):
    assert plugin("Copy", document(server), PAUSE="1000") == (0, "")
    assert server.steps.reports["1"] == [("active", 0, None), ("active", 100, None)]
    assert plugin("Copy", document(server, number=2), PAUSE="1000", UNTIL="42") == (0, "")
    assert server.steps.reports["2"] == [("active", 0, None), ("active", 42, None)]


def test_what_is_sent_is_the_step_as_it_came_but_for_what_was_set(server, plugin):
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


def test_whatever_else_it_raises_is_told_to_people_and_is_status_1(server, plugin):
    status, err = plugin("Crashes", document(server))
    assert status == 1
    assert "OSError: no such tape" in err
    assert server.steps.reports["1"] == [("error", 0, "OSError: no such tape")]


@pytest.mark.parametrize("missing", ["source", "destination", "title"])
def test_what_is_missing_fails_the_step_unless_it_is_not_required(
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


def test_a_plugin_has_no_time_limit_of_the_pool(server, plugin):
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
def test_what_is_no_plugin_data_is_status_1(plugin, text, message):
    status, err = plugin("Copy", text)
    assert (status, message in err) == (1, True), err


def test_a_refused_login_is_told_and_reports_are_only_warnings(server, plugin):
    text = document(server, password="wrong")
    status, err = plugin("Copy", text)
    assert status == 0
    assert "cannot report 0 %" in err
    assert "cannot report 100 %" in err
    # But a failure that could not be reported is a failed event.
    status, err = plugin("Copy", document(server, password="wrong", source=None))
    assert status == 1
    assert "wrong" not in err


def test_without_a_login_in_the_settings_that_of_the_environment_counts(server, plugin, notes):
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
def test_a_step_is_found_and_set_in_several_spellings(step, state, done):
    close = step[: step.index(">")].replace("<", "</").split()[0] + ">"
    link = "<link xmlns='http://www.w3.org/2005/Atom' rel='edit' href='http://x/1'/>"
    text = f"<x xmlns:s='urn:s'><y>{step}{link}{close}</y></x>"
    found = PluginData.read(text).step
    assert (found.state, found.done) == (state, done)
    found.set_state("active")
    found.set_done(50)
    found.set_error("no")
    assert (found.state, found.done, found.error) == ("active", 50, "no")
