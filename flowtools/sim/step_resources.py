"""The stand-in's transfer steps over HTTP: what a transfer plugin reports to.

A step is made by its first PUT, for nothing here runs plugins; its address is in the
document that the plugin is given.
"""

from threading import Lock

from flowtools.sim.asking import NUMBER, Refusal, Reply, Request, Routes
from flowtools.sim.vocabulary import GoneError
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.document import parse
from flowtools.vizone.plugindata import TransferStep

STEPS_PATH = "/api/transfer/step"

MOST = 10_000
"""Steps that are kept, and reports of each."""


class StepResources:
    """The steps; any thread may call.

    Attributes:
        reports: What was reported to each: its state, per cent done and error, in order.
    """

    def __init__(self) -> None:
        """Serve none yet."""
        self.reports: dict[str, list[tuple[str | None, int | None, str | None]]] = {}
        self._documents: dict[str, bytes] = {}
        self._lock = Lock()

    def routes(self) -> Routes:
        """Return who answers what."""
        return [(f"{STEPS_PATH}/{NUMBER}", {"GET": self._get, "PUT": self._put})]

    def _get(self, request: Request, number: str) -> Reply:
        with self._lock:
            if number not in self._documents:
                raise GoneError(f"there is no step {number}")
            return Reply(self._documents[number], ENTRY_TYPE)

    def _put(self, request: Request, number: str) -> Reply:
        step = TransferStep(parse(request.body, name="the step"))
        if step.edit_link is None:
            raise Refusal(400, "expected a step with its links")
        with self._lock:
            if number not in self._documents and len(self._documents) >= MOST:
                raise Refusal(400, "there are too many steps")
            self._documents[number] = request.body
            reports = self.reports.setdefault(number, [])
            reports.append((step.state, step.done, step.error))
            del reports[:-MOST]
        return Reply(request.body, ENTRY_TYPE)
