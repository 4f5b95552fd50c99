"""FTP as a transfer plugin needs it: from one server to another, with progress.

    from flowtools import ftp

    ftp.copy(self.source, self.destination, self.update_progress)
    ftp.write(self.destination + ".xml", document)

Addresses are FTP URLs (RFC 1738, section 3.2): a login, a host, and a path whose parts are
percent-encoded; the path begins after the first slash, and an absolute one with %2F. There are
two ways from server to server:

- `copy` reads from one and writes to the other, so that all bytes pass through this process.
  It works with every server, and its progress is exact.
- `transfer` lets the servers send to each other (RFC 959, section 5.2, figure 3; known as
  FXP). No byte passes through here, but many servers forbid it, for it can be misused.

No error says a password. Nothing is tried again: whoever asked for the transfer decides that.
"""

import ftplib
import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from socket import SHUT_RDWR
from threading import Thread
from time import monotonic
from urllib.parse import unquote, urlsplit

from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError

SECONDS = 60.0
"""Seconds that a server may be silent, by default."""

BLOCK = 256 * 1024
"""Bytes that are read at a time."""

LARGEST = 16 * 1024 * 1024
"""Bytes that `read` holds."""

LOOK_EVERY = 1.0
"""Seconds between two looks at how far a transfer between servers is."""

Progress = Callable[[float], object]
"""Is told how many per cent (0 to 100) are done."""


@contextmanager
def connect(url: str, seconds: float = SECONDS) -> Iterator[tuple[ftplib.FTP, str]]:
    """Log in at the server of `url`; give the connection and the path there.

    Args:
        url: ftp://USER:PASSWORD@HOST[:PORT]/PATH; ftps:// encrypts both connections.
        seconds: How long the server may be silent.

    Raises:
        ValueError: It is not such an address.
        UnreachableError: The server does not answer, or has gone in the middle of it.
        RefusedError: It does not accept the login.
        ProtocolError: It refuses something else, such as a file that is not there.
    """
    with _told(_server_of(url)):
        ftp, path = login(url, seconds)
        # Not `with ftp`: after an error its goodbye gets the answer to what was broken off,
        # and raises that instead.
        with closing(ftp):
            yield ftp, path
            with suppress(*ftplib.all_errors):
                ftp.quit()


def login(url: str, seconds: float = SECONDS) -> tuple[ftplib.FTP, str]:
    """Return a connection to the server of `url`, for the caller to close, and the path there.

    Raises:
        FlowError: As `connect`.
        ValueError: As `connect`.
    """
    host, port, user, password, path, is_safe = _parts(url)
    with _told(host):
        ftp = _client(is_safe, seconds)
        try:
            ftp.connect(host, port)
            ftp.login(user, password)
            if isinstance(ftp, ftplib.FTP_TLS):
                ftp.prot_p()
            ftp.voidcmd("TYPE I")
        except BaseException:
            ftp.close()
            raise
        return ftp, path


def copy(
    source: str,
    destination: str,
    progress: Progress | None = None,
    *,
    temporary: str = "",
    seconds: float = SECONDS,
) -> int:
    """Copy the file at `source` to `destination`; return how many bytes it has.

    Args:
        source: The address to read from.
        destination: The address to write to.
        progress: Called with each block; only at the end where the size is not known.
        temporary: Written after the name until the file is whole, such as ".part"; it is
            renamed then.
        seconds: How long a server may be silent.

    Raises:
        FlowError: As `connect`; ProtocolError where fewer bytes came than the file has.
        ValueError: As `connect`.
    """
    with connect(source, seconds) as (origin, path), connect(destination, seconds) as (target, to):
        size = _size(origin, path)
        sent = 0

        def count(block: bytes) -> None:
            nonlocal sent
            sent += len(block)
            if progress is not None and size:
                progress(min(100.0, 100 * sent / size))

        with origin.transfercmd(f"RETR {path}") as incoming, incoming.makefile("rb") as media:
            target.storbinary(f"STOR {to}{temporary}", media, BLOCK, count)
        origin.voidresp()
        if size is not None and sent != size:
            raise ProtocolError(f"cannot copy '{path}': {sent} of {size} bytes came")
        if temporary:
            target.rename(f"{to}{temporary}", to)
    if progress is not None:
        progress(100)
    return sent


def transfer(
    source: str,
    destination: str,
    progress: Progress | None = None,
    *,
    seconds: float = SECONDS,
) -> None:
    """Let the server of `source` send the file to that of `destination`.

    How far it is is looked up over a connection of its own, LOOK_EVERY seconds.

    Args:
        source: The address that is read.
        destination: The address that is written.
        progress: Called where both servers tell the size of a file.
        seconds: How long the file may not grow before that is an error, where servers tell
            its size; else there is no limit.

    Raises:
        FlowError: As `connect`; ProtocolError where a server does not allow it.
        ValueError: As `connect`.
    """
    with (
        connect(source, seconds) as (origin, path),
        connect(destination, seconds) as (target, to),
        connect(destination, seconds) as (looking, _),
    ):
        size = _size(origin, path)
        host, port = ftplib.parse227(target.sendcmd("PASV"))  # noqa: S321  Viz One's
        origin.sendport(host, port)
        # Both are told before either is heard: some answer only once they are connected.
        target.putcmd(f"STOR {to}")
        origin.putcmd(f"RETR {path}")
        replies = [_Replies(origin, path), _Replies(target, to)]
        try:
            _watch(replies, looking, to, size, progress, seconds)
        finally:
            for each in replies:
                each.leave()
    if progress is not None:
        progress(100)


def write(url: str, content: bytes, seconds: float = SECONDS) -> None:
    """Write `content` to the file at `url`; raises as `connect`."""
    with connect(url, seconds) as (ftp, path):
        ftp.storbinary(f"STOR {path}", io.BytesIO(content))


def read(url: str, seconds: float = SECONDS) -> bytes:
    """Return the content of the file at `url`; raises as `connect`.

    Raises:
        ProtocolError: It has more than LARGEST bytes.
    """
    content = bytearray()
    with connect(url, seconds) as (ftp, path):

        def take(block: bytes) -> None:
            content.extend(block)
            if len(content) > LARGEST:
                raise ProtocolError(f"cannot read '{path}': larger than {LARGEST} bytes")

        ftp.retrbinary(f"RETR {path}", take, BLOCK)
    return bytes(content)


class _Replies(Thread):
    """Waits for the two replies to a transfer: that it begins, and that it has ended."""

    def __init__(self, ftp: ftplib.FTP, path: str) -> None:
        super().__init__(name="ftp", daemon=True)
        self.error: Exception | None = None
        self._ftp = ftp
        self._path = path
        if ftp.sock is not None:
            ftp.sock.settimeout(None)  # How long it takes is watched from outside.
        self.start()

    def run(self) -> None:
        try:
            # 125 or 150: it begins. Some servers say only that it has ended.
            if self._ftp.getresp()[:1] == "1":
                self._ftp.voidresp()
        except (OSError, EOFError, ftplib.Error) as error:
            self.error = error

    def leave(self) -> None:
        """End the wait by closing the connection, if it is still going on."""
        sock = self._ftp.sock
        if self.is_alive() and sock is not None:
            # Closing alone would not wake the thread that reads from it.
            with suppress(OSError):
                sock.shutdown(SHUT_RDWR)
        self.join(10)


def _watch(
    replies: list[_Replies],
    looking: ftplib.FTP,
    to: str,
    size: int | None,
    progress: Progress | None,
    seconds: float,
) -> None:
    """Wait until both servers have said that it is done.

    Raises:
        OSError, EOFError, ftplib.Error: What a server has answered.
        UnreachableError: The file does not grow any more.
    """
    seen, moved_at = -1, monotonic()
    while any(each.is_alive() for each in replies):
        for each in replies:
            each.join(LOOK_EVERY / len(replies))
        if any(each.error is not None for each in replies):
            break
        there = _size(looking, to)
        if there is not None and there != seen:
            seen, moved_at = there, monotonic()
            if progress is not None and size:
                progress(min(100.0, 100 * there / size))
        elif seen >= 0 and monotonic() - moved_at > seconds:
            raise UnreachableError(f"cannot transfer '{to}': it has not grown for {seconds:g} s")
    for each in replies:
        each.join(LOOK_EVERY)
    # Where one server refuses, the other says only that the transfer was broken off.
    errors = [each.error for each in replies if each.error is not None]
    for error in sorted(errors, key=lambda error: not isinstance(error, ftplib.error_perm)):
        raise error


def _server_of(url: str) -> str:
    return _parts(url)[0]


def _parts(url: str) -> tuple[str, int, str, str, str, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port or ftplib.FTP_PORT
    except ValueError:
        raise ValueError("an address of FTP is malformed") from None
    path = unquote(parts.path[1:])
    if parts.scheme not in ("ftp", "ftps") or not parts.hostname or not path:
        # Not the address itself: it has a password in it.
        raise ValueError(f"'{parts.scheme}' is not the address of a file on an FTP server")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if any(mark in path + user + password for mark in "\r\n\0"):
        raise ValueError("an address of FTP has a line end in it")
    return parts.hostname, port, user, password, path, parts.scheme == "ftps"


def _client(is_safe: bool, seconds: float) -> ftplib.FTP:
    return (ftplib.FTP_TLS if is_safe else ftplib.FTP)(timeout=seconds)


def _size(ftp: ftplib.FTP, path: str) -> int | None:
    """Return the size of a file in bytes; None where the server does not tell."""
    try:
        return ftp.size(path)
    except ftplib.error_perm:
        return None


@contextmanager
def _told(server: str) -> Iterator[None]:
    """Turn what goes wrong in the block into an error that names the server."""
    try:
        yield
    except FlowError:
        raise
    except ftplib.error_perm as error:
        said = " ".join(str(error).split())
        kind = RefusedError if said.startswith("530") else ProtocolError
        raise kind(f"FTP server '{server}' refuses: {said}") from error
    except ftplib.Error as error:
        raise ProtocolError(f"FTP server '{server}': {' '.join(str(error).split())}") from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it has closed the connection"
        raise UnreachableError(f"FTP server '{server}': {reason}") from error
