"""Frames as -vv shows them: command and headers in one line, without secrets and body."""

from collections.abc import Iterable

from flowtools.core.text import counted, cut
from flowtools.process.password import is_secret
from flowtools.stomp.frames import Frame, FrameParser

LONGEST = 1000
"""Maximum length of a line."""


def line_of(frame: Frame) -> str:
    """Return a frame in one line."""
    headers = [
        f"{name}:{'***' if is_secret(name) else value}" for name, value in frame.headers.items()
    ]
    size = [f"({counted(len(frame.body), 'byte')})"] if frame.body else []
    return cut(" ".join([frame.command, *headers, *size]), LONGEST)


def frames_in(data: bytes, version: str) -> Iterable[Frame]:
    """Return the frames that are about to be sent, in the `version` of the session."""
    parser = FrameParser()
    parser.version = "1.0" if data.startswith(b"CONNECT\n") else version
    return parser.feed(data)
