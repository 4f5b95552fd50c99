"""Notifies systemd that a service is ready, is alive, or stops.

The protocol is sd_notify(3): datagrams of NAME=value lines to the Unix socket that the environment
names. Without that variable nothing is sent.
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from flowtools.core.log import get_log
from flowtools.process.message import one_line

if TYPE_CHECKING:
    import socket

log = get_log("flowtools.process.systemd")

SEND_SECONDS = 1.0
"""Maximum time for one message, in seconds, if the service manager does not read."""


class Notifier:
    """Talks to the service manager that started this process, if one did.

    Removes its variables from the environment, unless `keep` is given, so that a Worker's child
    processes cannot notify in this one's name.

    Attributes:
        watchdog_interval: Seconds without a `ping` after which the service counts as hung;
            None without a watchdog.
    """

    watchdog_interval: float | None

    def __init__(self, *, keep: bool = False) -> None:
        """Find the service manager; with `keep` leave its variables for another Notifier."""
        path = os.environ.get("NOTIFY_SOCKET", "")
        interval = os.environ.get("WATCHDOG_USEC", "")
        watched = os.environ.get("WATCHDOG_PID", "")
        for name in () if keep else ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            os.environ.pop(name, None)
        # A leading @ stands for the NUL byte of an abstract socket (unix(7)).
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket: socket.socket | None = None
        self.watchdog_interval = None
        if not self._address:
            return
        self._socket = _datagram_socket()
        if watched in ("", str(os.getpid())):
            with suppress(ValueError):
                self.watchdog_interval = int(interval) / 1e6 or None

    def ready(self) -> None:
        """Tell that start-up is complete."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Tell that the service has begun to end."""
        self._send("STOPPING=1")

    def ping(self) -> None:
        """Tell that the service is alive; due at least every `watchdog_interval` seconds."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Send the state in one line, which may be empty; `systemctl status` shows it."""
        self._send(f"STATUS={one_line(text)}")

    def close(self) -> None:
        """Release the socket; nothing is sent any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            log.warning("cannot tell the service manager '%s': %s", message, error)


def _datagram_socket() -> "socket.socket":
    import socket  # Imported late: few processes are services, and the others start quicker.

    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.settimeout(SEND_SECONDS)
    return made
