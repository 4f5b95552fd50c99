"""The fixture of pools.py; a test file names this module in pytest_plugins."""

import os

import pytest

from tests.pools import Running


@pytest.fixture
def pool():
    """Start a pool in this process; it is ended with the test."""
    started = []

    def start(function, parts=None, acks=None, **settings):
        started.append(Running(function, parts, acks, **settings))
        return started[-1]

    yield start
    for running in started:
        running.stop.set()
        running.end()
        os.close(running.out)
        running.stop.close()
