"""Giving messages back so that the broker counts no unsuccessful delivery of them.

Brokers that limit the deliveries of a message count the end of a connection against messages that
it held, even after DISCONNECT. `Dialect.gives_back` says what each of them does not count.
"""

from collections.abc import Iterable

from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import encode_frame

SETTLING = 0.5
"""Seconds to wait while RabbitMQ takes back single messages: a quorum queue takes 32 at a time, and
those that are left when the connection ends count as unsuccessful deliveries."""


def giving_back(dialect: Dialect, names: Iterable[str], tokens: Iterable[str]) -> bytes:
    """Return the frames that end subscriptions and give their messages back; maybe none.

    Args:
        dialect: The habits of the broker.
        names: The ids of the subscriptions.
        tokens: The messages, as `Dialect.ack_headers` identifies them; in ack mode client the last
            one stands for all.
    """
    how, version = dialect.gives_back, dialect.version
    if how == "at the end":
        return b""
    frames = [encode_frame("UNSUBSCRIBE", {"id": name}, version=version) for name in names]
    # RabbitMQ executes a transaction at COMMIT. By then the subscriptions have ended, so that the
    # messages given back are not delivered to them again.
    name = "transaction:back\n"
    # With stomp.default_nack_requeue = false, a NACK without this header discards.
    how_back = f"requeue:true\n{name}"
    nacks = "".join(f"NACK\n{token}{how_back}\n\0" for token in tokens)
    if how == "by NACK" and nacks:
        frames.insert(0, f"BEGIN\n{name}\n\0{nacks}".encode())
        frames.append(f"COMMIT\n{name}\n\0".encode())
    return b"".join(frames)
