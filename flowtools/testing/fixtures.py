"""Fixtures for pytest; write `pytest_plugins = ["flowtools.testing.fixtures"]` in a conftest."""

from collections.abc import Iterator

import pytest

from flowtools.testing.standin import VizOne
from flowtools.testing.standin import viz_one as running


@pytest.fixture
def viz_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[VizOne]:
    """A running stand-in Viz One. VIZONE_URL, _USER and _PASSWORD lead to it during the test."""
    with running() as one:
        for name, value in one.environment().items():
            monkeypatch.setenv(name, value)
        yield one
