"""Untrusted certificates on the real brokers."""

import pytest

from tests.brokers import certificates
from tests.brokers.activemq import ActiveMQ
from tests.brokers.conftest import missing
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.server import BrokerMissing
from tests.brokers.servers import chosen

LINE = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}\n'

REASONS = {
    "expired": "its certificate has expired",
    "wrong-host": "its certificate is for another address: ",
    "self-signed": "its certificate is self-signed; --ca-file can name it as trusted",
    "unknown authority": "its certificate is signed by an unknown authority",
}


@pytest.fixture(scope="module", params=[RabbitMQ, ActiveMQ], ids=lambda kind: kind.name)
def own(request, tmp_path_factory):
    """A broker for this file only, whose certificate a test may change."""
    if request.param.name not in chosen():
        pytest.skip(f"BROKERS does not name {request.param.name}")
    try:
        server = request.param(tmp_path_factory.mktemp(request.param.name))
    except BrokerMissing as error:
        missing(error)
    yield server
    server.close()


@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.parametrize("command", ["flow-listen-stomp", "flow-send"])
def test_an_untrusted_certificate_is_refused_with_the_reason(own, kind, command, run):
    present(own, kind)
    ca = [] if kind in ("self-signed", "unknown authority") else ["--ca-file", own.ca_file]
    url = own.url("/queue/tls", tls=True)
    status, out, err = run(command, *ca, url, input=LINE, env={"FLOW_USER": own.user})
    assert (status, out) == (77, b"")
    assert err.startswith(f"{command}: cannot connect to '127.0.0.1:{own.tls_port}': ")
    assert REASONS[kind] in err
    assert err.count("\n") == 1


def present(server, kind):
    """Let the broker show a certificate of this kind; restart it only if the kind changes."""
    if server.running and getattr(server, "shows", None) == kind:
        return
    server.stop()
    if kind == "unknown authority":
        for name in ("server.p12", "ca.pem"):
            (server.folder / name).unlink()
        certificates.make(server.folder)
    else:
        certificates.make_bad(server.folder, kind)
    server.start()
    server.shows = kind
