"""The settings of a connection to a broker, from the options and the environment.

FLOW_USER and FLOW_PASSWORD are the login if no option gives one. A password is never given on a
command line.
"""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowtools.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Connection settings; times in seconds.

    Attributes:
        user: The login name; a name in the URL wins.
        password: The password.
        password_file: A file that holds the password instead; read at each login.
        ca_file: The trusted certificate authorities (PEM); None: those of the system.
        client_certificate: The client certificate (PEM), if the broker asks for one.
        client_key: The key of the client certificate (PEM), unless it is in the same file.
        insecure: Whether to skip the check of the broker's certificate.
        heart_beat: The intervals of the heart-beats that we send and that we expect; 0: none.
        connect_timeout: The time-out for connecting, and again for logging in.
        retry_for: The time after which an unreachable broker is given up; None: never.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: "Path | None" = None
    ca_file: "Path | None" = None
    client_certificate: "Path | None" = None
    client_key: "Path | None" = None
    insecure: bool = False
    heart_beat: tuple[float, float] = (5.0, 10.0)
    connect_timeout: float = 10.0
    retry_for: float | None = None

    def time_to_answer(self, most: float, hosts: int) -> float:
        """Return the seconds that a broker gets for an answer after the login.

        These are `most` seconds. If `retry_for` is shorter, each of the `hosts` gets a share of it,
        but at least the time that it gets for the login.
        """
        if self.retry_for is None:
            return most
        return min(most, max(self.connect_timeout, self.retry_for / hosts))

    def secret(self) -> str | None:
        """Return the current password; its file is read anew, since it may have changed.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        from flowtools.process.password import read_password  # Not needed for the defaults.

        return self.password if self.password_file is None else read_password(self.password_file)


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Settings of flow-send.

    Attributes:
        window: Maximum number of messages without the broker's receipt.
        persistent: Whether messages survive a restart of the broker.
    """

    window: int = 500
    persistent: bool = True


@dataclass(frozen=True, kw_only=True)
class Looking:
    """Settings for a look at a queue that takes nothing from it.

    Attributes:
        idle: Seconds without a message after which the queue counts as shown, if the broker does
            not tell.
    """

    idle: float = 2.0


def settings_from(
    *,
    user: str | None,
    password_file: str | None,
    ca_file: str | None,
    client_certificate: str | None,
    client_key: str | None,
    insecure: bool,
    heart_beat: tuple[float, float],
    connect_timeout: float,
    retry_for: float | None,
) -> Settings:
    """Return the settings for the values of the options.

    Raises:
        UsageError: --client-key is given without --client-certificate.
        ConfigurationError: The password file cannot be read.
    """
    if client_key and not client_certificate:
        raise UsageError("--client-key needs --client-certificate")
    settings = Settings(
        user=user or os.environ.get("FLOW_USER") or None,
        password=None if password_file else os.environ.get("FLOW_PASSWORD"),
        password_file=_path(password_file),
        ca_file=_path(ca_file),
        client_certificate=_path(client_certificate),
        client_key=_path(client_key),
        insecure=insecure,
        heart_beat=heart_beat,
        connect_timeout=connect_timeout,
        retry_for=retry_for,
    )
    settings.secret()  # Reports an unreadable file now and not at the first login.
    return settings


def parse_heart_beat(text: str) -> tuple[float, float]:
    """Read `OUT,IN`, both in seconds.

    Raises:
        UsageError: `text` is not two numbers from 0 to 3600.
    """
    from flowtools.core.times import parse_duration  # Not needed for the defaults.

    try:
        out, heard = (parse_duration(part) for part in text.split(","))
    except ValueError:
        out = heard = -1.0
    if not (0 <= out <= 3600 and 0 <= heard <= 3600):
        raise UsageError(f"invalid heart-beat '{text}': expected OUT,IN in seconds, such as 5,10")
    return out, heard


def parse_headers(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `KEY=VALUE` texts.

    Raises:
        UsageError: A text has another form, or names a header that flowtools sets itself or that
            holds a password.
    """
    from flowtools.stomp.url import is_unicode

    headers: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not is_unicode(text):
            raise UsageError(f"invalid header '{text}': expected KEY=VALUE in UTF-8")
        if key in ("id", "ack", "receipt", "transaction", "destination", "content-length"):
            raise UsageError(f"the header '{key}' is set by flowtools itself")
        if key.lower() in ("passcode", "password"):
            raise UsageError(
                f"the header '{key}' holds a password, which everybody on this machine can read on"
                " the command line; put it in a file and give --password-file"
            )
        headers[key] = value
    return headers


def _path(text: str | None) -> "Path | None":
    from pathlib import Path

    return Path(text) if text else None
