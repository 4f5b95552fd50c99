"""Warns before the certificates of the servers that this process connects to expire.

A process has one `certificates` object. Code that makes a TLS connection reports the server's
certificate with `saw`. If it expires within Expiring.expiry_days, a warning is logged at once and
then once a day, by the thread that answers flow-status (statussocket.py). A renewed certificate is
noticed at the next connection, which ends the warnings.
"""

import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from flowtools.core.event import rfc3339
from flowtools.core.log import get_log
from flowtools.core.settings import Expiring

if TYPE_CHECKING:
    import ssl

DAY = 86400.0

_log = get_log("flowtools.process.tls")


@dataclass
class _Seen:
    ends: float
    said_at: float | None = None


class Certificates:
    """The last certificate seen of each server. Any thread may call any method."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._lock = Lock()

    def saw(self, name: str, ends: float | None) -> None:
        """Note that the certificate of server `name` expires at `ends` (see `ends_at`)."""
        if ends is None:
            return
        with self._lock:
            known = self._seen.get(name)
            if known is None or known.ends != ends:
                self._seen[name] = _Seen(ends)
        self.look()  # Outside the lock, which it takes itself.

    def look(self, now: float | None = None) -> None:
        """Warn once a day of each certificate that expires soon; `now`: seconds since the epoch."""
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


def ends_at(tls: "ssl.SSLObject | ssl.SSLSocket | None") -> float | None:
    """Return the expiry time of the other side's certificate, in seconds since the epoch.

    None means that there is no TLS, or that the certificate is not checked (--insecure), in which
    case Python does not read it.
    """
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    import ssl  # Takes 1.3 MiB, and commands without TLS have this module, too.

    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def days_left(ends: float, now: float) -> str:
    """Return in words how long a certificate is still valid."""
    days = int((ends - now) // DAY)
    if days < 0:
        return "has ended"
    return "ends within a day" if days == 0 else f"ends in {days} day{'s' * (days > 1)}"


certificates = Certificates()
"""The certificates seen by this process."""
