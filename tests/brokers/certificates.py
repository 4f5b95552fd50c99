"""Certificates for the test brokers: of an authority, of a broker and of a client."""

import subprocess

STORE_PASSWORD = "tests-only"

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
_SERVER_NAMES = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")


def make(folder):
    """Make ca.pem; server.pem, .key and .p12 for localhost; client.pem and .key, all PEM."""
    if (folder / "server.p12").exists():
        return

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", *_KEY, "-batch", "-days", "30", "-x509")
    openssl(*new, "-subj", "/CN=Tests CA", "-keyout", "ca.key", "-out", "ca.pem")
    leaf = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    for who, extra in (("server", _SERVER_NAMES), ("client", ())):
        subject = ("-subj", "/CN=localhost" if who == "server" else "/CN=guest")
        files = ("-keyout", f"{who}.key", "-out", f"{who}.pem")
        openssl(*new, *leaf, *subject, *extra, *files)
    _bundle(openssl)


def lasting(days):
    """Options of openssl x509 for a certificate valid for `days` days; "-1": already expired."""
    if days != "-1":
        return ("-days", days)
    # OpenSSL 3.5 refuses a negative number of days, and 3.0 has no other option for it.
    known = subprocess.run(["openssl", "x509", "-help"], capture_output=True, text=True).stderr
    if "-not_after" not in known:
        return ("-days", days)
    return ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")


BAD = {
    "expired": ("IP:127.0.0.1", "-1"),
    "wrong-host": ("DNS:elsewhere.example", "30"),
    "self-signed": ("IP:127.0.0.1", "30"),
}
"""Certificates that must be refused: their subject, and their validity in days."""


def make_bad(folder, kind):
    """Replace the server's certificate by one that is "expired", "wrong-host", "self-signed"."""
    names, days = BAD[kind]

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    (folder / "extensions").write_text(f"subjectAltName={names}\n")
    openssl("req", *_KEY, "-subj", "/CN=bad", "-keyout", "server.key", "-out", "server.csr")
    if kind == "self-signed":
        signer = ("-signkey", "server.key")
    else:
        signer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    to = ("-in", "server.csr", "-out", "server.pem", *lasting(days), "-extfile", "extensions")
    openssl("x509", "-req", *to, *signer)
    _bundle(openssl)


def _bundle(openssl):
    pair = ("-in", "server.pem", "-inkey", "server.key", "-certfile", "ca.pem")
    openssl("pkcs12", "-export", *pair, "-passout", f"pass:{STORE_PASSWORD}", "-out", "server.p12")


def trust_store(folder):
    """Make trust.p12, by which Java trusts the authority."""
    if (folder / "trust.p12").exists():
        return
    words = ("-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-storetype", "PKCS12")
    subprocess.run(
        ["keytool", *words, "-keystore", "trust.p12", "-storepass", STORE_PASSWORD],
        cwd=folder,
        check=True,
        capture_output=True,
    )
