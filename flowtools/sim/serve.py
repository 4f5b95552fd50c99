"""What flow-sim does with a stand-in: runs a command with it, or serves until it is stopped."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flowtools.core.log import get_log
from flowtools.core.wait import Stop
from flowtools.process.service import speaking
from flowtools.process.signals import Signalled, stopped_by_signals
from flowtools.process.vitals import vitals
from flowtools.sim import chain
from flowtools.sim.people import GUEST
from flowtools.sim.standin import StandIn

_log = get_log("flowtools.sim")


def serve(stand_in: StandIn, command: Sequence[str]) -> int:
    """Run `command` against `stand_in`, or print its settings and wait to be stopped.

    Returns:
        The exit status of `command`.

    Raises:
        Signalled: A signal ended it, and there was no command, or it had not been started.
        ConfigurationError: The command cannot be started.
    """
    stand_in.start()
    try:
        return _serve_command(stand_in, command) if command else _serve_others(stand_in)
    finally:
        stand_in.close()


@contextmanager
def _serving(stand_in: StandIn) -> Iterator[Stop]:
    """Yield the flag that a signal sets; while the block runs, others may ask for the state.

    Raises:
        Signalled: The block has ended after a signal.
    """
    vitals.about = stand_in.url
    _log.debug("serving HTTP at '%s', and STOMP at '%s'", stand_in.url, stand_in.stomp_url)
    # Standard input and output belong to the command that runs against the stand-in.
    with (
        stopped_by_signals() as stop,
        speaking("flow-sim", is_piped=False),
        vitals.providing(events_out=lambda: stand_in.steps_done),
    ):
        yield stop


def _serve_others(stand_in: StandIn) -> int:
    with _serving(stand_in) as stop:
        sys.stdout.write(settings(stand_in))
        # At once: whoever started us reads the settings before sending the first request.
        sys.stdout.flush()
        stop.wait()
    return 0


def settings(stand_in: StandIn) -> str:
    """Return the settings as `export` lines for a shell, and further facts as comments."""
    exports = [
        f"export {name}={shlex.quote(value)}" for name, value in stand_in.environment().items()
    ]
    notes = [
        f"# broker: {stand_in.stomp_url}",
        f"# a user without Asset/Admin, with the same password: {GUEST}",
    ]
    return "\n".join([*exports, *notes]) + "\n"


def _serve_command(stand_in: StandIn, command: Sequence[str]) -> int:
    status = None
    try:
        with _serving(stand_in) as stop:
            status = chain.run(command, stand_in.environment(), stop)
    except Signalled:
        # The signal was passed on to the command, and its exit status says how it took it.
        if status is None:
            raise
    assert status is not None
    return status
