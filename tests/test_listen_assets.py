"""flow-listen-assets, against the stand-in: over real HTTP and STOMP, in real processes."""

import json
import re
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowtools.commands.listen_assets import main
from flowtools.errors import ProtocolError, RefusedError
from flowtools.event import decode
from flowtools.sim.faults import Rates
from flowtools.source.asset import AssetEntryListener
from flowtools.source.vizone.listening import Listening
from flowtools.stomp.message import Message
from flowtools.vizone import Account
from tests.ports import reserved_port
from tests.running import SECONDS, until
from tests.vizone_servers import Scripted, account_of, reply, stand_in

pytest_plugins = ["tests.vizone_fixtures"]

ROOT = Path(__file__).parents[1]


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def listen(start, server, *args, user="admin"):
    """Start the command, and return once it listens."""
    env = server.environment() | {"VIZONE_USER": user}
    process = start("flow-listen-assets", *args, env=env)
    assert server._broker.has_subscriber("/topic/vizone.assets", 30)
    return process


def test_each_change_is_one_line_and_the_command_ends_at_its_count(shell):
    status, out, err = shell(
        "flow-sim --assets 40 --rate 400 --seed 1 -- flow-listen-assets --count 40"
    )
    assert (status, err) == (0, "")
    events = lines(out)
    assert len(events) == 40
    assert len({event["id"] for event in events}) == 40
    assert {event["type"] for event in events} == {
        "flow.asset.created",
        "flow.asset.updated",
        "flow.asset.deleted",
    }
    assert all(decode(line).subject for line in out.splitlines())


def test_an_event_has_the_fields_of_its_entry(server, start):
    process = listen(start, server, "--count", "1")
    asset = server.catalogue.create("Förhör", "SITE-1", (("urn:s", "news"),))
    out, err = process.communicate(timeout=SECONDS)
    (event,) = lines(out)
    data = event["data"]
    headers = data.pop("headers")
    links = data.pop("links")
    assert (process.returncode, err) == (0, b"")
    assert (event["type"], event["subject"], event["source"]) == (
        "flow.asset.created",
        asset.urn,
        server.url,
    )
    assert event["time"] == asset.updated[:23] + "Z"
    assert data == {
        "id": asset.urn,
        "title": "Förhör",
        "identifiers": {"id": asset.number, "identifier": "SITE-1"},
        "status": "empty",
        "media": "placeholder",
        "updated": asset.updated,
        "keywords": [{"scheme": "urn:s", "term": "news"}],
    }
    assert links["describedby"] == f"{server.url}/api/asset/item/{asset.number}/metadata"
    assert (headers["identity"], headers["action"]) == (asset.urn, "create")


def test_a_message_without_an_action_is_reported_as_changed(shell):
    status, out, _ = shell(
        "flow-sim --no-action --assets 30 --rate 400 -- flow-listen-assets --count 30"
    )
    kinds = {event["type"] for event in lines(out)}
    assert (status, kinds) == (0, {"flow.asset.changed", "flow.asset.deleted"})


def test_include_and_exclude_select_the_kinds_of_change(shell):
    status, out, _ = shell(
        "flow-sim --assets 30 --rate 400 -- flow-listen-assets --exclude updated --count 9"
    )
    kinds = [event["type"] for event in lines(out)]
    assert (status, len(kinds)) == (0, 9)
    assert "flow.asset.updated" not in kinds
    status, out, _ = shell(
        "flow-sim --assets 30 --rate 400 -- flow-listen-assets --include updated --count 9"
    )
    assert {event["type"] for event in lines(out)} == {"flow.asset.updated"}


def test_a_pipeline_acknowledges_events_its_worker_has_processed(shell, server):
    status, _out, err = shell(
        "flow-sim --assets 30 --rate 400 -- bash -o pipefail -c"
        " 'flow-listen-assets --ack worker --count 30 | flow-work examples.tag:Tag -j 4'",
        cwd=ROOT,
    )
    assert (status, err) == (0, "")


@pytest.mark.parametrize("body", [b"", b"no xml", b"<a>" * 100_000, b'<!DOCTYPE a ""><a/>'])
def test_a_bad_message_does_not_end_the_listener(server, start, body):
    process = listen(start, server, "--count", "2")
    server._broker.publish("/topic/vizone.assets", {"identity": "urn:1"}, body)
    server.catalogue.create("good")
    out, _err = process.communicate(timeout=SECONDS)
    found = [(event["type"], event["subject"][:5]) for event in lines(out)]
    assert (process.returncode, found) == (
        0,
        [("flow.asset.changed", "urn:1"), ("flow.asset.created", "urn:v")],
    )


def test_a_missing_permission_is_reported(server, run):
    status, out, err = run(
        "flow-listen-assets", env=server.environment() | {"VIZONE_USER": "guest"}
    )
    assert (status, out) == (77, b"")
    assert re.fullmatch(
        r"flow-listen-assets: cannot listen to the assets of '\S+': its asset feed shows no"
        r" monitor link to user 'guest', who needs the permission Asset/Admin\n",
        err,
    )


def test_a_wrong_password_is_refused_and_not_shown(server, run, tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    status, out, err = run(
        "flow-listen-assets",
        *("-v", "--url", server.url, "--user", "admin", "--password-file", "password"),
    )
    assert (status, out) == (77, b"")
    assert "401 Unauthorized" in err
    assert "hunter2" not in err


def test_a_password_file_is_used(server, start, tmp_path):
    (tmp_path / "password").write_text(server.password + "\n")
    process = start(
        "flow-listen-assets",
        *("--url", server.url, "--user", "admin", "--password-file", "password", "--count", "1"),
    )
    assert server._broker.has_subscriber("/topic/vizone.assets", 30)
    server.catalogue.create("one")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, len(lines(out)), err) == (0, 1, b"")


def test_a_missing_viz_one_is_unreachable(run):
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        env = {"VIZONE_URL": url, "VIZONE_USER": "u", "VIZONE_PASSWORD": "p"}
        status, out, err = run("flow-listen-assets", env=env)
    assert (status, out) == (69, b"")
    assert err == f"flow-listen-assets: cannot GET '{url}/thirdparty': Connection refused\n"


def test_a_server_other_than_viz_one_is_a_protocol_error(run):
    with Scripted(reply(b"<html><body>Welcome</body></html>")) as other:
        env = {"VIZONE_URL": other.url, "VIZONE_USER": "u", "VIZONE_PASSWORD": "p"}
        status, out, err = run("flow-listen-assets", env=env)
    assert (status, out) == (76, b"")
    assert "the answer is a web page instead of XML; is there a proxy" in err


def test_missing_settings_are_named(run):
    status, out, err = run("flow-listen-assets")
    assert (status, out) == (78, b"")
    assert "VIZONE_URL and VIZONE_USER and VIZONE_PASSWORD not set" in err


def test_excluding_everything_is_a_usage_error(run, server):
    status, _, err = run(
        "flow-listen-assets",
        *("--include", "created", "--exclude", "created"),
        env=server.environment(),
    )
    assert status == 2
    assert "leave no changes" in err


def test_a_signal_ends_the_command_while_it_listens(server, start):
    process = listen(start, server)
    process.send_signal(signal.SIGTERM)
    assert (process.wait(SECONDS), process.stderr.read()) == (-signal.SIGTERM, b"")


def test_a_signal_ends_the_command_while_the_server_does_not_answer(start):
    with Scripted(None) as silent:
        env = {"VIZONE_URL": silent.url, "VIZONE_USER": "u", "VIZONE_PASSWORD": "p"}
        process = start("flow-listen-assets", env=env)
        until(lambda: silent.requests, "a request")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_closed_reader_ends_the_command(server, start):
    process = listen(start, server)
    process.stdout.close()
    assert process.wait(SECONDS) == -signal.SIGPIPE


def feed_with_monitor(url):
    return (
        f'<feed xmlns="http://www.w3.org/2005/Atom"><link rel="monitor" href="{url}"/></feed>'
    ).encode()


def service(url):
    return (
        '<service xmlns="http://www.w3.org/2007/app" xmlns:a="http://www.w3.org/2005/Atom">'
        f'<workspace><collection href="{url}/items"><categories>'
        '<a:category scheme="http://www.vizrt.com/types" term="asset"/>'
        "</categories></collection></workspace></service>"
    ).encode()


def listen_to_link(monitor, **listening):
    """Run the source against a Viz One whose monitor link is `monitor`."""
    from flowtools.core.wait import Stop

    with Scripted() as server:
        server.replies = [reply(service(server.url)), reply(feed_with_monitor(monitor))]
        account = Account(server.url, "anna", "s3cret")
        AssetEntryListener(account, Listening(**listening)).run(None, Stop())


def test_the_login_is_not_sent_to_a_broker_on_another_host():
    with pytest.raises(RefusedError, match=r"'evil\.example:61613'.*--broker evil\.example:61613"):
        listen_to_link("stomp://evil.example?destination=/topic/x")


@pytest.mark.parametrize("link", ["http://127.0.0.1/", "stomp://u:p@127.0.0.1/?destination=/q"])
def test_an_unusable_monitor_link_is_a_protocol_error(link):
    with pytest.raises(ProtocolError, match="cannot use the monitor link") as raised:
        listen_to_link(link)
    assert "u:p" not in str(raised.value)


def test_broker_overrides_the_monitor_link(server, start):
    port = server._broker.port
    process = listen(start, server, "--broker", f"localhost:{port}", "--count", "1")
    server.catalogue.create("one")
    out, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, len(lines(out))) == (0, 1)


def message(body=b"", **headers):
    return Message(headers, body)


def test_a_redelivery_has_the_same_id_and_another_message_a_different_one(server):
    listener = AssetEntryListener(account_of(server))

    def id_of(body, **headers):
        (event,) = listener.to_events(message(body, identity="urn:1", **headers))
        return event.id

    first = id_of(b"<a/>", **{"message-id": "1"})
    assert first == id_of(b"<a/>", **{"message-id": "2", "redelivered": "true"})
    others = [
        id_of(b"<b/>"),
        id_of(b"<a/>", etag='"2"'),
        id_of(b"<a/>", action="delete"),
        id_of(b"", **{"message-id": "1"}),
        id_of(b"", **{"message-id": "2"}),
    ]
    assert len({first, *others}) == 6


def test_an_impossible_time_is_replaced_by_the_time_of_receipt(server):
    listener = AssetEntryListener(account_of(server))
    body = b'<entry xmlns="http://www.w3.org/2005/Atom"><updated>%s</updated></entry>'
    times = [
        listener.to_events(message(body % when))[0].time
        for when in (
            b"2017-01-01T13:00:00+01:00",
            b"2017-01-01T12:00:00",
            b"0001-01-01T00:00:00+09:00",
        )
    ]
    assert times[:2] == ["2017-01-01T12:00:00.000Z"] * 2
    listener.to_events(message(body % b"yesterday"))[0].encode()


def test_help_is_quick_and_has_examples():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "flow-listen-assets | flow-work mymod:Tag -j 16" in result.output


def publish(server, **headers):
    """Send a message that has only headers, as a broker may."""
    server._broker.publish("/topic/vizone.assets", headers, b"")


def test_options_select_media_and_states(server, start):
    process = listen(start, server, "--media", "image", "--status", "online", "--count", "2")
    server.catalogue.create("a placeholder")
    server.catalogue.create("a film", status="online", media="video")
    server.catalogue.create("being imported", status="importing", media="image")
    wanted = server.catalogue.create("a picture", status="online", media="image")
    server.catalogue.delete(wanted.number)
    out, err = process.communicate(timeout=SECONDS)
    # A deletion matches although it lacks the field.
    found = [(event["type"], event["subject"]) for event in lines(out)]
    assert (process.returncode, err) == (0, b"")
    assert found == [("flow.asset.created", wanted.urn), ("flow.asset.deleted", wanted.urn)]


@pytest.mark.parametrize("deletions", ["tombstone", "header", "status", "empty", "gone"])
def test_resolve_distinguishes_every_deletion_from_a_change(start, deletions):
    with stand_in(tells_action=False, deletions=deletions) as server:
        process = listen(start, server, "--resolve", "--count", "3")
        stays, goes = server.catalogue.create("stays"), server.catalogue.create("goes")
        events = [json.loads(process.stdout.readline()) for _ in range(2)]
        server.catalogue.delete(goes.number)
        out, err = process.communicate(timeout=SECONDS)
    found = [(event["type"], event["subject"]) for event in [*events, *lines(out)]]
    assert (process.returncode, err) == (0, b"")
    assert found == [
        ("flow.asset.changed", stays.urn),
        ("flow.asset.changed", goes.urn),
        ("flow.asset.deleted", goes.urn),
    ]


def test_resolve_fills_in_what_the_message_lacks(server, start):
    process = listen(start, server, "--resolve", "--metadata", "--xml", "--count", "1")
    asset = server.catalogue.create("one", "SITE-1")
    json.loads(process.stdout.readline())
    process.wait(SECONDS)
    process = listen(start, server, "--resolve", "--metadata", "--xml", "--count", "1")
    href = f"{server.url}/api/asset/item/{asset.number}"
    publish(server, identity=asset.urn, location=href)
    out, err = process.communicate(timeout=SECONDS)
    (event,) = lines(out)
    data = event["data"]
    assert (process.returncode, err, event["type"]) == (0, b"", "flow.asset.changed")
    assert (data["title"], data["identifiers"]["identifier"]) == ("one", "SITE-1")
    assert data["metadata"]["asset.title"] == "one"
    assert data["links"]["describedby"] == f"{href}/metadata"
    assert asset.urn in data["xml"]


def test_resolved_kinds_are_filtered_too(start):
    with stand_in(tells_action=False, deletions="gone") as server:
        process = listen(start, server, "--resolve", "--include", "deleted", "--count", "1")
        server.catalogue.create("stays")
        gone = server.catalogue.create("goes")
        server.catalogue.delete(gone.number)
        out, _ = process.communicate(timeout=SECONDS)
    # The asset may be gone when either of its messages is handled.
    assert [(each["type"], each["subject"]) for each in lines(out)] == [
        ("flow.asset.deleted", gone.urn)
    ]


def test_metadata_includes_tables_and_events_keep_their_order(server, start):
    row = (
        '<payload xmlns="http://www.vizrt.com/types"><field name="asset.title"><value>{0}</value>'
        '</field><field name="empty"/><field name="t"><list><payload><field name="t.x">'
        "<value>{0}</value></field></payload></list></field></payload>"
    )
    server.catalogue.make_payload = lambda asset: row.format(asset.title).encode()
    process = listen(start, server, "--metadata", "--count", "40")
    for number in range(40):
        server.catalogue.create(str(number))
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, b"")
    assert [event["data"]["metadata"] for event in lines(out)] == [
        {"asset.title": str(number), "empty": None, "t": [{"t.x": str(number)}]}
        for number in range(40)
    ]


@pytest.mark.parametrize("mode", ["pipe", "worker"])
def test_no_event_is_lost_when_the_server_fails(start, mode):
    """HTTP and broker faults occur while every event is looked up."""
    faults = Rates.parse("5xx=0.2,slow=0.05,drop=0.05")
    with stand_in(faults=faults) as server:
        process = listen(start, server, "--state", "s", "--metadata", "--ack", mode)
        missing = {server.catalogue.create(str(number)).urn for number in range(60)}
        while missing:
            event = json.loads(process.stdout.readline())
            missing.discard(event["subject"])
            assert event["data"]["metadata"]["asset.title"] == event["data"]["title"]
