"""The client that functions use where none is given: that of the application."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from flowtools.compat.client import Client
from flowtools.core.errors import ConfigurationError
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client as VizOne
from flowtools.vizone.transport import SECONDS

_lock = Lock()
_make: Callable[[], Client] | None = None
_made: Client | None = None


def use_for_default(make: Callable[[], Client]) -> None:
    """Let `make` give the client that is used where none is named; called when it is needed."""
    global _make, _made
    with _lock:
        _make, _made = make, None


def get_default_instance() -> Client:
    """Return the client of the application; outside one, that of VIZONE_URL and its like.

    Raises:
        ConfigurationError: Nothing says where Viz One is.
    """
    global _made
    with _lock:
        if _made is None:
            _made = _make() if _make is not None else Client(VizOne.from_environment())
        return _made


def init(
    hostname: str,
    user: str,
    password: str,
    secure: bool = True,
    verify: bool | str = True,
    timeout: float = SECONDS,
    **unknown: Any,
) -> Client:
    """Make a client, and let it be the one that is used where none is named.

    Args:
        hostname: The server, with `:PORT` if need be.
        user: The name to log in with.
        password: Its password.
        secure: Use https.
        verify: Whether to check its certificate; or the path of a PEM file to check it by.
        timeout: Seconds that an answer may take.
        unknown: Anything else is refused.

    Raises:
        ConfigurationError: The host makes no sense, or an argument is unknown.
    """
    if unknown:
        raise ConfigurationError(f"init: not supported: {', '.join(unknown)}")
    account = Account(
        f"{'https' if secure else 'http'}://{hostname}",
        user,
        password,
        verify if isinstance(verify, str) else None,
        verify is False,
    )
    client = Client(VizOne(account, seconds=timeout), timeout)
    use_for_default(lambda: client)
    return client
