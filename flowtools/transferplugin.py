"""TransferPlugin: the base class of a program that Viz One runs for one step of a transfer.

    class Copy(TransferPlugin):
        def start(self, data):
            self.use(data)
            copy(self.source, self.destination, self.update_progress)

    flow-run copy:Copy < document

Viz One writes one XML document, the plugin data, to standard input. It describes the step, and the
plugin reports the progress and the end of the step to Viz One over HTTP. The client sends these
reports to the server that the links of the step lead to, and logs in with the user of the plugin's
settings.

`start` may report progress, and may end the step as failed with `fail`. A wrapper around `start`
reports every other exception as the error of the step, in the thread that runs `start`. A time-out
or a signal reaches `start` as TimeLimit, and is reported in the same way. If `start` hangs so that
it cannot be interrupted, the wrapper around `clean_up` reports the error at the end of the command.
Only after SIGKILL nothing is reported, and the step keeps its state.
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
    """A source that makes one event of the whole standard input."""

    FORM = "document"


class PluginFailed(BaseException):
    """Raised by `fail` to end `start`, after the step has been reported as failed.

    Not an Exception, so that a plugin's `except Exception` does not swallow it.
    """


class TransferPlugin(Described):
    """A base class for transfer plugins; one object handles one step.

    The attributes in lower case are set by `use`; those that may be None are None if the document
    does not contain them.

    Attributes:
        SOURCE: The source of flow-run's events: standard input, as one document.
        PROGRESS_SECONDS: Minimum time between two reports of progress, in seconds.
        DRAIN: Seconds that `start` may still run after SIGTERM or SIGINT, unless --drain is given.
            The default is 0: the transfer is aborted at once.
        client: A client of Viz One.
        step: The step of the transfer.
        request: The transfer request that the step belongs to; may be None.
        settings: The settings of the plugin; may be None.
        source: The URL to read the media from, with user and password; may be None.
        destination: The URL to write the media to, with user and password; may be None.
        asset: The asset, with its metadata as `payload`; may be None.
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
        """Take the address and login of Viz One from the command; called before `configure`."""
        self._equipment = equipment

    def take_event(self, event: Event) -> None:
        """Remember the event of this attempt, which tells whether its time is up."""
        self._event, self._deadline = event, event.deadline or inf

    def use(
        self,
        data: Event | PluginData | bytes | str,
        require_asset: bool = True,
        require_source: bool = True,
        require_destination: bool = True,
    ) -> None:
        """Read the plugin data and set the attributes; call this first in `start`.

        If a required part is missing, the step fails (see `fail`).

        Args:
            data: The event of `start`, its document, or the document after `PluginData.read`.
            require_asset: Whether the document must contain an asset.
            require_source: Whether the document must contain a source URL.
            require_destination: Whether the document must contain a destination URL.

        Raises:
            ProtocolError: The document is not XML, is larger than 16 MiB, or has no step with a
                link for reports.
            ConfigurationError: Neither the document nor the environment has a login.
            PluginFailed: A required part is missing.
        """
        data = data.data if isinstance(data, Event) else data
        found = data if isinstance(data, PluginData) else PluginData.read(data)
        if found.step is None or found.step.edit_link is None:
            raise ProtocolError("cannot use the plugin data: it has no transfer step with a link")
        self.step, self.request, self.settings = found.step, found.request, found.settings
        self.source, self.destination, self.asset = found.source, found.destination, found.asset
        self.client = self._one = self._make_client(found.step.edit_link)
        # After a retry the step still shows the error of the earlier attempt. The new report
        # replaces it.
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
        """Report that the step is active, and `progress` per cent of it done.

        The first call and 100 are reported at once. Between other reports at least PROGRESS_SECONDS
        pass, and the latest value is sent with the next report, or at the end. If a report cannot
        be sent, a warning is logged. A slow server gets fewer reports, so that they take at most a
        tenth of the time.

        Args:
            progress: Per cent, 0 to 100. A smaller value counts as 0, a larger one as 100. Infinity
                and NaN, which a size of 0 may give, are ignored, with a warning the first time.

        Raises:
            RuntimeError: `use` has not been called.
        """
        self._known_step().progress(float(progress))

    def get_progress(self) -> tuple[str | None, int | None]:
        """Ask Viz One for the state of the step and the per cent done; None if it has none.

        Raises:
            RuntimeError: `use` has not been called.
            FlowError: Viz One does not answer, or refuses to.
        """
        self._known_step()
        url = self.step.follow("self", "edit")
        now = TransferStep(self._one.get(url, accept=ENTRY_TYPE))  # The root may have any name.
        return now.state, now.done

    def fail(self, message: str) -> NoReturn:
        """Report that the step has failed, and end `start`.

        The event counts as done, and the command ends with status 0: Viz One knows of the failure.

        Args:
            message: The reason, which Viz One shows to people.

        Raises:
            PluginFailed: Always, to end `start`; need not be caught.
            FlowError: The report could not be sent.
            RuntimeError: `use` has not been called.
        """
        log.warning("the step has failed: %s", message)
        self._known_step().error(message)
        raise PluginFailed(message)

    def clean_up(self) -> None:
        """Report the end of the step if it is still open; a method that overrides this need not."""
        self.close_step()

    def close_step(self) -> None:
        """Report the step as failed if its end was not reported, because `start` still hangs."""
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
            # The plugin has caught TimeLimit itself and returned: the transfer is not complete.
            self._tell(TimeLimit())
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
    """Return the URL of the server that the link of a step leads to, without user and password.

    Raises:
        ProtocolError: The link is relative, or its scheme is not http or https.
    """
    parts = urlsplit(link)
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        return Account(url, "", "").url
    except ConfigurationError:
        raise ProtocolError(
            f"cannot use the plugin data: the link of its step, '{without_user(link)}', is not"
            " an http(s) address"
        ) from None


def _reporting(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return `start`, wrapped so that its end is reported to the step."""

    @functools.wraps(start)
    def reported(self: TransferPlugin, *args: Any, **options: Any) -> Any:
        me = get_ident()
        # `start` of a subclass calls that of its parent, which is wrapped, too: only the outer call
        # reports. With --retries another thread may run `start` while the hung one of the attempt
        # before still does, so the thread tells the two cases apart.
        if self._thread == me:
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
        except BaseException as error:  # SystemExit and TimeLimit, too.
            self._tell(error)
            raise
        finally:
            if (
                self._thread == me
            ):  # Otherwise a later attempt has begun, and this one is abandoned.
                self._thread = None
        return result

    return reported


def _closing(clean_up: Callable[..., Any]) -> Callable[..., Any]:
    """Return `clean_up`, wrapped so that a step that is still open is reported as failed."""

    @functools.wraps(clean_up)
    def closed(self: TransferPlugin) -> Any:
        self.close_step()
        return clean_up(self)

    return closed
