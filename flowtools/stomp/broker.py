"""A connection to a STOMP broker that is restored when it is lost: sessions, one after another.

`Broker.connect` runs in the caller's thread and waits until a session is up. The caller owns the
session (see session.py) and reports its end with `note_lost`, which sets the pace of reconnection:
the delay doubles from FIRST_DELAY to LONGEST_DELAY and starts again after a session that worked.
"""

import random
import socket
import ssl
import time
from collections.abc import Callable

from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError
from flowtools.core.log import get_log
from flowtools.core.wait import Stop
from flowtools.process.tls import client_context
from flowtools.stomp.contact import Contact
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Settings
from flowtools.stomp.tcp import open_socket
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL, host_and_port

FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
"""Seconds between attempts to connect: FIRST_DELAY, doubling, up to LONGEST_DELAY."""

STABLE = 5.0
"""Seconds after which a session counts as stable; then the next delay is FIRST_DELAY again."""

REFUSED_FOR = 30.0
"""Seconds for which a broker that accepted us before may refuse us: it may be starting."""

_log = get_log("flowtools.broker")


class Broker:
    """Makes sessions: connects to a broker, and connects again.

    The hosts of the URL are tried in turn, beginning after the host that was lost.

    Attributes:
        url: The URL of the broker, as `relocate` last returned it.
        contact: The state of the connection, for the log, flow-status and metrics.
    """

    def __init__(
        self,
        url: BrokerURL,
        settings: Settings,
        *,
        client_id: str | None = None,
        relocate: Callable[[Stop], BrokerURL | None] | None = None,
    ) -> None:
        """Prepare to connect to `url`.

        `relocate` is called before each attempt to reconnect and returns the current URL of the
        broker, or None if it does not know it.
        """
        self.url = url
        self.contact = Contact()
        self._settings = settings
        self._client_id = client_id
        self._relocate = relocate
        self._next_host = 0
        self._failures = 0
        self._down_since: float | None = time.monotonic()
        self._up_since: float | None = None
        self._refused_since: float | None = None
        self._reason: Exception | str = "it does not answer"

    def connect(self, stop: Stop) -> Session | None:
        """Return a session, however long that takes; None once `stop` is set.

        Raises:
            RefusedError: The broker refuses the login, or TLS is impossible.
            ProtocolError: The server does not speak STOMP.
            UnreachableError: The broker was not reached within `Settings.retry_for`.
            ConfigurationError: A certificate or password file cannot be used.
        """
        while not stop.is_set():
            if self._failures and stop.wait(self._pause()):
                break
            self._look_where(stop)
            session = self._try_hosts(stop)
            if session is not None:
                return session
            self._failures += 1
        return None

    def connect_anew(self, stop: Stop) -> Session | None:
        """Connect for a caller that closes each session on purpose and does not report its end.

        As `connect`, but earlier failures neither delay the first attempt nor count towards
        `Settings.retry_for`.
        """
        self._failures = 0
        self._down_since = time.monotonic()
        return self.connect(stop)

    def _pause(self) -> float:
        """Return the seconds until the next attempt; the last one is when `retry_for` is over."""
        longest: float = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._failures - 1, 20))
        # At random, so that all listeners of a broker do not come back in the same moment.
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311
        if self._settings.retry_for is None or self._down_since is None:
            return pause
        left = self._down_since + self._settings.retry_for - time.monotonic()
        return min(pause, max(0.0, left))

    def note_lost(
        self,
        session: Session,
        reason: Exception | str,
        *,
        worked: bool = False,
        accepted: bool = False,
    ) -> None:
        """Note that `session` has ended: log it and set the pace of reconnection.

        After a session that `worked`, and did not only log in, the first delay is short. If the
        broker has not `accepted` the session's request either, it counts as not reached.

        Raises:
            UnreachableError: The broker was not reached within `Settings.retry_for`.
        """
        now = time.monotonic()
        if worked or (self._up_since is not None and now - self._up_since >= STABLE):
            self._failures = 0
        else:
            self._failures += 1
        self._reason = f"'{session.name}': {reason}"
        if worked or accepted or self._down_since is None:
            self._down_since = now
        else:
            # A broker that accepts logins and nothing else must not be tried for ever.
            self._check_time()
        self.contact.lost(session, reason)

    def _check_time(self) -> None:
        retry_for = self._settings.retry_for
        if retry_for is None or self._down_since is None:
            return
        tried = time.monotonic() - self._down_since
        if tried >= retry_for:
            raise UnreachableError(
                f"cannot reach the broker: {self._reason}; tried for {tried:.0f} s"
            )

    def _look_where(self, stop: Stop) -> None:
        # The caller has only just looked up the first URL.
        is_first = self._up_since is None and not self._failures
        url = None if is_first or self._relocate is None else self._relocate(stop)
        if url is not None and url != self.url:
            _log.warning("the broker is now at '%s', not '%s'", url.public, self.url.public)
            self.url = url
            self._next_host = 0

    def _context(self) -> ssl.SSLContext | None:
        """Return a TLS context from the files as they are now: they may have been renewed."""
        if not self.url.tls:
            return None
        ours = self._settings
        return client_context(
            ours.ca_file, ours.client_certificate, ours.client_key, insecure=ours.insecure
        )

    def _try_hosts(self, stop: Stop) -> Session | None:
        failures: list[Exception] = []
        for _ in self.url.hosts:
            host, port = self.url.hosts[self._next_host]
            self._next_host = (self._next_host + 1) % len(self.url.hosts)
            try:
                session = self._try_host(host, port, stop)
            except (ConnectionLost, FlowError) as error:
                if stop.is_set():
                    return None
                name = host_and_port(host, port)
                failures.append(self._with_name(error, name))
                _log.debug("cannot connect to '%s': %s", name, error)
            else:
                self._note_up(session)
                return session
        self._judge(failures)
        return None

    def _try_host(self, host: str, port: int, stop: Stop) -> Session:
        seconds = self._settings.connect_timeout
        context = self._context()
        keep_alive = self._settings.heart_beat[1]
        for vhost in [self.url.vhost] if self.url.vhost else ["/", None]:
            connected = open_socket(host, port, context, stop, seconds, keep_alive)
            session = Session(connected, host_and_port(host, port))
            try:
                session.login(self._connect_headers(vhost or _own_name(host)), stop, seconds)
            except BaseException as error:
                session.abort()  # Its threads must not outlive it, whatever has happened.
                # CoilMQ wants its own host name in `host`, RabbitMQ the name of a virtual host.
                if not (isinstance(error, RefusedError) and vhost == "/" and "host" in str(error)):
                    raise
                refused = error
            else:
                return session
        raise refused

    def _connect_headers(self, vhost: str) -> dict[str, str]:
        out, heard = self._settings.heart_beat
        # STOMP 1.2, "CONNECT or STOMP Frame"; heart-beats in milliseconds ("Heart-beating").
        headers = {
            "accept-version": "1.0,1.1,1.2",
            "host": vhost,
            "heart-beat": f"{round(out * 1000)},{round(heard * 1000)}",
        }
        user = self.url.user or self._settings.user
        if user is not None:
            headers["login"] = user
            headers["passcode"] = self._settings.secret() or ""
        if self._client_id is not None:
            headers["client-id"] = self._client_id
        return headers

    def _note_up(self, session: Session) -> None:
        now = time.monotonic()
        is_first_try = self._up_since is None and not self._failures
        away = None if self._down_since is None or is_first_try else now - self._down_since
        self.contact.up(session, away)
        self._up_since = now
        self._refused_since = None

    def _judge(self, failures: list[Exception]) -> None:
        """Raise an error if it is time to give up; otherwise report that the broker is away.

        A refusal by one host is reported before a failure to reach another.
        """
        now = time.monotonic()
        refusals = [each for each in failures if isinstance(each, FlowError)]
        refusals.sort(key=lambda each: not isinstance(each, RefusedError))
        if refusals:
            self._refused_since = self._refused_since or now
            # Before the first connection a refusal is probably a mistake in the settings.
            if self._up_since is None or now - self._refused_since > REFUSED_FOR:
                raise refusals[0]
        else:
            self._refused_since = None
        self._reason = (refusals or failures)[0]
        self._check_time()
        self.contact.away(self._reason)

    def _with_name(self, error: Exception, name: str) -> Exception:
        if isinstance(error, ConnectionLost):
            text = f"'{name}': {error}"
            if not error.refused:
                return ConnectionLost(text)
            if self._settings.ca_file is not None:
                given = f"--ca-file '{self._settings.ca_file}' does not hold it"
                # The advice of process/tls.py, which does not know the options.
                text = text.replace("give --ca-file", given)
            return RefusedError(f"cannot connect to {text}")
        if isinstance(error, ProtocolError) and name not in str(error):
            return ProtocolError(f"'{name}' is {error}")
        return error


def _own_name(host: str) -> str:
    """Return the name that a broker at `host` probably uses for itself."""
    return socket.getfqdn() if host in ("localhost", "127.0.0.1", "::1") else socket.getfqdn(host)
