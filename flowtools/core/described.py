"""A repr for objects of the public API, for shells, logs and failed assertions."""

from typing import ClassVar

_LONGEST = 80
"""Maximum number of characters shown of a value."""


class Described:
    """A base class whose repr shows some attributes: `<Asset id='urn:...:7' title='News'>`.

    An attribute that is None, or raises an error, is left out: a repr never raises. FACTS must not
    name an attribute that asks a server or that may hold a password.
    """

    __slots__ = ()

    FACTS: ClassVar[tuple[str, ...]] = ()
    """The attributes to show; a leading underscore of a name is not shown."""

    def __repr__(self) -> str:
        facts = [type(self).__name__]
        for name in self.FACTS:
            try:
                value = getattr(self, name, None)
                text = None if value is None else repr(value)
            except Exception:  # noqa: BLE001  an attribute may be any code
                # The object may be malformed. The code that uses it reports that.
                text = None
            if text is not None:
                cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
                facts.append(f"{name.lstrip('_')}={cut}")
        return f"<{' '.join(facts)}>"
