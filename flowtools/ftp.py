"""FTP for transfer plugins: copies files between servers and reports the progress.

    from flowtools import ftp

    ftp.copy(self.source, self.destination, self.update_progress)
    ftp.write(self.destination + ".xml", document)

Addresses are FTP URLs (RFC 1738, section 3.2): user, password, host, and a percent-encoded path.
The path begins after the first slash. It is relative to the login directory, unless it begins with
%2F. There are two ways to get a file from one server to another:

- `copy` reads from one server and writes to the other, so that all bytes pass through this process.
  It works with every server, and its progress is exact.
- `transfer` lets one server send to the other directly (RFC 959, section 5.2, figure 3; known as
  FXP). No byte of the file passes through this process, but many servers forbid it, because it can
  be misused.

Error messages never contain a password. No function tries again after an error: the caller decides
whether to.

Everything runs in the calling thread, except that `transfer` starts one thread per server. Each
waits for the replies of its server, and the caller's thread asks for the size of the growing file
meanwhile.
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
"""Default maximum time without an answer from a server, in seconds."""

BLOCK = 256 * 1024
"""Number of bytes read at a time."""

LARGEST = 16 * 1024 * 1024
"""Maximum size of a file that `read` returns, in bytes."""

LOOK_EVERY = 1.0
"""Seconds between two requests for the size of the file during `transfer`."""

Progress = Callable[[float], object]
"""Called with the progress in per cent, 0 to 100."""


@contextmanager
def connect(url: str, seconds: float = SECONDS) -> Iterator[tuple[ftplib.FTP, str]]:
    """Log in to the server of `url`; yield the connection and the path on the server.

    Errors of the block are raised as the errors below, too. The connection is closed afterwards.

    Args:
        url: ftp://USER:PASSWORD@HOST[:PORT]/PATH; ftps:// encrypts the control connection and the
            data connections.
        seconds: Maximum time without an answer from the server.

    Raises:
        ValueError: `url` does not have this form.
        UnreachableError: The server does not answer, or the connection was lost.
        RefusedError: The server does not accept the login.
        ProtocolError: The server refuses another command, for example because there is no such
            file.
    """
    with _told(_server_of(url)):
        ftp, path = login(url, seconds)
        # Not `with ftp`: that sends QUIT after an error, too, gets the late reply to the command
        # that failed as the answer, and raises it in place of the first error.
        with closing(ftp):
            yield ftp, path
            with suppress(*ftplib.all_errors):
                ftp.quit()


def login(url: str, seconds: float = SECONDS) -> tuple[ftplib.FTP, str]:
    """Return a connection to the server of `url`, and the path on the server.

    The caller closes the connection. `url` and `seconds` are those of `connect`.

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
            # `transfercmd` sends no TYPE, and many servers refuse SIZE in ASCII mode (RFC 3659, 4).
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
    """Copy the file at `source` to `destination`; return its size in bytes.

    Args:
        source: The FTP URL to read from.
        destination: The FTP URL to write to.
        progress: Called after each block, and with 100 at the end; only at the end if the server
            does not tell the size of the file.
        temporary: A suffix for the name of the incomplete file, such as ".part". The complete file
            is then renamed.
        seconds: Maximum time without an answer from a server.

    Raises:
        ProtocolError: The number of bytes received is not the size of the file; or as `connect`.
        FlowError: As `connect`.
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
        # A broken data connection looks like the end of the file, so the bytes are counted.
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
    """Let the server of `source` send the file directly to the server of `destination`.

    A third connection asks for the size of the destination file every LOOK_EVERY seconds.

    Args:
        source: The FTP URL to read from.
        destination: The FTP URL to write to.
        progress: Called when the file has grown, if both servers tell the size of a file, and with
            100 at the end.
        seconds: Maximum time without an answer from a server, and maximum time during which the
            file does not grow. If the destination's server does not tell the size of a file, the
            transfer may take any time.

    Raises:
        ProtocolError: A server does not allow direct transfers; or as `connect`.
        UnreachableError: The file no longer grows; or as `connect`.
        FlowError: As `connect`.
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
        # Both commands are sent before either reply is read: some servers reply only once the data
        # connection is there, which takes both commands.
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
    """Write `content` to the file at `url`, an FTP URL.

    Raises:
        FlowError: As `connect`.
        ValueError: As `connect`.
    """
    with connect(url, seconds) as (ftp, path):
        ftp.storbinary(f"STOR {path}", io.BytesIO(content))


def read(url: str, seconds: float = SECONDS) -> bytes:
    """Return the content of the file at `url`, an FTP URL.

    Raises:
        ProtocolError: The file has more than LARGEST bytes; or as `connect`.
        FlowError: As `connect`.
        ValueError: As `connect`.
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
    """A thread that waits for a server's two replies to RETR or STOR.

    The first reply says that the transfer begins, the second that it has ended.

    Attributes:
        error: The error reply, or the reason why no reply came; None if there was no error.
    """

    def __init__(self, ftp: ftplib.FTP, path: str) -> None:
        super().__init__(name="ftp", daemon=True)
        self.error: Exception | None = None
        self._ftp = ftp
        self._path = path
        if ftp.sock is not None:
            # No reply comes while a large file is on its way. `_watch` limits the time instead.
            ftp.sock.settimeout(None)
        self.start()

    def run(self) -> None:
        try:
            # 125 or 150: the transfer begins. Some servers send only the reply at the end.
            if self._ftp.getresp()[:1] == "1":
                self._ftp.voidresp()
        except (OSError, EOFError, ftplib.Error) as error:
            self.error = error

    def leave(self) -> None:
        """Close the connection if the thread still waits, and join the thread."""
        sock = self._ftp.sock
        if self.is_alive() and sock is not None:
            # Closing the socket alone would not wake the thread that reads from it.
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
    """Wait until both servers have replied that the transfer has ended.

    Raises:
        OSError, EOFError, ftplib.Error: A server replied with an error, or the connection was lost.
        UnreachableError: The file has not grown for `seconds`.
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
    # If one server refuses (5xx), the other replies only that the transfer was aborted. The refusal
    # is the cause, so it is raised.
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
        raise ValueError("the FTP address is malformed") from None
    path = unquote(parts.path[1:])
    if parts.scheme not in ("ftp", "ftps") or not parts.hostname or not path:
        # The message must not contain the address, which may hold a password.
        raise ValueError(
            f"the address, whose scheme is '{parts.scheme}', is not that of a file on an FTP"
            " server: expected ftp://USER:PASSWORD@HOST/PATH, or ftps"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    # A line end (%0A) would let the address send commands of its own to the server.
    if any(mark in path + user + password for mark in "\r\n\0"):
        raise ValueError("the FTP address contains a line end or a NUL character")
    return parts.hostname, port, user, password, path, parts.scheme == "ftps"


def _client(is_safe: bool, seconds: float) -> ftplib.FTP:
    return (ftplib.FTP_TLS if is_safe else ftplib.FTP)(timeout=seconds)


def _size(ftp: ftplib.FTP, path: str) -> int | None:
    """Return the size of a file in bytes; None if the server does not tell it."""
    try:
        return ftp.size(path)
    except ftplib.error_perm:
        return None


@contextmanager
def _told(server: str) -> Iterator[None]:
    """Turn an error of ftplib or of the connection into a FlowError that names the server."""
    try:
        yield
    except FlowError:
        raise
    except ftplib.error_perm as error:
        said = " ".join(str(error).split())
        kind = RefusedError if said.startswith("530") else ProtocolError  # 530: not logged in.
        raise kind(f"FTP server '{server}' refuses: {said}") from error
    except ftplib.Error as error:
        raise ProtocolError(f"FTP server '{server}': {' '.join(str(error).split())}") from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it has closed the connection"
        raise UnreachableError(f"FTP server '{server}': {reason}") from error
