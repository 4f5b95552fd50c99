"""What follows an upload or an import: an Incoming, and then a transfer request."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import FlowError, UnreachableError
from flowtools.vizone.atom import Entry, Resource
from flowtools.vizone.document import child, integer, text
from flowtools.vizone.namespaces import CORE, MAM, TRANSFER

if TYPE_CHECKING:
    from flowtools.vizone.atompub import AtomPub

Priority = Literal["low", "medium", "high"]

DONE = {"finished", "done", "ok", "o", "completed", "complete"}
FAILED = {"error", "failed", "e", "cancelled", "canceled", "aborted", "c"}
"""What a state may be called when it is over; only O, E and C are public."""


class TransferFailed(FlowError):
    """The server has ended a transfer without success."""


class Step(Entry):
    """An Incoming or a transfer request: something that goes on for a while."""

    FACTS = ("id", "title", "state")

    @property
    def state(self) -> str | None:
        """Its state, as the server calls it."""
        element = child(self.element, "state", TRANSFER, MAM, CORE)
        return None if element is None else (text(element) or element.get("state"))

    @property
    def is_done(self) -> bool:
        """Whether it has ended well."""
        return (self.state or "").lower() in DONE

    @property
    def has_failed(self) -> bool:
        """Whether it has ended in any other way."""
        return (self.state or "").lower() in FAILED

    @property
    def error(self) -> str | None:
        """Why it has failed, where it says."""
        return text(child(self.element, "error", TRANSFER, MAM, CORE))


class Incoming(Step):
    """What an import or an upload gives: the way of media into an asset."""

    @property
    def transfer_link(self) -> str | None:
        """Where its transfer request is; None while there is none yet."""
        return self.link("transfer")


class TransferRequest(Step):
    """A transfer: how far it is, and how urgent."""

    @property
    def priority(self) -> str | None:
        """low, medium or high."""
        return text(child(self.element, "priority", TRANSFER, MAM, CORE))

    @property
    def progress(self) -> tuple[int, int] | None:
        """How much is done, of how much in all; None where it does not say."""
        element = child(self.element, "progress", TRANSFER, MAM, CORE)
        if element is None:
            return None
        done, total = (
            integer(element.get(name) or text(child(element, name))) for name in ("done", "total")
        )
        if done is None:
            done = integer(text(element))
        return None if done is None else (done, total or 100)


class Transfers(Described):
    """What can be done with them; `client.transfers`."""

    FACTS = ("_client",)

    def __init__(self, client: "AtomPub") -> None:
        self._client = client

    def incomings(self) -> Iterator[Incoming]:
        """Yield every Incoming that the user may see."""
        for page in self._client.pages(self._client.collection("incoming")):
            yield from map(as_incoming, page.entries)

    def incoming(self, of: Resource) -> Incoming:
        """Return the Incoming of an asset (its upload task), or `of` itself read afresh."""
        rel = ("self", "edit") if isinstance(of, Incoming) else ("upload-task",)
        return as_incoming(self._client.entry(of.follow(*rel)))

    def request(self, of: Incoming | TransferRequest) -> TransferRequest | None:
        """Return the transfer request of an Incoming, or `of` read afresh; None if none yet."""
        url = of.transfer_link if isinstance(of, Incoming) else of.follow("self", "edit")
        if url is None:
            return None
        entry = self._client.entry(url)
        return TransferRequest(entry.element, entry.etag)

    def set_priority(self, request: TransferRequest, priority: Priority) -> TransferRequest:
        """Make a transfer more or less urgent.

        Raises:
            ConflictError: It has changed since it was read.
        """
        element = child(request.element, "priority", TRANSFER, MAM, CORE)
        if element is None:
            element = etree.SubElement(request.element, f"{{{TRANSFER}}}priority")
        element.text = priority
        entry = self._client.update(request)
        return TransferRequest(entry.element, entry.etag)

    def delete(self, incoming: Incoming) -> None:
        """Remove an Incoming; it is no error if it is gone already."""
        self._client.delete(incoming)

    def wait(
        self,
        incoming: Incoming,
        seconds: float,
        *,
        pause: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Incoming:
        """Ask every `pause` seconds until the Incoming is done, and return it.

        Raises:
            TransferFailed: It has failed.
            UnreachableError: It is not over within `seconds`.
        """
        ends_at = time.monotonic() + seconds
        while not incoming.is_done:
            if incoming.has_failed:
                raise TransferFailed(
                    f"the transfer '{incoming.id}' has failed: {incoming.error or incoming.state}"
                )
            if time.monotonic() >= ends_at:
                raise UnreachableError(f"the transfer '{incoming.id}' is not over in {seconds:g} s")
            sleep(min(pause, max(0.0, ends_at - time.monotonic())))
            incoming = self.incoming(incoming)
        return incoming


def as_incoming(entry: Entry) -> Incoming:
    """Return `entry` seen as an Incoming."""
    return Incoming(entry.element, entry.etag)
