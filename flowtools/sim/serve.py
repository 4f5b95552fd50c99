"""What flow-sim does with a stand-in: runs a command with it, or serves until it is stopped."""

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
        Signalled: A signal ended it, and there was no command, or it had not been started.
        ConfigurationError: The command cannot be started.
    """
    stand_in.start()
    try:
        if command:
            return _serve_command(stand_in, command)
        with stopped_by_signals() as stop:
            sys.stdout.write(settings(stand_in))
            # At once: whoever started us reads the settings before sending the first request.
            sys.stdout.flush()
            stop.wait()
        return 0
    finally:
        stand_in.close()


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
        with stopped_by_signals() as stop:
            status = chain.run(command, stand_in.environment(), stop)
    except Signalled:
        # The signal was passed on to the command, and its exit status says how it took it.
        if status is None:
            raise
    assert status is not None
    return status
