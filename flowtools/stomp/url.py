"""The URL of a broker and a destination, such as `stomp://host:61613/?destination=/queue/test`."""

from dataclasses import dataclass
from urllib.parse import quote, unquote

from flowtools.core.errors import UsageError

DEFAULT_PORTS = {"stomp": 61613, "stomp+ssl": 61614}
"""Default port of each scheme."""

_SECRETS = {"password", "passcode"}
_RESERVED = {"id", "ack", "receipt", "transaction", "login", "content-length"}


@dataclass(frozen=True)
class BrokerURL:
    """A broker, or several that can replace each other, and a destination.

    Attributes:
        hosts: Host and port of each broker, in the order in which they are tried.
        tls: Whether the connection is encrypted.
        destination: The destination; None if the URL names none.
        vhost: The virtual host; None if the URL names none.
        user: The login name; None if the URL names none. A URL never holds the password.
        parameters: All other query parameters: headers of the SUBSCRIBE frame.
    """

    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    destination: str | None = None
    vhost: str | None = None
    user: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def public(self) -> str:
        """The URL without the login name, as events and log messages show it."""
        scheme = "stomp+ssl" if self.tls else "stomp"
        hosts = ",".join(host_and_port(*each) for each in self.hosts)
        named = (("destination", self.destination), ("vhost", self.vhost), *self.parameters)
        query = "&".join(
            f"{quote(key, safe='.-')}={quote(value, safe='/.-:*')}"
            for key, value in named
            if value is not None
        )
        return f"{scheme}://{hosts}/?{query}" if query else f"{scheme}://{hosts}/"


def host_and_port(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_topic(destination: str) -> bool:
    """Return whether `destination` delivers each message to all subscribers and keeps none."""
    return destination.startswith(("/topic/", "/exchange/"))


def is_unicode(text: str) -> bool:
    """Return whether `text` can be sent: an argument may hold bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_url(text: str) -> BrokerURL:
    """Read the URL of a broker.

    Several hosts are separated by commas. The slash before the query may be missing. The query
    is percent-decoded; a plus sign stays a plus sign.

    Raises:
        UsageError: `text` is not such a URL, or it holds a password.
    """
    if not is_unicode(text):
        raise UsageError("the URL of a broker is not UTF-8; write such bytes as %XX")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in DEFAULT_PORTS:
        # The text is not repeated if it has an @, before which there may be a password.
        raise UsageError(
            "the URL of a broker is stomp://HOST:PORT/?destination=NAME "
            f"(or stomp+ssl://...), not '{text.partition('?')[0] if '@' not in text else '...'}'"
        )
    scheme = scheme.lower()
    # By hand: urllib knows one host only, and reads no port from "a:1,b:2".
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    userinfo, _, addresses = authority.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    if colon:
        raise UsageError(
            f"the URL of the broker at '{addresses}' holds a password, which everybody on this "
            "machine can read on the command line; put it in a file and give --password-file"
        )
    if path:
        raise UsageError(
            f"the URL of the broker at '{addresses}' has the path '/{path}'; "
            f"a destination goes into the query: ?destination=/{path}"
        )
    port = DEFAULT_PORTS[scheme]
    found = _parse_query(query, addresses)
    return BrokerURL(
        hosts=tuple(_parse_host(each, port, text=addresses) for each in addresses.split(",")),
        tls=scheme == "stomp+ssl",
        destination=found.pop("destination", None),
        vhost=found.pop("vhost", None),
        user=unquote(user) or None,
        parameters=tuple(found.items()),
    )


def _parse_host(address: str, port: int, *, text: str) -> tuple[str, int]:
    if address.startswith("["):
        host, bracket, tail = address[1:].partition("]")
        good = bool(bracket) and (not tail or tail.startswith(":"))
        digits = tail[1:]
    else:
        host, _, digits = address.partition(":")
        good = True
    if digits:
        good = good and digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536
    if not host or not good or any(c.isspace() for c in host):
        raise UsageError(
            f"invalid host '{address}' in the broker URL ('{text}'): expected HOST or HOST:PORT"
        )
    return host, int(digits) if digits else port


def _parse_query(query: str, addresses: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, query.split("&")):
        key, equals, value = (unquote(part) for part in item.partition("="))
        if key in _SECRETS:
            raise UsageError(
                f"the URL of the broker at '{addresses}' holds a password; "
                "put it in a file and give --password-file"
            )
        if key in _RESERVED:
            raise UsageError(f"the broker URL's parameter '{key}' is set by flowtools itself")
        if not equals or not key or (key in ("destination", "vhost") and not value):
            raise UsageError(f"the broker URL's parameter '{item}' has no value")
        if key in found:
            raise UsageError(f"the broker URL names '{key}' twice")
        found[key] = value
    return found
