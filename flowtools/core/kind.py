"""The kinds of a change: the last word of an event's type, and what options choose by."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Self

from flowtools.core.errors import UsageError


class Kind(StrEnum):
    """What happened to an asset or a file; as text, the word that users see.

    Attributes:
        colour: Name of the terminal colour in which people see it.
    """

    CREATED = "created", "green"
    UPDATED = "updated", "yellow"
    """An asset or file of Viz One is different now."""
    MODIFIED = "modified", "yellow"
    """A file of this machine is different now."""
    DELETED = "deleted", "red"
    CHANGED = "changed", "cyan"
    """One of the others; the message does not say which."""
    STALLED = "stalled", "red"
    """A file of this machine stands still and is not whole."""

    colour: str

    def __new__(cls, word: str, colour: str) -> Self:
        """Make a member."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.colour = colour
        return member

    @classmethod
    def of(cls, type: str) -> "Kind | None":
        """Return the kind that ends an event's `type`, such as "flow.asset.created"."""
        return _BY_WORD.get(type.rpartition(".")[2])


_BY_WORD: dict[str, Kind] = {kind.value: kind for kind in Kind}

OF_VIZ_ONE = (Kind.CREATED, Kind.UPDATED, Kind.DELETED, Kind.CHANGED)
OF_FILES = (Kind.CREATED, Kind.MODIFIED, Kind.DELETED)
ON_DEMAND = (Kind.STALLED,)
"""Kinds that are reported only where --include names them."""


def chosen(
    every: Sequence[Kind], include: Collection[str], exclude: Collection[str]
) -> frozenset[Kind]:
    """Return the kinds that --include (empty: all of `every`) and --exclude leave.

    Raises:
        UsageError: They leave none.
    """
    left = frozenset(each for each in every if not include or each in include) - set(exclude)
    if not left:
        raise UsageError("--include and --exclude leave no changes to report")
    return left
