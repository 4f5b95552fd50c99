"""Checks of the way to a server: its name, its port, and its certificate.

Each step is a check of its own, although connecting would do them all at once: the advice for a
wrong name differs from that for a closed port or an unknown authority.
"""

import socket
import ssl
import time
from contextlib import closing

from flowtools.core.errors import FlowError, RefusedError, UnreachableError
from flowtools.core.wait import Stop
from flowtools.doctor.examination import Doubt, Examination
from flowtools.process.certificates import DAY, days_left
from flowtools.process.tls import NO_TLS
from flowtools.stomp.tcp import open_socket
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import host_and_port
from flowtools.stomp.wire import Wire


class Way:
    """The checks of the way to one server."""

    def __init__(
        self,
        examination: Examination,
        prefix: str,
        stop: Stop,
        seconds: float,
        plain: str,
        expiry_days: int,
    ) -> None:
        """Prepare the checks; none is made yet.

        Args:
            examination: Makes and reports the checks.
            prefix: Beginning of the names of the checks, such as "broker".
            stop: Ends a check early.
            seconds: Time-out of each check, in seconds.
            plain: Beginning of an address without TLS, for the advice.
            expiry_days: Warn of a certificate that expires within this number of days.
        """
        self._examination = examination
        self._prefix = prefix
        self._stop = stop
        self._seconds = seconds
        self._plain = plain
        self._expiry_days = expiry_days

    def examine(self, host: str, port: int, context: ssl.SSLContext | None) -> bool:
        """Check the name, the port and, with a `context`, TLS; return whether no check failed."""
        examine = self._examination.check
        before = len(self._examination.findings)
        names = [f"{self._prefix} {what}" for what in ("name", "port", "TLS")]
        if examine(names[0], lambda: self._resolve(host), _NAME_FIX) is None:
            self._examination.skip(tuple(names[1 : 3 if context else 2]), "the name has no address")
            return False
        fix = (
            "check that the server runs, that the port is right and that no firewall is in between;"
            f" try 'nc -vz {host} {port}'"
        )
        if examine(names[1], lambda: self._connect(host, port), fix) is None:
            if context:
                self._examination.skip((names[2],), "there is no connection")
            return False
        if context is not None:
            examine(
                names[2],
                lambda: self._encrypt(host, port, context),
                self._tls_fix,
            )
        # A doubt about the certificate gives None as well, so the verdicts are looked at.
        new = self._examination.findings[before:]
        return all(each.verdict != "failed" for each in new)

    def _tls_fix(self, error: FlowError) -> str:
        if isinstance(error, RefusedError) and NO_TLS not in str(error):
            return (
                "give the authority that signed the server's certificate with --ca-file, and use"
                " the host name that is in the certificate"
            )
        return (
            "use the port that speaks TLS; or, for a connection without TLS, an address that begins"
            f" with {self._plain}"
        )

    def _resolve(self, host: str) -> tuple[str, bool]:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        # UnicodeError: a part of the name is too long, or empty.
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreachableError(f"cannot resolve '{host}': {reason.lower()}") from None
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        return f"'{host}' is {', '.join(addresses)}", True

    def _connect(self, host: str, port: int) -> tuple[str, bool]:
        began = time.monotonic()
        # Without TLS even where the server expects it: a closed port is another fault than a bad
        # certificate.
        with closing(self._open(host, port, None)):
            took = (time.monotonic() - began) * 1000
        return f"'{host_and_port(host, port)}' answers after {took:.0f} ms", True

    def _encrypt(self, host: str, port: int, context: ssl.SSLContext) -> tuple[str, bool]:
        with closing(self._open(host, port, context)) as connected:
            assert connected.tls is not None
            version, ends = connected.tls.version(), connected.certificate_ends
        if context.verify_mode == ssl.CERT_NONE:
            raise Doubt(
                f"{version}, and the certificate is not checked (--insecure)",
                "leave out --insecure, and give the authority's certificate with --ca-file",
            )
        # Python gives the contents of a certificate only if it was checked.
        assert ends is not None
        now = time.time()
        said = f"{version}, and the certificate {days_left(ends, now)}"
        if ends - now < self._expiry_days * DAY:
            raise Doubt(said, "have the server's certificate renewed")
        return said, True

    def _open(self, host: str, port: int, context: ssl.SSLContext | None) -> Wire:
        try:
            return open_socket(host, port, context, self._stop, self._seconds)
        except ConnectionLost as error:
            kind = RefusedError if error.refused else UnreachableError
            raise kind(f"cannot connect to '{host_and_port(host, port)}': {error}") from None


_NAME_FIX = "check the spelling, /etc/hosts and the name service ('getent hosts NAME')"
