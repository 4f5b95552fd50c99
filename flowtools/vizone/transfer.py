"""The transfers that follow an upload or an import: an Incoming, and then a transfer request.

An Incoming leads to its transfer request as soon as the server has made one. Both have a state, and
the transfer request also has a progress and a priority.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from lxml import etree

from flowtools.core import wait as waiting
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
"""Names of the states in which a transfer has ended, in lower case. Only o, e and c are public."""


class TransferFailed(FlowError):
    """A transfer has failed or was cancelled."""


class Step(Entry):
    """An entry that describes work in progress: an Incoming, a transfer request or its step."""

    FACTS = ("id", "title", "state")

    @property
    def state(self) -> str | None:
        """State of the work, in the server's words; None if the entry does not say."""
        element = child(self.element, "state", TRANSFER, MAM, CORE)
        return None if element is None else (text(element) or element.get("state"))

    @property
    def is_done(self) -> bool:
        """Whether the work has ended successfully."""
        return (self.state or "").lower() in DONE

    @property
    def has_failed(self) -> bool:
        """Whether the work has failed or was cancelled."""
        return (self.state or "").lower() in FAILED

    @property
    def error(self) -> str | None:
        """Reason of a failure; None if the entry does not say."""
        return text(child(self.element, "error", TRANSFER, MAM, CORE))


class Incoming(Step):
    """The import of media into an asset, which an upload or an import request starts."""

    @property
    def transfer_link(self) -> str | None:
        """Address of the transfer request; None while there is none yet."""
        return self.link("transfer")


class TransferRequest(Step):
    """A transfer, with its progress and priority."""

    @property
    def priority(self) -> str | None:
        """Priority of the transfer: low, medium or high; None if the entry does not say."""
        return text(child(self.element, "priority", TRANSFER, MAM, CORE))

    @property
    def progress(self) -> tuple[int, int] | None:
        """Pair of the amount done and the total amount (100 if it is not given); None: unknown."""
        element = child(self.element, "progress", TRANSFER, MAM, CORE)
        if element is None:
            return None
        # No public trace shows how it is written: as attributes, as elements, or as one number.
        done, total = (
            integer(element.get(name) or text(child(element, name))) for name in ("done", "total")
        )
        if done is None:
            done = integer(text(element))
        return None if done is None else (done, total or 100)


class Transfers(Described):
    """Operations on transfers, as `client.transfers`. Any thread may call them."""

    FACTS = ("_client",)

    def __init__(self, client: "AtomPub") -> None:
        self._client = client

    def incomings(self) -> Iterator[Incoming]:
        """Yield every Incoming that the user may see."""
        for page in self._client.pages(self._client.collection("incoming")):
            yield from map(as_incoming, page.entries)

    def incoming(self, of: Resource) -> Incoming:
        """Return the Incoming of an asset (its upload task); of an Incoming, its current state."""
        rel = ("self", "edit") if isinstance(of, Incoming) else ("upload-task",)
        return as_incoming(self._client.entry(of.follow(*rel)))

    def request(self, of: Incoming | TransferRequest) -> TransferRequest | None:
        """Return the transfer request of an Incoming; of a transfer request, its current state.

        None while the Incoming has no transfer request yet.
        """
        url = of.transfer_link if isinstance(of, Incoming) else of.follow("self", "edit")
        if url is None:
            return None
        entry = self._client.entry(url)
        return TransferRequest(entry.element, entry.etag)

    def set_priority(self, request: TransferRequest, priority: Priority) -> TransferRequest:
        """Set the priority of a transfer; return the transfer request as stored.

        Raises:
            ConflictError: Somebody has changed it since it was read.
        """
        element = child(request.element, "priority", TRANSFER, MAM, CORE)
        if element is None:
            element = etree.SubElement(request.element, f"{{{TRANSFER}}}priority")
        element.text = priority
        entry = self._client.update(request)
        return TransferRequest(entry.element, entry.etag)

    def delete(self, incoming: Incoming) -> None:
        """Remove an Incoming; no error if it does not exist any more."""
        self._client.delete(incoming)

    def wait(
        self,
        incoming: Incoming,
        seconds: float,
        *,
        pause: float = 1.0,
        sleep: Callable[[float], None] = waiting.sleep,
    ) -> Incoming:
        """Wait until the Incoming is done, and return its last state.

        Args:
            incoming: The Incoming to wait for.
            seconds: Maximum number of seconds to wait.
            pause: Seconds between two requests for its state.
            sleep: Function that waits. The default lets a Worker's time-out end the wait.

        Raises:
            TransferFailed: The transfer has failed.
            UnreachableError: The transfer has not ended within `seconds`.
        """
        ends_at = time.monotonic() + seconds
        while not incoming.is_done:
            if incoming.has_failed:
                raise TransferFailed(
                    f"the transfer '{incoming.id}' has failed: {incoming.error or incoming.state}"
                )
            if time.monotonic() >= ends_at:
                raise UnreachableError(
                    f"the transfer '{incoming.id}' has not ended within {seconds:g} s"
                )
            sleep(min(pause, max(0.0, ends_at - time.monotonic())))
            incoming = self.incoming(incoming)
        return incoming


def as_incoming(entry: Entry) -> Incoming:
    """Return an Incoming for the XML of `entry`."""
    return Incoming(entry.element, entry.etag)
