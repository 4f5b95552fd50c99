"""Fixtures for pytest: `pytest_plugins = ["flowtools.testing.fixtures"]` in a test or conftest."""

from collections.abc import Iterator

import pytest

from flowtools.testing.standin import VizOne
from flowtools.testing.standin import viz_one as running


@pytest.fixture
def viz_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[VizOne]:
    """A stand-in Viz One, which the environment names for the time of the test."""
    with running() as one:
        for name, value in one.environment().items():
            monkeypatch.setenv(name, value)
        yield one
