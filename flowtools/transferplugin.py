"""TransferPlugin: what Viz One's transfer system runs for a step, with one document on stdin.

    class Copy(TransferPlugin):
        def start(self, data):
            self.use(data)
            copy(self.source, self.destination, self.update_progress)

    flow-run copy:Copy < document

`start` may report how far it is and end by `fail`; whatever else it raises is reported as
the error of the step, too, and so is its end by a signal or a time-out. Of SIGKILL nobody
can tell: the step stays as it was. The client logs in as the settings of the plugin say, at
the server that the step's own links lead to.
"""

import functools
from collections.abc import Callable
from math import inf
from threading import get_ident
from time import monotonic
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlsplit

from flowtools.core.described import Described
from flowtools.core.errors import ConfigurationError, FlowError, ProtocolError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.source.local import STDIN
from flowtools.vizone.account import Account
from flowtools.vizone.asset import Asset
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.client import Client
from flowtools.vizone.metadata import Payload
from flowtools.vizone.plugindata import PluginData, TransferStep
from flowtools.vizone.stepreport import StepReport
from flowtools.vizone.transfer import TransferRequest
from flowtools.vizone.transport import without_user
from flowtools.worker.description import describe
from flowtools.worker.exceptions import TimeLimit
from flowtools.worker.needs import SECONDS, Equipment

log = get_log("flowtools.plugin")


class Document(STDIN):
    """Standard input, whole, as one event."""

    FORM = "document"


class PluginFailed(BaseException):
    """The step has been reported as failed, and that is all there is to do.

    Not an Exception, so that a plugin's `except Exception` does not swallow it.
    """


class TransferPlugin(Described):
    """A base class for plugins; one object is one step.

    Attributes:
        PROGRESS_SECONDS: How long a report of progress waits after the one before.
        DRAIN: Seconds that `start` has to end after SIGTERM or SIGINT, where --drain does
            not say: none, for a transfer that is not over soon is aborted.
        client: Viz One, once `use` was called.
        step: The step of the transfer.
        request: The transfer request.
        settings: The plugin's settings.
        source: The URL to read the media from, with its login.
        destination: The URL to write it to.
        asset: The asset, with its metadata as `payload`.
    """

    FACTS = ("step", "asset")

    SOURCE: ClassVar[Any] = Document
    PROGRESS_SECONDS = 1.0
    DRAIN = 0.0

    client: Client
    step: TransferStep
    request: TransferRequest | None
    settings: Payload | None
    source: str | None
    destination: str | None
    asset: Asset | None

    _equipment: Equipment | None = None
    _one: Any = None
    _thread: int | None = None
    _report: StepReport | None = None
    _event: Event | None = None
    _deadline = inf

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, around in (("start", _reporting), ("clean_up", _closing)):
            if name in cls.__dict__:
                setattr(cls, name, around(cls.__dict__[name]))

    def take_equipment(self, equipment: Equipment) -> None:
        """Take note of where Viz One is, and how its certificate is checked."""
        self._equipment = equipment

    def take_event(self, event: Event) -> None:
        """Take note of the event that is run: it knows whether its time is up."""
        self._event, self._deadline = event, event.deadline or inf

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
            ProtocolError: It is no XML of up to 16 MiB, or has no step that could be
                reported to.
            ConfigurationError: There is no login in it, nor anywhere else.
        """
        data = data.data if isinstance(data, Event) else data
        found = data if isinstance(data, PluginData) else PluginData.read(data)
        if found.step is None or found.step.edit_link is None:
            raise ProtocolError("cannot use the plugin data: it has no transfer step with a link")
        self.step, self.request, self.settings = found.step, found.request, found.settings
        self.source, self.destination, self.asset = found.source, found.destination, found.asset
        self.client = self._one = self._make_client(found.step.edit_link)
        before = self._report
        self._report = StepReport(
            self._one,
            self.step,
            self.PROGRESS_SECONDS,
            after_error=before is not None and before.failed,
        )
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
        What is below 0 or above 100 counts as these; an infinity and NaN, as of an unknown
        size, are left out with a warning, the first time.

        Raises:
            RuntimeError: `use` has not been called.
        """
        self._known_step().progress(float(progress))

    def get_progress(self) -> tuple[str | None, int | None]:
        """Return the state and the per cent done of the step, as the server has them now.

        Raises:
            RuntimeError: `use` has not been called.
        """
        self._known_step()
        url = self.step.follow("self", "edit")
        now = TransferStep(self._one.get(url, accept=ENTRY_TYPE))  # Whatever its root is.
        return now.state, now.done

    def fail(self, message: str) -> NoReturn:
        """Report that the step has failed, for people to see; the process ends with status 0.

        Raises:
            PluginFailed: Nothing needs to catch it.
            FlowError: The report could not be sent.
            RuntimeError: `use` has not been called.
        """
        log.warning("the step has failed: %s", message)
        self._known_step().error(message)
        raise PluginFailed(message)

    def clean_up(self) -> None:
        """See that the step is told how it ends; whoever overrides this need not call it."""
        self.close_step()

    def close_step(self) -> None:
        """Report that the step has failed, where `start` could not be brought to its end."""
        if self._report is not None and self._report.is_open:
            self._tell(TimeLimit())

    def _known_step(self) -> StepReport:
        if self._report is None:
            raise RuntimeError("the step is not known: call self.use(data) before anything else")
        return self._report

    def _make_client(self, link: str) -> Client:
        equipment = self._equipment
        url = _server_of(link)
        user = self.settings["plugin.user"] if self.settings else None
        password = self.settings["plugin.password"] if self.settings else None
        if not user:
            if equipment is None:
                return Client.from_environment()
            return equipment.client()
        base = equipment.account if equipment else None
        account = Account(
            url,
            user,
            password or "",
            base.ca_file if base else None,
            base.insecure if base else False,
        )
        return Client(account, seconds=equipment.seconds if equipment else SECONDS)

    def _end(self) -> None:
        if self._report is None:
            return
        if self._event is not None and self._event.cancelled():
            self._tell(TimeLimit())  # It has swallowed what it was told, and is not done.
        else:
            self._report.end()

    def _tell(self, error: BaseException) -> None:
        if self._report is None:
            return
        said = describe(error)
        if isinstance(error, TimeLimit):
            is_late = monotonic() >= self._deadline
            said = "aborted: " + ("its time was up" if is_late else "its process was asked to end")
        try:
            self._report.error(said)
        except FlowError as failed:
            log.warning("cannot report that the step has failed: %s", failed)


def _server_of(link: str) -> str:
    """Return the address of the server that the link of a step leads to.

    Raises:
        ProtocolError: It is relative, or leads to no web server.
    """
    parts = urlsplit(link)
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        return Account(url, "", "").url
    except ConfigurationError:
        raise ProtocolError(
            f"cannot use the plugin data: the link of its step, '{without_user(link)}', is no"
            " http(s) address"
        ) from None


def _reporting(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return `start` with a report of how it ends."""

    @functools.wraps(start)
    def reported(self: TransferPlugin, *args: Any, **options: Any) -> Any:
        me = get_ident()
        if self._thread == me:  # A subclass calls the start of its parent.
            return start(self, *args, **options)
        self._thread = me
        for each in args:
            if isinstance(each, Event):
                self.take_event(each)
        try:
            result = start(self, *args, **options)
            self._end()
        except PluginFailed:
            return None
        except BaseException as error:  # Such as sys.exit, or a time-out.
            self._tell(error)
            raise
        finally:
            if self._thread == me:  # Else this one was left behind, and another has begun.
                self._thread = None
        return result

    return reported


def _closing(clean_up: Callable[..., Any]) -> Callable[..., Any]:
    """Return `clean_up` with a word to a step that still waits for one."""

    @functools.wraps(clean_up)
    def closed(self: TransferPlugin) -> Any:
        self.close_step()
        return clean_up(self)

    return closed
