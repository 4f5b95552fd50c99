"""FTP by its old names (FXP, ftp_write, connect), on top of flowtools.ftp."""

import ftplib
from typing import Any

from flowtools import ftp
from flowtools.core.described import Described
from flowtools.core.log import get_log

_log = get_log("flowtools.app")


class FXP(Described):
    """A transfer directly between two FTP servers (FXP)."""

    def __init__(self, source: str, destination: str, debug: bool = False) -> None:
        """Prepare a transfer from the FTP URL `source` to `destination`; `debug` logs progress."""
        self._addresses = source, destination
        self._debug = debug

    def run(self) -> None:
        """Carry out the transfer, and wait for its end.

        Raises:
            FlowError: As flowtools.ftp.transfer.
            ValueError: A URL is not an FTP URL.
        """
        ftp.transfer(*self._addresses, progress=self._tell if self._debug else None)

    def quit(self) -> None:
        """Do nothing: `run` has closed the connections. Old code calls this after it."""

    def _tell(self, per_cent: float) -> None:
        _log.debug("%.0f %% are transferred", per_cent)


def ftp_write(url: str, content: Any) -> None:
    """Write `content` (bytes or text) to the file at `url`; raises as flowtools.ftp.connect."""
    ftp.write(url, content.encode() if isinstance(content, str) else content)


def connect(url: str, debug: bool = False) -> tuple[ftplib.FTP, str]:
    """Log in to the server of `url`; return the connection and the path.

    The caller must close the connection. `debug` has no effect.

    Raises:
        FlowError: As flowtools.ftp.connect.
        ValueError: `url` is not an FTP URL.
    """
    return ftp.login(url)
