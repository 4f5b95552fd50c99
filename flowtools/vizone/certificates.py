"""TLS over HTTP: whom to trust, and what is wrong with a certificate that is not."""

import ssl
from functools import lru_cache

from flowtools.core.errors import ConfigurationError
from flowtools.process.tls import refusal, trusting
from flowtools.vizone.account import Account


@lru_cache(maxsize=8)
def context_for(account: Account) -> ssl.SSLContext:
    """Return how to check the server's certificate; one and the same for equal accounts.

    To make one takes some megabytes for a moment, and a listener with a state file makes a
    client each time that the broker was away.

    Raises:
        ConfigurationError: The account's CA file cannot be used.
    """
    try:
        context = trusting(account.ca_file)
    except OSError as error:
        reason = error.strerror or "no certificate in it"
        raise ConfigurationError(f"cannot read CA file '{account.ca_file}': {reason}") from None
    if account.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def certificate_problem(error: BaseException) -> str | None:
    """Return why TLS cannot come about, and what to do, if that is what `error` comes from."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return refusal(cause)
        cause = cause.__cause__ or cause.__context__
    return None
