"""Users of the stand-in; the same for HTTP and STOMP."""

import hmac
from dataclasses import dataclass, field

ADMIN = "admin"
"""User who may do everything, and is shown the monitor link of the asset feed."""

GUEST = "guest"
"""User who may read and write, but is not shown that link: one without Asset/Admin."""


@dataclass(frozen=True)
class People:
    """The two users, who have the same password."""

    password: str = field(repr=False)

    def authenticate(self, login: str | None, passcode: str | None) -> bool:
        """Return whether a login is right; CoilMQ calls this for STOMP (its Authenticator)."""
        given = (passcode or "").encode("utf-8", "surrogatepass")
        return login in (ADMIN, GUEST) and hmac.compare_digest(given, self.password.encode())
