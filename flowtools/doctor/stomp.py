"""Checks of a STOMP broker: the connection, the login, heart-beats, the subscription.

The checks use the same code as the sources, so that their result is what a source would see. They
take no message: a queue is not subscribed to, and a topic gives each subscriber its own copy.
"""

import ssl
import time
from dataclasses import replace

from flowtools.core.errors import ProtocolError, RefusedError, UnreachableError
from flowtools.core.wait import Stop
from flowtools.doctor.examination import Doubt, Examination, Untried
from flowtools.doctor.network import Way
from flowtools.doctor.settings import Examining
from flowtools.doctor.sharing import examine_queues
from flowtools.process.tls import client_context
from flowtools.stomp.broker import Broker
from flowtools.stomp.saying import error_text
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Settings
from flowtools.stomp.transport import GRACE, ConnectionLost
from flowtools.stomp.url import BrokerURL

_FILES_FIX = (
    "give files in PEM format with --ca-file, --client-certificate and --client-key; the key must"
    " belong to the certificate"
)

CHECKS = ("broker login", "broker heart-beat", "subscription")

_LOGIN_FIX = "check user, password and virtual host; the broker's log usually gives the reason"


def examine_broker(
    examination: Examination,
    url: BrokerURL,
    settings: Settings,
    stop: Stop,
    expiry_days: int = Examining.expiry_days,
) -> None:
    """Check the broker at `url`; each of its hosts in turn, if there are several.

    Args:
        examination: Makes and reports the checks.
        url: Address of the broker and the destination.
        settings: How to connect.
        stop: Ends a check early.
        expiry_days: Warn of a certificate that expires within this number of days.
    """
    context = None
    if url.tls:
        context = examination.check("broker TLS files", lambda: _trust(settings), _FILES_FIX)
        if context is None:
            examination.skip(CHECKS, "the files for TLS cannot be used")
            return
    # A source would try again for a long time; a person waits for this answer.
    once = replace(settings, retry_for=0.0)
    brokers = set()
    for host, port in url.hosts:
        one = replace(url, hosts=((host, port),))
        seconds = settings.connect_timeout
        way = Way(examination, "broker", stop, seconds, "stomp://", expiry_days)
        if not way.examine(host, port, context):
            examination.skip(CHECKS, "there is no connection to the broker")
            continue
        brokers.add(_examine_session(examination, one, once, stop))
    if "rabbitmq" in brokers:
        examine_queues(examination, url, once, stop)


def _trust(settings: Settings) -> tuple[str, ssl.SSLContext]:
    context = client_context(
        settings.ca_file,
        settings.client_certificate,
        settings.client_key,
        insecure=settings.insecure,
    )
    trusted = f"'{settings.ca_file}'" if settings.ca_file else "the system's authorities"
    shown = settings.client_certificate
    return f"{trusted}, client certificate {repr(str(shown)) if shown else 'none'}", context


def _examine_session(
    examination: Examination, url: BrokerURL, settings: Settings, stop: Stop
) -> str | None:
    """Check login, heart-beat and subscription; return the kind of broker, None without a login."""

    def log_in() -> tuple[str, Session]:
        session = Broker(url, settings).connect(stop)
        if session is None:
            raise UnreachableError("stopped")
        broker = session.dialect.broker
        name = "a broker of unknown kind" if broker == "unknown" else broker
        user = url.user or settings.user
        who = f"as '{user}'" if user else "without a user (FLOW_USER, --user)"
        return f"{who}, STOMP {session.version}, {name}", session

    session = examination.check("broker login", log_in, _LOGIN_FIX)
    if session is None:
        examination.skip(CHECKS[1:], "there is no login")
        return None
    try:
        examination.check(
            "broker heart-beat",
            lambda: _hear(session, settings, stop),
            "look for a proxy or firewall in between that holds data back or drops idle"
            " connections; --heart-beat sets the pace",
        )
        examination.check(
            "subscription",
            lambda: _subscribe(session, url.destination or "", stop, settings.connect_timeout),
            "give the user the right to read from the destination, at the broker",
        )
    finally:
        session.close(2.0)
    return session.dialect.broker


def _hear(session: Session, settings: Settings, stop: Stop) -> tuple[str, bool]:
    sends, hears = session.heart_beat
    if not hears:
        if not settings.heart_beat[1]:
            raise Doubt("--heart-beat asks for no heart-beats", "leave out --heart-beat OUT,0")
        raise Doubt(
            "the broker sends no heart-beats: only TCP notices a connection that dies silently",
            "turn on heart-beats in the broker's STOMP connector",
        )
    began = time.monotonic()
    # The broker's thread only notes the time at which it last heard something.
    while session.heard_at < began:
        if time.monotonic() - began > hears * GRACE + 1 or session.lost or stop.wait(0.05):
            raise UnreachableError(f"no heart-beat within {hears * GRACE:.1f} s")
    return f"the broker sends one every {hears:g} s, and we every {sends:g} s", True


def _subscribe(session: Session, destination: str, stop: Stop, seconds: float) -> tuple[str, bool]:
    # A queue hands each message to one consumer, and even a message that is given back at once may
    # be counted as a delivery.
    if "topic" not in destination.split("/")[1:2]:
        raise Untried(
            f"not tried on '{destination}': it would take messages from others",
            "try it with flow-listen-stomp when nothing depends on it",
        )
    deadline = time.monotonic() + seconds
    try:
        session.send_frame(
            "SUBSCRIBE",
            {"id": "doctor", "destination": destination, "ack": "auto", "receipt": "doctor"},
        )
        while session.wait(stop, deadline - time.monotonic()):
            for frame in session.take():
                if frame.command == "ERROR":
                    raise RefusedError(f"cannot subscribe to '{destination}': {error_text(frame)}")
                if frame.headers.get("receipt-id") == "doctor":
                    return f"to '{destination}'", True
    except (ConnectionLost, ProtocolError) as error:
        raise UnreachableError(f"cannot subscribe to '{destination}': {error}") from None
    raise UnreachableError(f"cannot subscribe to '{destination}': no receipt in {seconds:g} s")
