"""The options of flow-view, with their defaults."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flowtools.core.settings import Reading

if TYPE_CHECKING:
    from flowtools.view.columns import Columns

When = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True)
class Choice(Reading):
    """The options of one run of flow-view; its manual page explains each."""

    fields: "Columns | None" = None
    follow: bool = False
    tee: bool = False
    hold: bool = False
    search: str = ""
    color: When = "auto"
