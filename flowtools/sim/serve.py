"""What flow-sim does with a stand-in: serves a command, or everybody until it is stopped."""

import shlex
import sys
from collections.abc import Sequence

from flowtools.process.signals import Signalled, stopped_by_signals
from flowtools.sim import chain
from flowtools.sim.people import GUEST
from flowtools.sim.standin import StandIn


def serve(stand_in: StandIn, command: Sequence[str]) -> int:
    """Run `command` against `stand_in`, or print its settings and wait to be stopped.

    Returns:
        The exit status of `command`.

    Raises:
        Signalled: There was no command, and a signal has asked to end.
        ConfigurationError: The command cannot be started.
    """
    stand_in.start()
    try:
        if command:
            return _serve_command(stand_in, command)
        with stopped_by_signals() as stop:
            sys.stdout.write(settings(stand_in))
            sys.stdout.flush()
            stop.wait()
        return 0
    finally:
        stand_in.close()


def settings(stand_in: StandIn) -> str:
    """Return lines for a shell to read: the settings, and what else there is as comments."""
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
        with stopped_by_signals() as stop:
            status = chain.run(command, stand_in.environment(), stop)
    except Signalled:
        # The signal was the command's; how it took it is what counts.
        if status is None:
            raise
    assert status is not None
    return status
