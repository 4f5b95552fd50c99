"""Fixtures for tests against real brokers; every test here has the marker `brokers`."""

import os
import uuid
from pathlib import Path

import pytest

from tests.brokers.server import BrokerMissing
from tests.brokers.servers import ALL, chosen

# Its asserts then show the values, as those of test files do.
pytest.register_assert_rewrite("tests.brokers.cluster_ordeal")

HERE = Path(__file__).parent
REQUIRED = bool(os.environ.get("CI") or os.environ.get("FLOWTOOLS_REQUIRE_BROKERS"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests before pytest deselects by marker, and group them for pytest-xdist."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.brokers)
            if item.get_closest_marker("timeout") is None:
                # Twice START_SECONDS and more: a test may start its broker, and start it again.
                item.add_marker(pytest.mark.timeout(400))
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    # The longest first: each is one test, which cannot be divided among workers at the end.
    items.sort(key=lambda item: item.path.stem not in ("test_standby", "test_cluster"))


def pytest_terminal_summary(terminalreporter):
    """Print the tables that tests have shown in the processes of pytest-xdist."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            told = getattr(report, "user_properties", ()) if _is_call(report) else ()
            for text in [text for name, text in told if name == "shown"]:
                terminalreporter.write_line(f"\n{report.nodeid}\n{text}")


def _is_call(report):
    return getattr(report, "when", None) == "call"


def _group(item):
    """Return the broker that a test is about, or its file: one process runs all of a group.

    So each broker is started once, and with `-n 2 --dist loadgroup` two of them run at a time.
    Networks all have the same addresses.
    """
    if "network" in item.fixturenames:
        return "network"
    told = getattr(item, "callspec", None)
    named = [value for value in (told.params.values() if told else ()) if value in ALL]
    fixtures = [name for name in item.fixturenames if name in ALL]
    return next(iter([*named, *fixtures]), item.path.stem)


def missing(reason):
    """End a test whose broker is not installed: skipped, or failed if the brokers are required."""
    if REQUIRED:
        pytest.fail(str(reason))
    pytest.skip(str(reason))


def served(name, make):
    """Start what `make` returns, yield it and close it; the test needs the broker called `name`."""
    if name not in chosen():
        pytest.skip(f"BROKERS does not name {name}")
    try:
        server = make()
    except BrokerMissing as error:
        missing(error)
    try:
        yield server.start()
    finally:
        server.close()


def _served(kind, tmp_path_factory):
    yield from served(kind.name, lambda: kind(tmp_path_factory.mktemp(kind.name)))


@pytest.fixture(scope="session")
def _rabbitmq(tmp_path_factory):
    yield from _served(ALL["rabbitmq"], tmp_path_factory)


@pytest.fixture(scope="session")
def _activemq(tmp_path_factory):
    yield from _served(ALL["activemq"], tmp_path_factory)


@pytest.fixture(scope="session", params=chosen())
def _broker(request, tmp_path_factory):
    # The parameter of a session's fixture: pytest runs all tests of one broker together.
    yield from _served(ALL[request.param], tmp_path_factory)


def _lent(server):
    """Lend the session's broker to one test, and repair afterwards what the test did to it."""
    yield server
    if server.running:
        server.thaw()
    else:
        server.start()


@pytest.fixture
def rabbitmq(_rabbitmq):
    """RabbitMQ, running: a tests.brokers.rabbitmq.RabbitMQ. A test may freeze or kill it."""
    yield from _lent(_rabbitmq)


@pytest.fixture
def activemq(_activemq):
    """ActiveMQ, running: a tests.brokers.activemq.ActiveMQ. A test may freeze or kill it."""
    yield from _lent(_activemq)


@pytest.fixture
def broker(_broker):
    """Each of the chosen brokers in turn."""
    yield from _lent(_broker)


@pytest.fixture
def show(request, capsys):
    """Print past pytest's capture, or at the end of the run, where tables are wanted."""

    def show(text):
        if "PYTEST_XDIST_WORKER" in os.environ:
            request.node.user_properties.append(("shown", text))
        else:
            with capsys.disabled():
                print(f"\n{text}", flush=True)

    return show


@pytest.fixture
def any_rabbitmq(broker):
    """Each of the chosen brokers that is a RabbitMQ."""
    if broker.family != "rabbitmq":
        pytest.skip("what RabbitMQ alone does")
    return broker


@pytest.fixture
def name():
    """A name that no destination has used before."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(name):
    """The STOMP name of a queue that only this test uses."""
    return f"/queue/{name}"


@pytest.fixture
def topic(name):
    """The STOMP name of a topic that only this test uses."""
    return f"/topic/{name}"
