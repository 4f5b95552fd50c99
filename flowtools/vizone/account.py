"""Where a Viz One is and as whom to log in; HTTP and STOMP share it."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from flowtools.core.errors import ConfigurationError
from flowtools.process.password import read_password
from flowtools.process.tls import trusting


@dataclass(frozen=True)
class Account:
    """A Viz One and a login there.

    Attributes:
        url: Its address, without a user: http(s)://host[:port].
        user: The name to log in with.
        password: Its password; not part of the repr.
        ca_file: PEM file of the authorities to trust instead of the system's.
        insecure: Take any certificate.
        password_file: The file that the password comes from, which may be renewed; see `secret`.
    """

    url: str
    user: str
    password: str = field(repr=False)
    ca_file: str | None = None
    insecure: bool = False
    password_file: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked(self.url))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Account":
        """Read VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD.

        Raises:
            ConfigurationError: One is missing or makes no sense.
        """
        return cls.from_settings(environment=environment, has_options=False)

    @classmethod
    def from_settings(
        cls,
        url: str | None = None,
        user: str | None = None,
        password_file: str | None = None,
        *,
        ca_file: str | None = None,
        insecure: bool = False,
        environment: Mapping[str, str] | None = None,
        has_options: bool = True,
    ) -> "Account":
        """Take what is given, and from the environment what is not.

        `has_options`: a command has options for it, which an error can name.

        Raises:
            ConfigurationError: Something is missing, makes no sense or cannot be read.
        """
        environment = os.environ if environment is None else environment
        given = {
            "VIZONE_URL": url or environment.get("VIZONE_URL"),
            "VIZONE_USER": user or environment.get("VIZONE_USER"),
            "VIZONE_PASSWORD": (
                read_password(password_file)
                if password_file
                else environment.get("VIZONE_PASSWORD")
            ),
        }
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise ConfigurationError(
                f"cannot log in to Viz One: {' and '.join(missing)} not set; set"
                f" {'it' if len(missing) == 1 else 'them'} in the environment"
                + (", or give --url, --user and --password-file" if has_options else "")
            )
        return cls(
            str(given["VIZONE_URL"]),
            str(given["VIZONE_USER"]),
            str(given["VIZONE_PASSWORD"]),
            ca_file,
            insecure,
            password_file or None,
        )

    def secret(self) -> str:
        """Return the password as it is now: its file may have been renewed.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        return self.password if self.password_file is None else read_password(self.password_file)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or any(mark.isspace() for mark in url):
        # The text is not repeated: it may hold a password.
        raise ConfigurationError(
            "cannot use VIZONE_URL: expected http://HOST[:PORT] or https://HOST[:PORT]"
        )
    if "@" in parts.netloc:
        raise ConfigurationError(
            "cannot use VIZONE_URL: it holds a user; set VIZONE_USER and VIZONE_PASSWORD instead"
        )
    return url.rstrip("/")


def context_for(account: Account) -> ssl.SSLContext:
    """Return how to check the server's certificate, by the CA file as it is now.

    Raises:
        ConfigurationError: The account's CA file cannot be used.
    """
    return _context(account.ca_file, account.insecure, _stamp(account.ca_file))


def _stamp(path: str | None) -> tuple[int, ...]:
    """Return what tells a file from its renewal."""
    try:
        found = os.stat(path) if path is not None else None  # noqa: PTH116
    except OSError:
        found = None  # Whoever reads it finds out.
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found is not None else ()


@lru_cache(maxsize=8)
def _context(ca_file: str | None, insecure: bool, stamp: tuple[int, ...]) -> ssl.SSLContext:
    """Return one and the same context for the same file.

    To make one takes some megabytes for a moment, and a listener with a state file makes a
    client each time that the broker was away.
    """
    try:
        context = trusting(ca_file)
    except OSError as error:
        reason = error.strerror or "no certificate in it"
        raise ConfigurationError(f"cannot read CA file '{ca_file}': {reason}") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
