"""Handlers for transfer steps, to which a transfer plugin reports its progress.

The plugin finds the address of its step in its document (plugin_resources.py). The stand-in does
not start plugins, so it knows of no steps in advance: the first PUT makes a step.
"""

from threading import Lock

from flowtools.sim.asking import NUMBER, Refusal, Reply, Request, Routes
from flowtools.sim.vocabulary import GoneError
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.document import parse
from flowtools.vizone.plugindata import TransferStep

STEPS_PATH = "/api/transfer/step"

MOST = 10_000
"""Maximum number of steps, and of reports that are kept for each."""


class StepResources:
    """The handlers for steps, and the steps themselves. Thread-safe.

    Attributes:
        reports: Reports by number of the step: state, percentage done and error of each, in order.
    """

    def __init__(self) -> None:
        """Begin without a step."""
        self.reports: dict[str, list[tuple[str | None, int | None, str | None]]] = {}
        self._documents: dict[str, bytes] = {}
        self._lock = Lock()

    def routes(self) -> Routes:
        """Return the routes of these handlers."""
        return [(f"{STEPS_PATH}/{NUMBER}", {"GET": self._get, "PUT": self._put})]

    def _get(self, request: Request, number: str) -> Reply:
        with self._lock:
            if number not in self._documents:
                raise GoneError(f"there is no step {number}")
            return Reply(self._documents[number], ENTRY_TYPE)

    def _put(self, request: Request, number: str) -> Reply:
        step = TransferStep(parse(request.body, name="the step"))
        if step.edit_link is None:
            raise Refusal(400, "expected a transfer step with an edit link")
        with self._lock:
            if number not in self._documents and len(self._documents) >= MOST:
                raise Refusal(400, "there are too many steps")
            # As it came: a plugin edits the document it was given, and all else must survive.
            self._documents[number] = request.body
            reports = self.reports.setdefault(number, [])
            reports.append((step.state, step.done, step.error))
            del reports[:-MOST]
        return Reply(request.body, ENTRY_TYPE)
