"""A listener that has worked once continues: whatever a server answers, no change is missed."""

import json
import signal
import socket
import threading
import time
from subprocess import PIPE

import pytest

from flowtools.event import Event
from flowtools.sim.documents import asset_entry
from flowtools.sim.faults import Rates
from flowtools.sim.xml import serialise
from flowtools.source.vizone.lookup import patiently
from flowtools.vizone.atom import ENTRY_TYPE
from tests.conftest import UNCOMPILED
from tests.running import SECONDS, until
from tests.vizone_servers import stand_in

ASSETS, FILES = "/topic/vizone.assets", "/topic/vizone.unmanaged.xmlimport"


def subscriptions(server, topic=ASSETS):
    return [each for each in server._broker._delivery._subscriptions if each.destination == topic]


class Listener:
    """A listener as a process, with its messages on stderr."""

    def __init__(self, start, server, *args, command="flow-listen-assets", topic=ASSETS):
        self.server, self.topic = server, topic
        env = server.environment() | UNCOMPILED
        self.process = start(command, *args, env=env, stderr=PIPE)
        self.lines = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until(lambda: self.process.poll() is not None or subscriptions(server, topic))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode())

    def wait_for_messages(self, *texts):
        """Wait until it has printed each of `texts`."""
        until(lambda: all(any(text in line for line in self.lines) for text in texts))

    def next(self):
        return json.loads(self.process.stdout.readline())

    def cut(self):
        """Cut its connection to the broker, and wait until the broker has noticed."""
        (lost,) = subscriptions(self.server, self.topic)
        lost.connection.drop()
        until(lambda: lost not in subscriptions(self.server, self.topic))
        self.lines.clear()  # Messages from now on are of the next session.
        until(lambda: subscriptions(self.server, self.topic))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(SECONDS)
        self._thread.join(SECONDS)
        until(lambda: not subscriptions(self.server, self.topic))


WRONG = {
    "401=1": "401 Unauthorized",
    "403=1": "403 Forbidden",
    "404=1": "404 Not Found",
    "5xx=1": "trying again",
    "html=1": "the answer is a web page instead of XML; is there a proxy",
    "gzip=1": "which was not asked for",
}


@pytest.mark.parametrize("faults", WRONG)
def test_after_a_feed_error_the_listener_recovers_once_the_cause_is_gone(start, faults):
    with stand_in() as server:
        listener = Listener(start, server, "--state", "s", "-v")
        listener.wait_for_messages(" found in ")
        server.faults.rates = Rates.parse(faults)
        listener.cut()
        missed = {server.catalogue.create(f"missed {number}").urn for number in range(15)}
        listener.wait_for_messages("cannot read the missed changes", WRONG[faults])
        server.faults.rates = Rates()
        while missed:
            missed.discard(listener.next()["subject"])
        listener.wait_for_messages("the missed changes can be read again")
        live = server.catalogue.create("live").urn
        while listener.next()["subject"] != live:
            pass


@pytest.mark.parametrize("status", [204, 418])
def test_an_unexpected_answer_does_not_end_the_listener(start, status):
    with stand_in() as server:
        listener = Listener(start, server, "--state", "s")
        answer = server._web.resources.answer
        server._web.resources.answer = lambda request: type(answer(request))(status=status)
        listener.cut()
        missed = server.catalogue.create("missed").urn
        listener.wait_for_messages("cannot read the missed changes")
        server._web.resources.answer = answer
        assert listener.next()["subject"] == missed


@pytest.mark.parametrize("faults", ["401=1", "404=1"])
def test_a_file_listener_recovers_from_errors_too(start, faults):
    with stand_in() as server:
        args = ("--state", "s", "xmlimport")
        listener = Listener(start, server, *args, command="flow-listen-files", topic=FILES)
        server.faults.rates = Rates.parse(faults)
        listener.cut()
        names = {f"{number}.mxf" for number in range(15)}
        for name in names:
            server.catalogue.put_file("xmlimport", name, b"x")
        listener.wait_for_messages("cannot read the missed changes")
        server.faults.rates = Rates()
        while names:
            names.discard(listener.next()["data"]["name"])


def test_a_listener_gives_up_only_after_retry_for(start):
    with stand_in() as server:
        listener = Listener(start, server, "--state", "s", "--retry-for", "2")
        server.faults.rates = Rates.parse("403=1")
        listener.cut()
        assert listener.process.wait(SECONDS) == 69
        listener.wait_for_messages("gives up after")


def test_a_login_that_was_never_accepted_fails_immediately(start):
    with stand_in(faults=Rates.parse("401=1")) as server:
        listener = Listener(start, server, "--state", "s")
        assert listener.process.wait(SECONDS) == 77


def missed_while_away(start, server, change, *said):
    """Create 150 assets, listen, stop, call `change`; return the subjects reported afterwards."""
    # Old assets: if a page of them comes first, it seems that nothing is new.
    server.faults.rates = Rates(clock=-7200)
    made = [server.catalogue.create(f"{number}") for number in range(150)]
    server.faults.rates = Rates()
    listener = Listener(start, server, "--state", "s")
    live = server.catalogue.create("live")
    first = listener.next()
    assert first["subject"] == live.urn  # A first run starts from now, whatever the order.
    until(lambda: json.loads((listener_cwd(listener) / "s").read_bytes())["seen"])
    listener.end()
    wanted = change(made)
    listener = Listener(start, server, "--state", "s")
    found = []
    while not wanted <= set(found):
        found.append(listener.next()["subject"])
    listener.wait_for_messages(*said)
    listener.end()
    return found


def listener_cwd(listener):
    from pathlib import Path

    return Path(f"/proc/{listener.process.pid}/cwd").resolve()


@pytest.mark.parametrize("order", ["none", "oldest"])
def test_a_feed_in_an_unexpected_order_is_reported_and_read_to_its_end(start, order):
    """Page 1 of the feed has none of the changed assets."""
    with stand_in(order=order) as server:

        def change(made):
            return {server.catalogue.update(each.number, title="anew").urn for each in made[-20:]}

        missed_while_away(start, server, change, "the feed is not in the order of modification")


def test_a_quiet_server_is_not_mistaken_for_one_with_an_unordered_feed(start):
    """--since names a time at which nothing may have changed."""
    with stand_in(faults=Rates(clock=-7200)) as server:
        for number in range(150):
            server.catalogue.create(str(number))
        server.faults.rates = Rates()
        listener = Listener(start, server, "--state", "s", "--since", "1s", "-v")
        listener.wait_for_messages("0 changes found in")
        live = server.catalogue.create("live").urn
        assert listener.next()["subject"] == live
        listener.end()
        assert not [line for line in listener.lines if "warning" in line]


def test_a_server_clock_set_back_is_reported_and_nothing_is_missed(start):
    with stand_in() as server:

        def change(made):
            server.faults.rates = Rates(clock=-3600)
            return {server.catalogue.update(each.number, title="anew").urn for each in made[:20]}

        missed_while_away(start, server, change, "the server's clock has gone back by ")


def message_of(server, asset, home):
    """The message of a change of `asset`, whose links lead to `home`."""
    body = serialise(asset_entry(asset, server.url)).replace(server.url.encode(), home.encode())
    headers = {"identity": asset.urn, "content-type": ENTRY_TYPE, "action": "update"}
    return ASSETS, headers, body


def test_a_link_to_another_host_is_not_followed(start):
    with stand_in() as server, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        listener = Listener(start, server, "--metadata")
        asset = server.catalogue.create("good")
        server._broker.publish(*message_of(server, asset, f"http://127.0.0.1:{port}"))
        server.catalogue.update(asset.number, title="good")
        first, strange, last = (listener.next() for _ in range(3))
        assert strange["data"]["metadata"] is None
        assert f"cannot follow a link to '127.0.0.1:{port}'" in strange["metadataerror"]
        assert "metadataerror" not in first | last
        listener.wait_for_messages("the event is written unchanged")
        silent.settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent.accept()


def test_a_link_to_a_silent_host_delays_the_others_only_briefly(start):
    """An allowed host that does not answer."""
    with stand_in() as server, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        listener = Listener(start, server, "--metadata", "--allow-host", f"127.0.0.1:{port}")
        asset = server.catalogue.create("good")
        server._broker.publish(*message_of(server, asset, f"http://127.0.0.1:{port}"))
        for _ in range(11):
            server.catalogue.update(asset.number, title="good")
        began = time.monotonic()
        events = [listener.next() for _ in range(13)]
        assert time.monotonic() - began < 80
        assert ["metadataerror" in each for each in events] == [False, True, *[False] * 11]
        assert "no answer within" in events[1]["metadataerror"]


def test_metadata_that_would_make_an_event_too_long_is_left_out():
    def ask(client, event):
        return Event(event.type, {"metadata": "\\" * 9_000_000}, source=event.source, id=event.id)

    short = Event("flow.asset.changed", {"metadata": None}, source="s", id="1")
    event = patiently(ask, None, short, threading.Event())
    assert event.data == {"metadata": None}
    assert "as an event it has 18000" in event.attributes["metadataerror"]
