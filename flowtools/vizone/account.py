"""The address of a Viz One and the login for it, used for HTTP and for its STOMP broker.

A listener runs for months, and password files and CA files are renewed meanwhile. So both are read
again for each new client or connection, instead of once at the start.
"""

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
    """The address of a Viz One, and a login.

    Attributes:
        url: Address of the server, without a user: http(s)://host[:port].
        user: Name of the user.
        password: The user's password, as it was when the account was made; not shown by repr.
        ca_file: PEM file of the authorities to trust instead of the system's.
        insecure: Whether any certificate is accepted.
        password_file: The file that the password was read from, if it was; see `secret`.
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
        """Return the account that VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD describe.

        Args:
            environment: The variables; None: those of this process.

        Raises:
            ConfigurationError: A variable is missing, or the URL cannot be used.
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
        """Return an account of the given settings; a missing one is taken from the environment.

        Args:
            url: Address of the server; None or empty: VIZONE_URL.
            user: Name of the user; None or empty: VIZONE_USER.
            password_file: File that holds the password; None or empty: VIZONE_PASSWORD.
            ca_file: PEM file of the authorities to trust instead of the system's.
            insecure: Whether any certificate is accepted.
            environment: The variables; None: those of this process.
            has_options: Whether the error may advise to use the command's options.

        Raises:
            ConfigurationError: A setting is missing, the URL cannot be used, or the password file
                cannot be read.
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
        """Return the current password; it is read from `password_file` again if there is one.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        return self.password if self.password_file is None else read_password(self.password_file)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # Raises ValueError if it is not a number up to 65535.
    except ValueError:
        usable = False
    if not usable or any(mark.isspace() for mark in url):
        # The message does not repeat the address, because it may contain a password.
        raise ConfigurationError(
            "cannot use VIZONE_URL: expected http://HOST[:PORT] or https://HOST[:PORT]"
        )
    if "@" in parts.netloc:
        raise ConfigurationError(
            "cannot use VIZONE_URL: it contains a user; set VIZONE_USER and VIZONE_PASSWORD instead"
        )
    return url.rstrip("/")


def context_for(account: Account) -> ssl.SSLContext:
    """Return the TLS context that checks the server's certificate with the current CA file.

    Raises:
        ConfigurationError: The account's CA file cannot be used.
    """
    return _context(account.ca_file, account.insecure, _stamp(account.ca_file))


def _stamp(path: str | None) -> tuple[int, ...]:
    """Return values that change when the file at `path` is renewed; empty if there is no file."""
    try:
        found = os.stat(path) if path is not None else None  # noqa: PTH116
    except OSError:
        found = None  # Reading the file, in `_context`, reports the error.
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found is not None else ()


@lru_cache(maxsize=8)
def _context(ca_file: str | None, insecure: bool, stamp: tuple[int, ...]) -> ssl.SSLContext:
    """Return a TLS context, the same object for the same file.

    Contexts are kept because making one takes some megabytes for a moment, and a listener with a
    state file makes a new client after each time that the broker was away. `stamp` is not used
    here: it makes the cache miss once the file is renewed.
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
