"""TransferPlugin: what Viz One's transfer system runs for a step, with one document on stdin.

    class Copy(TransferPlugin):
        def start(self, data):
            self.use(data)
            copy(self.source, self.destination, self.update_progress)

    flow-run copy:Copy < document

`start` may report how far it is and end by `fail`; whatever else it raises is reported as
the error of the step, too. The client logs in as the settings of the plugin say, at the
server that the step's own links lead to.
"""

import functools
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlsplit

from flowtools.errors import FlowError, ProtocolError
from flowtools.event import Event
from flowtools.loading import describe
from flowtools.needs import SECONDS, Equipment
from flowtools.source.local import STDIN
from flowtools.vizone.account import Account
from flowtools.vizone.asset import Asset
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.client import Client
from flowtools.vizone.document import serialise
from flowtools.vizone.metadata import Payload
from flowtools.vizone.plugindata import PluginData, TransferStep
from flowtools.vizone.transfer import TransferRequest

log = logging.getLogger("flowtools.plugin")


class Document(STDIN):
    """Standard input, whole, as one event."""

    FORM = "document"


class PluginFailed(BaseException):
    """The step has been reported as failed, and that is all there is to do.

    Not an Exception, so that a plugin's `except Exception` does not swallow it.
    """


class TransferPlugin:
    """A base class for plugins; one object is one step.

    Attributes:
        PROGRESS_SECONDS: How long a report of progress waits after the one before.
        client: Viz One, once `use` was called.
        step: The step of the transfer.
        request: The transfer request.
        settings: The plugin's settings.
        source: The URL to read the media from, with its login.
        destination: The URL to write it to.
        asset: The asset, with its metadata as `payload`.
    """

    SOURCE: ClassVar[Any] = Document
    PROGRESS_SECONDS = 1.0

    client: Client
    step: TransferStep
    request: TransferRequest | None
    settings: Payload | None
    source: str | None
    destination: str | None
    asset: Asset | None

    _equipment: Equipment | None = None
    _one: Any = None
    _is_running = False
    _reported: int | None = None
    _reported_at = 0.0
    _waiting: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "start" in cls.__dict__:
            cls.start = _reporting(cls.__dict__["start"])  # type: ignore[attr-defined]

    def take_equipment(self, equipment: Equipment) -> None:
        """Take note of where Viz One is, and how its certificate is checked."""
        self._equipment = equipment

    def use(
        self,
        data: Event | PluginData | bytes | str,
        require_asset: bool = True,
        require_source: bool = True,
        require_destination: bool = True,
    ) -> None:
        """Take the parts of the document `data`, and log in.

        What is required and missing fails the step.

        Raises:
            ProtocolError: It is no XML, or has no step that could be reported to.
            ConfigurationError: There is no login in it, nor anywhere else.
        """
        data = data.data if isinstance(data, Event) else data
        found = data if isinstance(data, PluginData) else PluginData.read(data)
        if found.step is None or found.step.edit_link is None:
            raise ProtocolError("cannot use the plugin data: it has no transfer step with a link")
        self.step, self.request, self.settings = found.step, found.request, found.settings
        self.source, self.destination, self.asset = found.source, found.destination, found.asset
        self.client = self._one = self._make_client(found.step.edit_link)
        for part, is_required in (
            ("source", require_source),
            ("destination", require_destination),
            ("asset", require_asset),
        ):
            if is_required and getattr(self, part) is None:
                self.fail(f"the plugin data has no {part}")

    def update_progress(self, progress: float) -> None:
        """Report that `progress` per cent (0 to 100) are done, and that the step is active.

        Reports are PROGRESS_SECONDS apart, but for the first and 100; what comes between is
        reported with the next, or at the end. One that cannot be sent is a warning only.
        """
        per_cent = min(100, max(0, int(float(progress))))
        due = monotonic() - self._reported_at >= self.PROGRESS_SECONDS
        if per_cent == self._reported:
            self._waiting = None
        elif due or per_cent == 100 or self._reported is None:
            self._report_progress(per_cent)
        else:
            self._waiting = per_cent

    def get_progress(self) -> tuple[str | None, int | None]:
        """Return the state and the per cent done of the step, as the server has them now."""
        url = self.step.follow("self", "edit")
        now = TransferStep(self._one.get(url, accept=ENTRY_TYPE))  # Whatever its root is.
        return now.state, now.done

    def fail(self, message: str) -> NoReturn:
        """Report that the step has failed, for people to see; the process ends with status 0.

        Raises:
            PluginFailed: Always; nothing needs to catch it.
            FlowError: The report could not be sent.
        """
        log.warning("the step has failed: %s", message)
        self._report_error(message)
        raise PluginFailed(message)

    def _make_client(self, link: str) -> Client:
        equipment = self._equipment
        user = self.settings["plugin.user"] if self.settings else None
        password = self.settings["plugin.password"] if self.settings else None
        if not user:
            if equipment is None:
                return Client.from_environment()
            return equipment.client()
        parts = urlsplit(link)
        base = equipment.account if equipment else None
        account = Account(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            user,
            password or "",
            base.ca_file if base else None,
            base.insecure if base else False,
        )
        return Client(account, seconds=equipment.seconds if equipment else SECONDS)

    def _report_progress(self, per_cent: int) -> None:
        self._reported, self._reported_at, self._waiting = per_cent, monotonic(), None
        self.step.set_state("active")
        self.step.set_done(per_cent)
        try:
            self._put()
        except FlowError as error:
            log.warning("cannot report %d %%: %s", per_cent, error)

    def _report_error(self, message: str) -> None:
        self.step.set_state("error")
        self.step.set_error(message)
        self._put()

    def _put(self) -> None:
        # Without an etag: nobody but the plugin has a say in what is set here.
        self._one.request(
            "PUT",
            self.step.follow("edit", "self"),
            body=serialise(self.step.element),
            content_type=ENTRY_TYPE,
        )

    def _end(self) -> None:
        if self._waiting is not None:
            self._report_progress(self._waiting)

    def _crash(self, error: Exception) -> None:
        if self._one is None:
            return
        try:
            self._report_error(describe(error))
        except FlowError as failed:
            log.warning("cannot report that the step has failed: %s", failed)


def _reporting(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return `start` with a report of how it ends."""

    @functools.wraps(start)
    def reported(self: TransferPlugin, *args: Any, **options: Any) -> Any:
        if self._is_running:  # A subclass calls the start of its parent.
            return start(self, *args, **options)
        self._is_running = True
        try:
            result = start(self, *args, **options)
            self._end()
        except PluginFailed:
            return None
        except Exception as error:
            self._crash(error)
            raise
        finally:
            self._is_running = False
        return result

    return reported
