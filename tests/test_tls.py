"""Untrusted certificates of a Viz One are refused, and the message says why."""

import ssl
import sys
import threading

import pytest

from flowtools.process.tls import trusting
from flowtools.sim.standin import Plan, StandIn
from tests.brokers import certificates
from tests.running import SECONDS
from tests.stomp_servers import Script


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("https")
    certificates.make(made)
    return made


@pytest.fixture
def https(folder, tmp_path):
    """Start a TLS server with a certificate of this kind, whose handshake may fail."""
    servers = []

    def start(kind):
        for name in ("ca.pem", "ca.key", "server.pem", "server.key"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
        if kind in certificates.BAD:
            certificates.make_bad(tmp_path, kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
        server = Script(context)
        servers.append(server)

        def serve():
            with pytest.raises((ssl.SSLError, OSError)):
                server.accept()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        servers.append(thread)
        return f"https://127.0.0.1:{server.port}"

    yield start
    for each in servers:
        each.join(SECONDS) if isinstance(each, threading.Thread) else each.close()


@pytest.mark.parametrize(
    ("kind", "knows", "reason"),
    [
        ("expired", True, "its certificate has expired"),
        ("wrong-host", True, "its certificate is for another address: "),
        ("self-signed", False, "its certificate is self-signed; --ca-file can name it as trusted"),
        ("good", False, "its certificate is signed by an unknown authority; give --ca-file"),
    ],
)
@pytest.mark.parametrize("command", [("flow-listen-assets",), ("flow-listen-files", "here")])
def test_each_kind_of_untrusted_certificate_is_refused_and_named(
    https, run, tmp_path, command, kind, knows, reason
):
    ca = ["--ca-file", tmp_path / "ca.pem"] if knows else []
    login = {"VIZONE_USER": "anna", "VIZONE_PASSWORD": "s3cret"}
    status, out, err = run(*command, *ca, "--url", https(kind), env=login)
    assert (status, out) == (77, b"")
    assert reason in err
    assert err.count("\n") == 1
    assert "s3cret" not in err


def test_https_to_the_stand_in_is_reported_as_missing_tls(run):
    server = StandIn(Plan())
    server.start()
    try:
        url = server.url.replace("http", "https")
        login = {"VIZONE_USER": "anna", "VIZONE_PASSWORD": "s3cret"}
        status, _, err = run("flow-listen-assets", "--url", url, env=login)
    finally:
        server.close()
    assert status == 77
    assert "it does not speak TLS on this port" in err


def test_a_named_authority_is_checked_without_the_strict_rules_of_new_pythons(folder):
    # The authority of these tests lacks the key usage, so the rules of Python 3.13 would refuse it.
    for name, flags in (("named", trusting(folder / "ca.pem")), ("system", trusting(None))):
        is_strict = bool(flags.verify_flags & ssl.VERIFY_X509_STRICT)
        assert is_strict is (name == "system" and sys.version_info >= (3, 13))
        assert flags.check_hostname
        assert flags.verify_mode == ssl.CERT_REQUIRED
