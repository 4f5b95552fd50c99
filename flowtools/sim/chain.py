"""Runs a command under the stand-in, as env(1) and timeout(1) run one."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from flowtools.core.errors import ConfigurationError
from flowtools.core.wait import Stop, wait


def run(command: Sequence[str], environment: Mapping[str, str], stop: Stop) -> int:
    """Run `command` with `environment` added to ours; return its exit status.

    SIGTERM or SIGINT sent to this process is passed on to it and to whatever it has
    started. On a terminal both share the terminal's signals, and only it is told.

    Returns:
        Its exit status; 128+n where signal n has ended it.

    Raises:
        ConfigurationError: It cannot be started.
    """
    on_terminal = os.isatty(0)
    try:
        child = subprocess.Popen(  # noqa: S603  running it is what was asked for
            command,
            env={**os.environ, **environment},
            # What its caller has opened for it, such as a shell's <(...), is its own.
            close_fds=False,
            # A shell's pipeline is to get the signal too, not the shell alone.
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
    ended = os.pidfd_open(child.pid)
    try:
        wait(ended, stop)
    finally:
        os.close(ended)


def _pass_on(child: subprocess.Popen[bytes], signum: int, on_terminal: bool) -> None:
    if not on_terminal:
        os.killpg(child.pid, signum)
    elif signum != signal.SIGINT:
        # Control-C reached it without us; twice would be once too often.
        child.send_signal(signum)
