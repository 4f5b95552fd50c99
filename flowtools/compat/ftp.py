"""FTP by its old names: FXP, ftp_write, connect."""

import ftplib
from typing import Any

from flowtools import ftp
from flowtools.core.described import Described
from flowtools.core.log import get_log

_log = get_log("flowtools.app")


class FXP(Described):
    """A transfer that two servers make between them."""

    def __init__(self, source: str, destination: str, debug: bool = False) -> None:
        """Prepare to let the server of `source` send to that of `destination`."""
        self._addresses = source, destination
        self._debug = debug

    def run(self) -> None:
        """Make the transfer.

        Raises:
            FlowError: As flowtools.ftp.transfer.
            ValueError: An address is none.
        """
        ftp.transfer(*self._addresses, progress=self._tell if self._debug else None)

    def quit(self) -> None:
        """Do nothing: `run` has closed its connections."""

    def _tell(self, per_cent: float) -> None:
        _log.debug("%.0f %% are transferred", per_cent)


def ftp_write(url: str, content: Any) -> None:
    """Write `content`, bytes or text, to the file at `url`; raises as flowtools.ftp.connect."""
    ftp.write(url, content.encode() if isinstance(content, str) else content)


def connect(url: str, debug: bool = False) -> tuple[ftplib.FTP, str]:
    """Log in at the server of `url`; return the connection, which is yours, and the path.

    Raises:
        FlowError: As flowtools.ftp.connect.
        ValueError: It is not an address.
    """
    return ftp.login(url)
