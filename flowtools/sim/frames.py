"""Reads and writes the bytes of STOMP frames, for the stand-in's broker.

This replaces CoilMQ's buffer, which keeps every byte it has read and cannot read a header value
with a colon. FrameReader discards what it has read, has limits, and knows the escapes of STOMP
1.1 and 1.2. It is strict: what the specification does not allow is a ProtocolError.
"""

import re
from collections.abc import Iterator

from coilmq.exception import ProtocolError
from coilmq.util.frames import Frame

MAX_HEADERS = 64 * 1024
"""Maximum size of a frame's command and headers together, in bytes."""

MAX_BODY = 16 * 1024 * 1024
"""Maximum size of a frame's body, in bytes."""

_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_MEANING = {"n": "\n", "c": ":", "\\": "\\"}
_UNESCAPE = {"1.1": _MEANING, "1.2": _MEANING | {"r": "\r"}}
_ESCAPED_AS = {"\\": "\\\\", "\n": "\\n", ":": "\\c"}
_ESCAPE = {
    # STOMP 1.1 has no escape for a carriage return, and a bare one would look like a line end.
    "1.1": str.maketrans(_ESCAPED_AS | {"\r": " "}),
    "1.2": str.maketrans(_ESCAPED_AS | {"\r": "\\r"}),
}
# For compatibility with STOMP 1.0 (STOMP 1.2, "Value Encoding").
_NEVER_ESCAPED = {"CONNECT", "CONNECTED"}


class FrameReader:
    """Splits a stream of bytes into frames; has the interface of CoilMQ's FrameBuffer.

    Attributes:
        version: Version of STOMP that was agreed on; headers have escapes from 1.1 on.
    """

    def __init__(self) -> None:
        self.version = "1.0"
        self._buffer = bytearray()

    def append(self, data: bytes) -> None:
        """Add bytes that were received; any split between two calls is allowed."""
        self._buffer += data

    def __iter__(self) -> Iterator[Frame]:
        """Yield the complete frames so far, and remove them from the buffer.

        Raises:
            ProtocolError: The bytes are not a frame, or the frame exceeds a limit.
        """
        while (frame := self._take()) is not None:
            yield frame

    def _take(self) -> Frame | None:
        buffer = self._buffer
        # End-of-line bytes between frames are heart-beats.
        skipped = len(buffer) - len(buffer.lstrip(b"\r\n"))
        if skipped:
            del buffer[:skipped]
        end = _HEADERS_END.search(buffer, 0, MAX_HEADERS)
        if end is None:
            if len(buffer) >= MAX_HEADERS:
                raise ProtocolError("the headers of a frame are too long")
            return None
        command, headers = self._parse_head(bytes(buffer[: end.start()]))
        body_end = self._find_body_end(end.end(), headers.get("content-length"))
        if body_end is None:
            return None
        body = bytes(buffer[end.end() : body_end])
        del buffer[: body_end + 1]
        return Frame(command, headers, body)

    def _parse_head(self, head: bytes) -> tuple[str, dict[str, str]]:
        try:
            command, *lines = head.decode().split("\n")
        except UnicodeDecodeError:
            raise ProtocolError("the headers of a frame are not UTF-8") from None
        command = command.removesuffix("\r")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.removesuffix("\r").partition(":")
            if not colon:
                raise ProtocolError(f"a header has no colon: {line[:80]!r}")
            if not name:
                raise ProtocolError(f"a header has no name: {line[:80]!r}")
            if (escapes := _UNESCAPE.get(self.version)) and command not in _NEVER_ESCAPED:
                name, value = _unescape(name, escapes), _unescape(value, escapes)
            # The first of several counts (STOMP 1.2, "Repeated Header Entries").
            headers.setdefault(name, value)
        return command, headers

    def _find_body_end(self, start: int, length: str | None) -> int | None:
        """Return the place of the NUL that ends the body; None: it has not come yet."""
        buffer = self._buffer
        if length is None:
            end = buffer.find(b"\0", start)
            if end < 0 and len(buffer) - start > MAX_BODY:
                raise ProtocolError("the body of a frame is too long")
            return end if end >= 0 else None
        # Its length first: Python refuses to read an integer of thousands of digits.
        is_number = length.isascii() and length.isdigit() and len(length.lstrip("0")) < 19
        if not is_number or int(length) > MAX_BODY:
            raise ProtocolError("the content-length of a frame is not a number, or is too large")
        end = start + int(length)
        if len(buffer) <= end:
            return None
        if buffer[end] != 0:
            raise ProtocolError("the body of a frame does not end where its content-length says")
        return end


def pack(frame: Frame, version: str) -> bytes:
    """Return the bytes of `frame`, with its content-length, in the given version of STOMP."""
    escapes = _ESCAPE.get(version) if frame.cmd not in _NEVER_ESCAPED else None
    body = frame.body if isinstance(frame.body, bytes) else frame.body.encode()
    headers = dict(frame.headers) | {"content-length": str(len(body))}
    lines = [frame.cmd]
    for name, value in headers.items():
        if escapes is not None:
            lines.append(f"{name.translate(escapes)}:{str(value).translate(escapes)}")
        else:
            # Without escapes a line end in a value would begin another header.
            lines.append(f"{name}:{value}".replace("\n", " "))
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


def _unescape(text: str, escapes: dict[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[1] not in escapes:
            raise ProtocolError(f"a header has an unknown escape: {found[0]!r}")
        return escapes[found[1]]

    return _ESCAPED.sub(replace, text) if "\\" in text else text
