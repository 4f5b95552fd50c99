"""What a listener says of events that it leaves unacknowledged: it must not promise too much."""

import json
import signal

import pytest

from flowtools.source.again import of_broker, of_viz_one
from flowtools.stomp.terms import Terms
from flowtools.stomp.url import parse_url
from tests.stomp_servers import SECONDS
from tests.vizone_servers import stand_in


@pytest.mark.parametrize(
    ("query", "durable", "text"),
    [
        ("/queue/a", None, "will be delivered again"),
        ("/amq/queue/a", None, "will be delivered again"),
        ("/topic/a", None, "may be lost: '/topic/a' keeps nothing without --durable"),
        ("/exchange/a/b", None, "may be lost: '/exchange/a/b' keeps nothing without --durable"),
        ("/topic/a", "name", "will be delivered again"),
        ("/topic/a&activemq.subscriptionName=x", None, "will be delivered again"),
        ("jobs", None, "will be delivered again if 'jobs' is a queue"),
    ],
)
def test_the_kind_of_destination_decides(query, durable, text):
    url = parse_url(f"stomp://mq/?destination={query}")
    assert of_broker(Terms(url, 1, 1.0, durable=durable)).after_the_end == text


@pytest.mark.parametrize(
    ("replays", "has_state", "session", "end"),
    [(False, False, False, False), (True, False, True, False), (True, True, True, True)],
)
def test_viz_one_delivers_again_only_what_somebody_asks_for(replays, has_state, session, end):
    again = of_viz_one(replays=replays, has_state=has_state)
    lost = "may be lost: Viz One delivers nothing again without --state"
    assert again.after_a_session == ("will be delivered again" if session else lost)
    assert again.after_the_end == ("will be delivered again" if end else lost)


@pytest.fixture
def server():
    with stand_in() as made:
        yield made


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "may be lost: Viz One delivers nothing again without --state"),
        (["--since", "1s"], "may be lost: Viz One delivers nothing again without --state"),
        (["--state", "state"], "will be delivered again"),
    ],
)
def test_a_stopped_listener_of_viz_one_says_what_becomes_of_the_rest(server, start, options, text):
    process = start(
        *("flow-listen-assets", "--ack", "worker", "--drain", "0.1", *options),
        env=server.environment() | {"VIZONE_USER": "admin"},
    )
    assert server._broker.has_subscriber("/topic/vizone.assets", 30)
    server.catalogue.create("a")
    assert json.loads(process.stdout.readline())["type"] == "flow.asset.created"
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    said = process.stderr.read().decode()
    assert said.endswith(f"1 event has not been acknowledged; it {text}\n")
