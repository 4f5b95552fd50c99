"""Two ActiveMQ on one store: nothing is lost when the one that serves is killed and returns."""

import pytest

from tests.brokers.activemq import ActiveMQ6
from tests.brokers.cluster_ordeal import ROUNDS, survive
from tests.brokers.conftest import served
from tests.brokers.pair import ActiveMQPair

TOTAL = 3000


@pytest.fixture
def pair(tmp_path):
    yield from served(ActiveMQ6.name, lambda: ActiveMQPair(tmp_path / "pair"))


@pytest.mark.timeout(300 + 300 * ROUNDS)
def test_the_waiting_broker_takes_over_and_every_event_is_processed(pair, queue, tmp_path, show):
    kinds = ["leader killed", "leader killed", "listener killed", "flow-send killed"]
    survive(pair, queue, tmp_path, kinds, least=TOTAL, show=show)
