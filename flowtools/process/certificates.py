"""Certificates that servers have shown to this process: said in time that one is about to end.

A process has one `certificates`. Whoever makes a TLS connection shows it (`saw`); one that ends
within two weeks is told of then, and once a day as long as it is the last that was seen, by the
thread that answers flow-status (statussocket.py). One that has been renewed since is seen at the
next connection.
"""

import ssl
import time
from dataclasses import dataclass
from threading import Lock

from flowtools.core.event import rfc3339
from flowtools.core.log import get_log
from flowtools.core.settings import Expiring

DAY = 86400.0

_log = get_log("flowtools.process.tls")


@dataclass
class _Seen:
    ends: float
    said_at: float | None = None


class Certificates:
    """The last certificate of each server; any thread may call."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._lock = Lock()

    def saw(self, name: str, ends: float | None) -> None:
        """Take note that the certificate of the server `name` ends then (see `ends_at`)."""
        if ends is None:
            return
        with self._lock:
            known = self._seen.get(name)
            if known is None or known.ends != ends:
                self._seen[name] = _Seen(ends)
        self.look()

    def look(self, now: float | None = None) -> None:
        """Warn of each certificate that ends soon, once a day; `now` in seconds of the epoch."""
        now = time.time() if now is None else now
        with self._lock:
            due = [
                (name, each)
                for name, each in self._seen.items()
                if each.ends - now < Expiring.expiry_days * DAY
                and (each.said_at is None or not 0 <= now - each.said_at < DAY)
            ]
            for _, each in due:
                each.said_at = now
        for name, each in due:
            _log.warning(
                "the certificate of '%s' %s (%s); it has to be renewed there",
                *(name, days_left(each.ends, now), rfc3339(each.ends)),
            )


def ends_at(tls: ssl.SSLObject | ssl.SSLSocket | None) -> float | None:
    """Return when the other side's certificate ends, in seconds of the epoch.

    None: there is no TLS, or nothing is known because it is not checked (--insecure).
    """
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def days_left(ends: float, now: float) -> str:
    """Return in words how long a certificate is good for."""
    days = int((ends - now) // DAY)
    if days < 0:
        return "has ended"
    return "ends within a day" if days == 0 else f"ends in {days} day{'s' * (days > 1)}"


certificates = Certificates()
"""Those of this process."""
