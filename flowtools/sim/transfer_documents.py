"""XML documents for an import under way: its Incoming and its transfer request.

On a Viz One a client polls the Incoming until it has a link to the transfer request, which has
the progress; the documents here are linked in the same way.
"""

from flowtools.sim.documents import ASSETS_PATH, INCOMING_PATH
from flowtools.sim.imports import Import
from flowtools.sim.xml import add, link, root
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ATOM, MAM, TRANSFER

TRANSFERS_PATH = "/api/transfer/request"


def incoming_entry(task: Import, base: str) -> Element:
    """Return the entry of an Incoming, which has a transfer link once the import has begun."""
    entry = root(ATOM, "entry")
    add(entry, ATOM, "id", f"urn:vme:default:incoming:{task.id}")
    add(entry, ATOM, "title", task.name)
    add(entry, ATOM, "updated", task.updated)
    add(entry, TRANSFER, "state", task.state)
    if task.error:
        add(entry, TRANSFER, "error", task.error)
    href = f"{base}{INCOMING_PATH}/{task.id}"
    link(entry, "self", href, ENTRY_TYPE)
    link(entry, "edit", href, ENTRY_TYPE)
    if task.done is not None:
        link(entry, "transfer", f"{base}{TRANSFERS_PATH}/{task.id}", ENTRY_TYPE)
    return entry


def transfer_urn(task: Import) -> str:
    """Return the atom:id of a transfer request."""
    return f"urn:vme:default:transfer:{task.id}"


def transfer_entry(task: Import, base: str, monitor: str) -> Element:
    """Return the entry of a transfer request: state, priority, progress and asset."""
    entry = root(ATOM, "entry")
    add(entry, ATOM, "id", transfer_urn(task))
    add(entry, ATOM, "title", task.name)
    add(entry, ATOM, "updated", task.updated)
    add(entry, TRANSFER, "state", task.state)
    add(entry, TRANSFER, "priority", task.priority)
    add(entry, TRANSFER, "progress", None, done=str(task.done or 0), total="100")
    if task.error:
        add(entry, TRANSFER, "error", task.error)
    request = add(entry, TRANSFER, "request")
    href = f"{base}{ASSETS_PATH}/{task.number}"
    add(request, MAM, "asset", None, ref=f"urn:vme:default:asset:{task.number}", href=href)
    here = f"{base}{TRANSFERS_PATH}/{task.id}"
    link(entry, "self", here, ENTRY_TYPE)
    link(entry, "edit", here, ENTRY_TYPE)
    link(entry, "monitor", monitor)
    return entry
