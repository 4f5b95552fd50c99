"""Fixtures of the STOMP servers in stomp_servers.py; a test file names them in pytest_plugins."""

import shutil
import ssl
import subprocess

import pytest

from tests.brokers.certificates import lasting
from tests.stomp_servers import Coil, Script


@pytest.fixture
def coil():
    """A CoilMQ."""
    broker = Coil()
    yield broker
    broker.stop()


@pytest.fixture
def script():
    """A server whose connections are served by the test itself."""
    server = Script()
    yield server
    server.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Certificates made with openssl, in a folder: for 127.0.0.1, another host, expired."""
    assert shutil.which("openssl")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "self"):
        to = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
        extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
        openssl("req", "-x509", *key, *to, "-days", "2", *extension)
    signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"]
    for name, alternative, days in [
        ("good", "IP:127.0.0.1", "2"),
        ("other", "DNS:elsewhere", "2"),
        ("expired", "IP:127.0.0.1", "-1"),
        ("client", "DNS:client", "2"),
    ]:
        (folder / "ext").write_text(f"subjectAltName={alternative}\n")
        request = f"{name}.csr"
        openssl("req", *key, "-keyout", f"{name}.key", "-out", request, "-subj", f"/CN={name}")
        to = ["-in", request, "-out", f"{name}.pem", *lasting(days)]
        openssl("x509", "-req", *to, *signed_by)
    return folder


@pytest.fixture
def secured(authority):
    """Start a scripted server with the certificate of that name."""
    servers = []

    def start(name, *, client_ca=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / f"{name}.pem", authority / f"{name}.key")
        if client_ca:
            context.load_verify_locations(authority / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
        servers.append(Script(context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
