"""The kinds of a change: the last word of an event's type, for --include and --exclude."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Self

from flowtools.core.errors import UsageError


class Kind(StrEnum):
    """The kind of a change of an asset or a file; its text is the word that users see.

    Attributes:
        colour: The name of its colour in a terminal.
    """

    CREATED = "created", "green"
    UPDATED = "updated", "yellow"
    """An asset or file of Viz One was changed."""
    MODIFIED = "modified", "yellow"
    """A file on this machine was changed."""
    DELETED = "deleted", "red"
    CHANGED = "changed", "cyan"
    """Created, updated or deleted; the message does not say which."""
    STALLED = "stalled", "red"
    """A file on this machine is incomplete and no longer grows."""

    colour: str

    def __new__(cls, word: str, colour: str) -> Self:
        """Make a member whose value is the word alone: JSON and comparisons see no colour."""
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
"""Kinds that are reported only if --include names them."""


def chosen(
    every: Sequence[Kind], include: Collection[str], exclude: Collection[str]
) -> frozenset[Kind]:
    """Return the kinds in --include (if empty: all of `every`) that are not in --exclude.

    Raises:
        UsageError: No kind is left.
    """
    left = frozenset(each for each in every if not include or each in include) - set(exclude)
    if not left:
        raise UsageError("--include and --exclude leave no changes to report")
    return left
