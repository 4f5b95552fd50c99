"""Runs the command that flow-sim was given, the way env(1) and timeout(1) run one."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from flowtools.core.errors import ConfigurationError
from flowtools.core.wait import Stop, wait


def run(command: Sequence[str], environment: Mapping[str, str], stop: Stop) -> int:
    """Run `command` with `environment` added to ours; return its exit status.

    Without a terminal the command gets a process group of its own: SIGTERM or SIGINT sent to
    this process is passed on to the whole group. On a terminal the command stays in our group,
    so that it may read the terminal; only the command itself then gets a SIGTERM.

    Returns:
        The command's exit status, or 128+n if signal n ended it.

    Raises:
        ConfigurationError: The command cannot be started.
    """
    on_terminal = os.isatty(0)
    try:
        child = subprocess.Popen(  # noqa: S603  running it is what was asked for
            command,
            env={**os.environ, **environment},
            # The command may need descriptors that its caller opened, such as a shell's <(...).
            close_fds=False,
            # If the command is a shell, its pipeline must get the signal, not the shell alone.
            process_group=None if on_terminal else 0,
        )
    except OSError as error:
        raise ConfigurationError(f"cannot run '{command[0]}': {error.strerror}") from None
    _wait(child, stop)
    if child.poll() is None and stop.signum is not None:
        _pass_on(child, stop.signum, on_terminal)
    status = child.wait()
    return 128 - status if status < 0 else status


def _wait(child: subprocess.Popen[bytes], stop: Stop) -> None:
    # A descriptor, since a signal is one as well: one wait for whichever comes first.
    ended = os.pidfd_open(child.pid)
    try:
        wait(ended, stop)
    finally:
        os.close(ended)


def _pass_on(child: subprocess.Popen[bytes], signum: int, on_terminal: bool) -> None:
    if not on_terminal:
        os.killpg(child.pid, signum)
    elif signum != signal.SIGINT:
        # The terminal sends Control-C to the whole group, so the command has got it already. A
        # second SIGINT would make it end at once: flow-work would not finish its events.
        child.send_signal(signum)
