"""Shows the state of a long-running command: to flow-status, on SIGUSR1, and as metrics."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from flowtools.process import console
from flowtools.process.systemd import Notifier
from flowtools.process.vitals import vitals

if TYPE_CHECKING:
    from flowtools.process.metrics import MetricsServer


@contextmanager
def speaking(
    command: str, metrics: str | None = None, *, is_piped: bool = True
) -> Iterator["MetricsServer | None"]:
    """Show the state of `command` while the block runs; yield its metrics server, if any.

    Args:
        command: The name of the command.
        metrics: The address for metrics, HOST:PORT or unix:PATH; None: no metrics.
        is_piped: Whether the events of a pipeline pass through its standard input and output.

    Raises:
        UsageError: `metrics` has another form.
        ConfigurationError: Metrics cannot be served at that address.
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
        status = StatusSocket(command, vitals, notifier, is_piped=is_piped)
        stack.callback(status.close)
        status.start()
        yield server
