"""The fixture of a stand-in for Viz One; a test file names this module in pytest_plugins."""

import pytest

from tests.vizone_servers import stand_in


@pytest.fixture
def server():
    """A stand-in that makes no change by itself."""
    with stand_in() as server:
        yield server
