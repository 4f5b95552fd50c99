"""What documents are read from: an answer, a message, bytes or text."""

from typing import Any

from flowtools.vizone.document import Element, parse


def root_of(answer: Any, name: str) -> Element:
    """Return the root of the XML in an answer, a message, bytes or text; `name` is for errors.

    Raises:
        ProtocolError: It is not XML.
        TypeError: It is something else.
    """
    content = getattr(answer, "content", answer)
    content = content.encode() if isinstance(content, str) else content
    if not isinstance(content, bytes):
        raise TypeError(
            f"cannot read {name} from {type(answer).__name__}: expected an answer, a message,"
            " bytes or text"
        )
    return parse(content, name=name, base=getattr(answer, "url", "") or "")
