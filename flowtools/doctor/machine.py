"""Checks of this machine: versions, a directory for acknowledgement sockets, and limits."""

import os
import platform
import resource
from importlib.metadata import version

from flowtools import __version__
from flowtools.ack.receiver import AckSocket
from flowtools.doctor.examination import Doubt, Examination

FEW_FILES = 1024
"""Number of open files that a process should at least be allowed. Connections, pipes and job logs
need them."""


def examine_machine(examination: Examination) -> None:
    """Check what every pipeline needs on this machine."""
    examination.check("software", _software, "")
    examination.check(
        "ack socket",
        _ack_socket,
        "set XDG_RUNTIME_DIR to a directory of this user's own (systemd: RuntimeDirectory=),"
        " or make the temporary directory writable; needed for --ack worker",
    )
    examination.check("limits", _limits, "")


def _software() -> tuple[str, None]:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("click", "stomp.py", "httpx"))
    system = f"{platform.system()} {platform.release()}"
    return (
        f"flowtools {__version__}, Python {platform.python_version()}, {libraries}, {system}",
        None,
    )


def _ack_socket() -> tuple[str, None]:
    # The socket is really made: only then a missing permission or a path that is too long shows.
    inlet = AckSocket()
    try:
        return f"can be made below '{os.path.dirname(os.path.dirname(inlet.path))}'", None  # noqa: PTH120
    finally:
        inlet.close()


def _limits() -> tuple[str, None]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        raise Doubt(
            f"a process may have only {soft} open files",
            f"ulimit -n {FEW_FILES}, or LimitNOFILE={FEW_FILES} in the unit",
        )
    number = "any number of" if soft == resource.RLIM_INFINITY else soft
    return f"a process may have {number} open files", None
