"""STOMP frames: bytes to frames and back, for versions 1.0, 1.1 and 1.2 of the protocol.

The input is split here and not by stomp.py: version 9.0.0 drops a frame that comes right after two
heart-beats (it takes the empty line between them for the end of the frame's headers), and it
undoes the escapes of STOMP 1.1 in a 1.0 session, too.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from flowtools.core.errors import ProtocolError

MAX_HEAD = 1024 * 1024
"""Maximum size of a frame's command and headers, in bytes."""

MAX_FRAME = 64 * 1024 * 1024
"""Maximum size of a whole frame, in bytes; it bounds the memory that a broker can make us use."""

_HEAD_END = re.compile(rb"\n\r?\n")
_LINE_ENDS = re.compile(rb"[\r\n]*")
_COMMAND_SO_FAR = re.compile(rb"[A-Z]{1,20}\r?(?:\n|$)")
_COMMANDS = frozenset({"MESSAGE", "RECEIPT", "ERROR", "CONNECTED"})
_ESCAPE = re.compile(r"[\\\n\r:]")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_UNESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_UNESCAPES = {
    "1.1": {"\\": "\\", "n": "\n", "c": ":"},
    "1.2": {"\\": "\\", "n": "\n", "r": "\r", "c": ":"},
}
"""Meaning of each character after a backslash. Any other character is a protocol error (STOMP 1.1
and 1.2, "Value Encoding")."""


class Frame(NamedTuple):
    """One frame; a MESSAGE unless `command` says otherwise."""

    headers: dict[str, str]
    body: bytes
    command: str = "MESSAGE"


def escape(text: str, version: str) -> str:
    """Return `text` escaped for a header of that version of the protocol.

    Version 1.0 has no escapes, so that a line end becomes a space.
    """
    if not _ESCAPE.search(text):
        return text
    if version == "1.0":
        return text.replace("\r", " ").replace("\n", " ")
    if version == "1.1":
        text = text.replace("\r", " ")
    return _ESCAPE.sub(lambda found: _ESCAPES[found.group()], text)


def encode_frame(
    command: str, headers: Mapping[str, str], body: bytes = b"", *, version: str = "1.2"
) -> bytes:
    """Return a frame as bytes, including its NUL; the caller provides any content-length."""
    if command == "CONNECT":
        version = "1.0"  # CONNECT headers are never escaped: no version is agreed on yet.
    head = "".join(
        [f"{escape(key, version)}:{escape(value, version)}\n" for key, value in headers.items()]
    )
    return b"%b\n%b\n%b\0" % (command.encode(), head.encode(), body)


class FrameParser:
    """Splits the bytes of a connection into frames as they arrive.

    Attributes:
        version: The protocol version of the session. In 1.0 nothing is unescaped.
    """

    def __init__(self) -> None:
        self.version = "1.0"
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 0
        self._refused = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take the next bytes; return the frames that they complete.

        Raises:
            ProtocolError: The bytes are not STOMP, or a frame exceeds a limit.
        """
        if self._refused:
            raise _too_large()
        self._chunks.append(chunk)
        self._size += len(chunk)
        # A long body is joined only once, when all of it has arrived.
        if self._size < self._needed or (self._needed < 0 and b"\0" not in chunk):
            if self._size > MAX_FRAME:
                raise _too_large()
            return []
        data = chunk if len(self._chunks) == 1 else b"".join(self._chunks)
        frames: list[Frame] = []
        position = self._take(data, frames)
        rest = data[position:]
        self._chunks = [rest] if rest else []
        self._size = len(rest)
        if self._needed > MAX_FRAME:
            # Return the frames before the oversized one first; the next call then raises.
            self._refused = True
            if not frames:
                raise _too_large()
        return frames

    def _take(self, data: bytes, frames: list[Frame]) -> int:
        """Add the complete frames of `data`; return where the first incomplete one begins."""
        self._needed = 0
        position, size = 0, len(data)
        while position < size:
            # Line ends between frames are heart-beats, or belong to the previous frame.
            if data[position] in b"\n\r":
                position = _LINE_ENDS.match(data, position).end()  # type: ignore[union-attr]
                continue
            head_end = start = data.find(b"\n\n", position)
            if head_end < 0 or data.find(b"\r", position, head_end) >= 0:
                found = _HEAD_END.search(data, position)
                if found is None:
                    _check_head(data[position : position + MAX_HEAD + 1])
                    return position
                head_end, start = found.start(), found.end() - 2
            command, headers = self._split(data[position:head_end])
            end = _body_end(data, start + 2, headers.get("content-length"))
            if not 0 <= end < size:
                self._needed = end + 1 - position if end > 0 else -(2**62)
                return position
            if data[end]:
                raise ProtocolError("not STOMP: a frame is longer than its content-length says")
            frames.append(Frame(headers, data[start + 2 : end], command))
            position = end + 1
        return position

    def _split(self, head: bytes) -> tuple[str, dict[str, str]]:
        """Return the command and the headers."""
        lines = head.decode("utf-8", "replace").split("\n")
        if b"\r" in head:
            lines = [line.removesuffix("\r") for line in lines]
        command = lines.pop(0)
        if command not in _COMMANDS and not _COMMAND_SO_FAR.fullmatch(command.encode()):
            raise _not_stomp(head)
        # An ERROR is read leniently: its text matters, and the connection ends anyway.
        strict = self.version != "1.0" and command not in ("CONNECTED", "ERROR")
        escapes = _UNESCAPES.get(self.version) if b"\\" in head and command != "CONNECTED" else None
        headers: dict[str, str] = {}
        for line in lines:
            key, colon, value = line.partition(":")
            if strict and not (colon and key):
                raise ProtocolError(f"not STOMP: a header of a {command} frame is '{line[:40]}'")
            if escapes is not None:
                key, value = (_unescaped(text, escapes, strict) for text in (key, value))
            # If a header is repeated, the first one counts (STOMP 1.2, "Repeated Header Entries").
            if key not in headers:
                headers[key] = value
        return command, headers


def _body_end(data: bytes, start: int, length: str | None) -> int:
    """Return the position of a frame's NUL, maybe beyond `data`; -1: not known yet."""
    if length is not None:
        length = length.strip(" \t")
        if not (length.isascii() and length.isdigit()):
            raise ProtocolError(f"not STOMP: a frame has the content-length '{length[:40]}'")
        if len(length) > 18:
            raise _too_large()
        return start + int(length)
    return data.find(b"\0", start)


def _too_large() -> ProtocolError:
    return ProtocolError(
        f"cannot take a message: its frame is longer than {MAX_FRAME} bytes; it stays with the"
        " broker: remove it there"
    )


def _unescaped(text: str, escapes: Mapping[str, str], strict: bool) -> str:
    def meant(found: re.Match[str]) -> str:
        if found[1] in escapes:
            return escapes[found[1]]
        if strict:
            raise ProtocolError(f"not STOMP: a header has the unknown escape '{found[0]}'")
        return found[0]

    return _UNESCAPE.sub(meant, text) if "\\" in text else text


def _not_stomp(start: bytes) -> ProtocolError:
    # An alert or a handshake of TLS (RFC 8446, 5.1).
    if start[:2] in (b"\x15\x03", b"\x16\x03"):
        return ProtocolError(
            "not STOMP: it speaks TLS on this port; let the URL begin with stomp+ssl://"
        )
    begin = start.partition(b"\n")[0][:40].decode("utf-8", "replace").strip()
    return ProtocolError(f"not STOMP: it begins with '{begin}'")


def _check_head(head: bytes) -> None:
    line = head.partition(b"\n")[0]
    if b"\n" in head or len(line) > 20:
        line += b"\n"
    if not _COMMAND_SO_FAR.fullmatch(line):
        raise _not_stomp(line)
    if len(head) > MAX_HEAD:
        raise ProtocolError("not STOMP: the headers of a frame do not end")
