"""The default client: the one that functions use if no client is passed to them.

The command sets it to the application's own client before it makes a Worker; `init` sets another.
Without either it is made from VIZONE_URL and the other environment variables. It is made when it
is first needed, so that an application which never asks needs no Viz One.
"""

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
    """Let `make` make the default client; it is called when the client is first needed."""
    global _make, _made
    with _lock:
        _make, _made = make, None


def get_default_instance() -> Client:
    """Return the default client.

    Raises:
        ConfigurationError: There is none, and VIZONE_URL is not set or makes no sense.
    """
    global _made
    # The lock is held while the client is made: two threads must not log in twice.
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
    """Make a client and let it be the default client.

    Args:
        hostname: Name of the server, or NAME:PORT.
        user: Name of the user.
        password: Password of the user.
        secure: Whether to use https.
        verify: Whether to check the server's certificate, or the path of a PEM file to check it
            with.
        timeout: Seconds to wait for an answer.
        unknown: Further arguments of python-one, which are refused.

    Raises:
        ConfigurationError: The host name is invalid, or an argument is not supported.
    """
    if unknown:
        raise ConfigurationError(f"init: unsupported arguments: {', '.join(unknown)}")
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
