"""A pytest plugin that skips tests which start commands: `pytest -p tests.in_process`."""

STARTS = {"run", "start", "shell", "script", "coil", "terminal"}


def pytest_collection_modifyitems(config, items):
    """Keep only the tests whose code runs in this process."""
    left = [item for item in items if STARTS & set(item.fixturenames)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
