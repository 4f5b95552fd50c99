"""Who may log in to the stand-in, over HTTP and STOMP alike."""

import hmac
from dataclasses import dataclass, field

ADMIN = "admin"
"""May do everything; the only one who is shown the monitor link of the asset feed."""

GUEST = "guest"
"""May read and write, but is not shown that link."""


@dataclass(frozen=True)
class People:
    """The two users and the password that both have."""

    password: str = field(repr=False)

    def authenticate(self, login: str | None, passcode: str | None) -> bool:
        """Return whether this is one of them (also CoilMQ's Authenticator interface)."""
        given = (passcode or "").encode("utf-8", "surrogatepass")
        return login in (ADMIN, GUEST) and hmac.compare_digest(given, self.password.encode())
