"""Which assets an AssetEntryListener reports, and in how much detail."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flowtools.source.vizone.entries import xml_of
from flowtools.vizone.asset import Asset


@dataclass(frozen=True)
class Details:
    """Which assets are reported, and with which details.

    Attributes:
        media: Kinds of media of the assets that are wanted; empty: all.
        statuses: States of the media of the assets that are wanted; empty: all.
        resolve: Whether the server is asked for what a message does not contain.
        metadata: Whether the events have the metadata.
        xml: Whether the events have the XML of the entry.
    """

    media: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    resolve: bool = False
    metadata: bool = False
    xml: bool = False

    @property
    def asks(self) -> bool:
        """Whether events are looked up at the server before they are written."""
        return self.resolve or self.metadata

    def want(self, data: dict[str, Any]) -> bool:
        """Return whether an event with this data is wanted; a missing value matches all."""
        return _is_one_of(data["media"], self.media) and _is_one_of(data["status"], self.statuses)

    def add_to(self, data: dict[str, Any], asset: Asset | None) -> None:
        """Add the requested details to `data`; they are null if there is no asset."""
        if self.xml:
            data["xml"] = xml_of(asset) if asset else None
        if self.metadata:
            payload = asset.payload if asset else None
            data["metadata"] = payload.as_dict() if payload else None


def details_from(
    media: Collection[str], statuses: Collection[str], resolve: bool, metadata: bool, xml: bool
) -> Details:
    """Return the details that the options ask for."""
    return Details(frozenset(media), frozenset(statuses), resolve, metadata, xml)


def _is_one_of(said: str | None, wanted: frozenset[str]) -> bool:
    return not wanted or said is None or said in wanted
