"""Fixtures of the STOMP servers in stomp_servers.py; a test file names them in pytest_plugins."""

import pytest

from tests.stomp_servers import Coil, Script


@pytest.fixture
def coil():
    """A CoilMQ."""
    broker = Coil()
    yield broker
    broker.stop()


@pytest.fixture
def script():
    """A server whose connections the test serves by itself."""
    server = Script()
    yield server
    server.close()
