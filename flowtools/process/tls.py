"""TLS to a broker: the context with its checks, and the reason of a failed handshake in words.

A handshake fails in one of two ways. Some failures stay until a person changes something: a
certificate that has expired or is for another host, a client certificate that the broker does not
accept. `refusal` returns these in words that name the option to use. For any other failure, such as
a connection that is lost in the middle, it returns None: another attempt may help.
"""

import ssl
from functools import cache
from pathlib import Path

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log

_log = get_log("flowtools.process.tls")

# OpenSSL's X509_V_ERR codes (verify(1), "DIAGNOSTICS").
_VERDICTS = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed; --ca-file can name it as trusted",
    19: "its certificate is signed by an unknown authority (self-signed); give --ca-file",
    20: "its certificate is signed by an unknown authority; give --ca-file",
    21: "its certificate is signed by an unknown authority; give --ca-file",
    62: "its certificate is for another host",
    64: "its certificate is for another address",
}

NO_TLS = "it does not speak TLS on this port"

# Parts of OpenSSL's names for reasons, whose beginnings differ: SSLV3_ALERT_, TLSV13_ALERT_.
_ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants a client certificate; give --client-certificate",
    "HANDSHAKE_FAILURE": "it refuses the handshake; it may want a --client-certificate",
    "BAD_CERTIFICATE": "it refuses the client certificate",
    "UNKNOWN_CA": "it does not know the authority of the client certificate",
    "CERTIFICATE_EXPIRED": "the client certificate has expired",
    "CERTIFICATE_UNKNOWN": "it refuses the client certificate",
    "CERTIFICATE_REVOKED": "the client certificate has been revoked",
    "WRONG_VERSION_NUMBER": NO_TLS,
    "UNSUPPORTED_PROTOCOL": "its version of TLS is too old",
    "PROTOCOL_VERSION": "there is no version of TLS that both sides speak",
}


def trusting(ca_file: str | Path | None) -> ssl.SSLContext:
    """Return a context that trusts only the authorities in `ca_file`; None: those of the system.

    Python 3.13 and later refuse an authority that does not follow RFC 5280, as many in-house
    authorities do not. An authority that the user has named is trusted anyway, by every Python.

    Raises:
        OSError: The file cannot be read, or holds no certificate (ssl.SSLError).
    """
    if ca_file is None:
        return ssl.create_default_context()
    context = ssl.create_default_context(cafile=str(ca_file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def client_context(
    ca_file: Path | None, certificate: Path | None, key: Path | None, *, insecure: bool
) -> ssl.SSLContext:
    """Return a client's context that trusts only `ca_file`; None: the system's authorities.

    Certificate and host name are checked unless `insecure`, which logs a warning.

    Raises:
        ConfigurationError: A file cannot be read, or does not hold a certificate or key.
    """
    try:
        context = trusting(ca_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_cannot_use("CA file", ca_file, error)) from None
    if certificate is not None:
        _show(context, certificate, key)
    if insecure:
        _warn()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Load the client certificate and its key into `context`."""
    try:
        context.load_cert_chain(str(certificate), str(key) if key else None, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_why_not(certificate, key, error)) from None


def _no_password() -> str:
    # Without this callback OpenSSL would ask for the passphrase on the terminal, and wait.
    raise ValueError("it has a passphrase; 'openssl pkey -in KEY -out NEW' writes it without")


def _why_not(certificate: Path, key: Path | None, error: Exception) -> str:
    """Return which of the two files cannot be used, and why."""
    # OpenSSL's error names neither file, so each is tried alone.
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        other = f"the client key '{key}'" if key else "the key in the same file"
        return f"cannot use the client certificate '{certificate}': {other} does not belong to it"
    for what, path in (("client certificate", certificate), ("client key", key)):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as reason:
            return _cannot_use(what, path, reason)
    if not isinstance(error, ssl.SSLError):
        return _cannot_use("client key", key or certificate, error)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(str(certificate))
    except (OSError, ValueError):
        return _cannot_use("client certificate", certificate, error)
    return f"cannot use the client key '{key or certificate}': it holds no key in PEM form"


@cache
def _warn() -> None:
    """Warn once per process; `client_context` is called for each connection."""
    _log.warning(
        "--insecure: the broker's certificate is NOT checked; anybody between here and the broker "
        "can read and change everything, including the password"
    )


def refusal(error: ssl.SSLError) -> str | None:
    """Return why TLS fails permanently, in words; None if another attempt may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = str(error.verify_message).rstrip(".")
        verdict = _VERDICTS.get(error.verify_code)
        if verdict is None:
            return f"its certificate is not trusted: {said}"
        return f"{verdict}: {said}" if error.verify_code in (62, 64) else verdict
    reason = error.reason or ""
    for alert, words in _ALERTS.items():
        if alert in reason:
            return words
    return None


def refusal_in(error: BaseException) -> str | None:
    """Return why TLS fails permanently, if that is the cause of `error`; otherwise None."""
    # httpx wraps the error of TLS in errors of its own.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return refusal(cause)
        cause = cause.__cause__ or cause.__context__
    return None


def _cannot_use(what: str, path: Path | None, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, ssl.SSLError):
        reason = "it holds no certificate in PEM form"
    return f"cannot use the {what} '{path}': {reason}"
