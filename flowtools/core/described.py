"""A repr for objects of the public API, as a shell, a log or a failed assertion shows it."""

from typing import ClassVar

_LONGEST = 80
"""Characters of a value that are shown."""


class Described:
    """A base whose repr shows some attributes: `<Asset id='urn:...:7' title='News'>`.

    What is None, or cannot be read, is left out: a repr never raises, and asks no server.
    Name no attribute that may hold a password.
    """

    __slots__ = ()

    FACTS: ClassVar[tuple[str, ...]] = ()
    """The attributes to show; an underscore in front of a name is not shown."""

    def __repr__(self) -> str:
        facts = [type(self).__name__]
        for name in self.FACTS:
            try:
                value = getattr(self, name, None)
                text = None if value is None else repr(value)
            except Exception:  # noqa: BLE001  an attribute may be any code
                # What is shown may be malformed; that is said where it is used.
                text = None
            if text is not None:
                cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
                facts.append(f"{name.lstrip('_')}={cut}")
        return f"<{' '.join(facts)}>"
