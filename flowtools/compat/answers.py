"""Reads XML from whatever old code passes to a constructor: an answer, a message, bytes, text."""

from typing import Any

from flowtools.vizone.document import Element, parse


def root_of(answer: Any, name: str) -> Element:
    """Return the root element of the XML in `answer`.

    Args:
        answer: A Response or Message (anything with a `content`), bytes or text.
        name: What the document is, for errors.

    Raises:
        ProtocolError: The content is not XML.
        TypeError: `answer` is something else.
    """
    content = getattr(answer, "content", answer)
    content = content.encode() if isinstance(content, str) else content
    if not isinstance(content, bytes):
        raise TypeError(
            f"cannot read {name} from {type(answer).__name__}: expected an answer, a message,"
            " bytes or text"
        )
    # The address of an answer is the base of relative links in it.
    return parse(content, name=name, base=getattr(answer, "url", "") or "")
