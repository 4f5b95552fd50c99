"""A command that runs for long says what it is doing: to flow-status, on SIGUSR1, as metrics."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from flowtools.process import console
from flowtools.process.systemd import Notifier
from flowtools.process.vitals import vitals

if TYPE_CHECKING:
    from flowtools.process.metrics import MetricsServer


@contextmanager
def speaking(command: str, metrics: str | None = None) -> Iterator["MetricsServer | None"]:
    """Speak for `command` while the block runs; yield the server of its metrics, if it has one.

    Args:
        command: The command's name.
        metrics: Where to serve metrics: HOST:PORT or unix:PATH; None: nowhere.

    Raises:
        UsageError: `metrics` has another form.
        ConfigurationError: Metrics cannot be served there.
    """
    from flowtools.process.statussocket import StatusSocket

    with ExitStack() as stack:
        console.note_with(vitals.note_error)
        stack.callback(console.note_with, None)
        server = None
        if metrics is not None:
            from flowtools.process.metrics import MetricsServer  # prometheus_client is slow.

            server = MetricsServer(metrics, command, vitals)
            stack.callback(server.close)
            server.start()
        notifier = Notifier(keep=True)
        stack.callback(notifier.close)
        status = StatusSocket(command, vitals, notifier)
        stack.callback(status.close)
        status.start()
        yield server
