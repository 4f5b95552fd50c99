"""Fixtures for tests against real brokers; every test here has the marker `brokers`."""

import os
import uuid
from pathlib import Path

import pytest

from tests.brokers.server import BrokerMissing
from tests.brokers.servers import ActiveMQ, RabbitMQ

HERE = Path(__file__).parent
REQUIRED = bool(os.environ.get("CI") or os.environ.get("FLOWTOOLS_REQUIRE_BROKERS"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark them before pytest deselects by marker."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.brokers)


def _served(kind, tmp_path_factory):
    try:
        server = kind(tmp_path_factory.mktemp(kind.name))
    except BrokerMissing as missing:
        if REQUIRED:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def _rabbitmq(tmp_path_factory):
    yield from _served(RabbitMQ, tmp_path_factory)


@pytest.fixture(scope="session")
def _activemq(tmp_path_factory):
    yield from _served(ActiveMQ, tmp_path_factory)


def _lent(server):
    """Lend the session's broker to one test; mend what the test did to it."""
    yield server
    if server.running:
        server.thaw()
    else:
        server.start()


@pytest.fixture
def rabbitmq(_rabbitmq):
    """RabbitMQ, running: a tests.brokers.servers.RabbitMQ. A test may freeze or kill it."""
    yield from _lent(_rabbitmq)


@pytest.fixture
def activemq(_activemq):
    """ActiveMQ, running: a tests.brokers.servers.ActiveMQ. A test may freeze or kill it."""
    yield from _lent(_activemq)


@pytest.fixture(params=["rabbitmq", "activemq"])
def broker(request):
    """Each of the real brokers, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def name():
    """A name that no destination has had."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(name):
    """A queue of the test's own, as STOMP names it."""
    return f"/queue/{name}"


@pytest.fixture
def topic(name):
    """A topic of the test's own, as STOMP names it."""
    return f"/topic/{name}"
