"""A listener on two servers: one is active, the other takes over; no change is missed."""

import json
import signal
import threading
import time
from subprocess import PIPE

import pytest

from flowtools.core.wait import Stop
from flowtools.errors import ConfigurationError
from flowtools.sim.asking import Reply
from flowtools.sim.faults import Rates
from flowtools.source.vizone.lease import Lease
from flowtools.source.vizone.stored import StoredState
from tests.conftest import UNCOMPILED
from tests.running import SECONDS, freeze, until
from tests.test_never_deaf import subscriptions
from tests.vizone_servers import account_of

pytest_plugins = ["tests.vizone_fixtures"]

BOTH = ("--state", "store:s", "--standby", "n")


class One:
    """One of the listeners, with its events and messages."""

    def __init__(self, start, server, *args):
        env = server.environment() | UNCOMPILED
        self.process = start("flow-listen-assets", "-v", *BOTH, *args, env=env, stderr=PIPE)
        self.subjects, self.lines = [], []
        for stream, take in ((self.process.stdout, self._event), (self.process.stderr, self._line)):
            threading.Thread(target=self._read, args=(stream, take), daemon=True).start()

    def _read(self, stream, take):
        for line in stream:
            take(line)

    def _event(self, line):
        self.subjects.append(json.loads(line)["subject"])

    def _line(self, line):
        self.lines.append(line.decode())

    def has_said(self, text):
        return any(text in line for line in self.lines)


def pair(start, server):
    """An active listener, and one that stands by."""
    first = One(start, server)
    until(lambda: first.has_said("working: 'n' is ours"))
    second = One(start, server)
    until(lambda: second.has_said("waiting: 'n' is held by"))
    until(lambda: subscriptions(server))
    return first, second


def all_told(assets, *listeners):
    return {each.urn for each in assets} <= {urn for each in listeners for urn in each.subjects}


def holds(start, listener):
    """The holder of the lease in flow-status: the figure, and the beginning of the text."""
    process = start("flow-status", "--json")
    out, _ = process.communicate(timeout=SECONDS)
    found = [json.loads(line) for line in out.splitlines()]
    (status,) = [each for each in found if each["pid"] == listener.process.pid]
    return status["figures"]["is_holder"], status["connection"][:11]


def test_the_second_listener_takes_over_immediately_when_the_first_ends(server, start):
    first, second = pair(start, server)
    made = [server.catalogue.create(str(number)) for number in range(20)]
    until(lambda: all_told(made, first))
    assert second.subjects == []
    assert [holds(start, each) for each in (first, second)] == [
        (1, "'127.0.0.1:"),
        (0, "stands by; "),
    ]
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(SECONDS) == -signal.SIGTERM
    made += [server.catalogue.create(f"while nobody listens {number}") for number in range(5)]
    until(lambda: second.has_said("working: 'n' is ours"), seconds=10)
    until(lambda: all_told(made[20:], second))
    # Events that the first has done and stored do not come again.
    assert not {each.urn for each in made[:20]} & set(second.subjects)


def test_a_killed_holder_is_succeeded_when_its_lease_expires(server, start):
    first, second = pair(start, server)
    first.process.kill()
    made = [server.catalogue.create(f"missed {number}") for number in range(20)]
    until(lambda: all_told(made, second))


@pytest.mark.timeout(300)
def test_a_frozen_holder_writes_no_events_after_thawing(server, start):
    first, second = pair(start, server)
    freeze(first.process)
    made = [server.catalogue.create(f"missed {number}") for number in range(20)]
    until(lambda: all_told(made, second))
    first.process.send_signal(signal.SIGCONT)
    # It notices by its own clock or by reading the store, whichever comes first.
    until(lambda: first.has_said("stopped: 'n' is not ours any more: it "))
    made.append(server.catalogue.create("afterwards"))
    until(lambda: all_told(made, second))
    assert first.subjects == []
    # It stands by now, and becomes active again at the next takeover.
    until(lambda: first.has_said("waiting: 'n' is held by"))
    second.process.send_signal(signal.SIGTERM)
    # Until it has ended, the second may still take a change, and note it as done.
    assert second.process.wait(SECONDS) == -signal.SIGTERM
    made.append(server.catalogue.create("the first again"))
    until(lambda: all_told(made[-1:], first))


def test_a_holder_that_cannot_renew_stops_before_its_lease_expires(server, start):
    first, _ = pair(start, server)
    began = time.monotonic()
    server.faults.rates = Rates.parse("5xx=1")
    until(lambda: first.has_said("stopped: 'n' is not ours any more: it could not be renewed"))
    assert time.monotonic() - began < 15
    server.faults.rates = Rates()
    until(lambda: subscriptions(server))
    live = server.catalogue.create("live")
    until(lambda: all_told([live], first, _))


def test_a_listener_that_cannot_work_after_taking_over_waits_and_retries(server, start):
    first, second = pair(start, server)
    answer = server._web.resources.answer

    def without_feed(request):
        is_feed = request.path.endswith("/asset/item")
        return Reply(status=404) if is_feed else answer(request)

    server._web.resources.answer = without_feed
    first.process.send_signal(signal.SIGTERM)
    until(lambda: second.has_said("cannot work: "))
    server._web.resources.answer = answer
    until(lambda: subscriptions(server))
    live = server.catalogue.create("live")
    until(lambda: all_told([live], second))


def test_standby_needs_a_shared_state(server, run):
    env = server.environment()
    for more in ((), ("--state", "file")):
        status, _, err = run("flow-listen-assets", "--standby", "n", *more, env=env)
        assert (status, "--standby needs --state store:NAME" in " ".join(err.split())) == (2, True)
    status, _, err = run("flow-listen-assets", "--state", "store:a/b", env=env)
    assert (status, "is not a name of letters" in " ".join(err.split())) == (2, True)


def test_exactly_one_of_many_concurrent_writers_gets_the_lease(server):
    stop, got = Stop(), []
    leases = [Lease(account_of(server), "n") for _ in range(5)]
    threads = [
        threading.Thread(target=lambda each=each: each.acquire(stop) and got.append(each))
        for each in leases
    ]
    for thread in threads:
        thread.start()
    until(lambda: got)
    time.sleep(4)
    assert len([each for each in leases if each.is_held]) == 1
    stop.set()
    for thread in threads:
        thread.join(SECONDS)
    for each in leases:
        each.close()
    stop.close()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{}", "it is damaged"),
        ({"flow-state": 2}, "it is damaged"),
        ({"changed": "2999-01-01T00:00:00Z"}, "which is in the future"),
        ({"of": "the files of 'x'"}, "it belongs to the files of 'x', not assets"),
    ],
)
def test_a_state_in_the_store_is_validated_like_a_file(server, value, said):
    state = StoredState(account_of(server), "s", "assets")
    assert state.load() is None
    state.save(5.0, {"k": 5.0}, 0.5)
    assert state.load() == (5.0, {"k": 5.0}, 0.5)
    store = state._client.store("flowtools")
    kept = store.get("state.s")
    store.put("state.s", kept | value if isinstance(value, dict) else value)
    with pytest.raises(ConfigurationError, match=f"cannot use state 'store:s': {said}|{said}"):
        state.load()
    state.close()
