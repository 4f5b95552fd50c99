"""An FTP server inside the test process: pyftpdlib."""

import contextlib
import socket
import threading
import warnings

from tests.running import SECONDS

with warnings.catch_warnings():
    # pyftpdlib uses asyncore, about whose removal in 3.12 Python 3.11 warns.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import DTPHandler, FTPHandler, ThrottledDTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import ThreadedFTPServer


class FtpServer:
    """Serves a folder.

    Attributes:
        folder: The folder (a Path).
        user, password: The only login; both need to be quoted in a URL.
        port: Its port.
    """

    user = "ftp user"
    password = "p@ss/word"

    def __init__(self, folder, bytes_a_second=None):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        logins = DummyAuthorizer()
        logins.add_user(self.user, self.password, str(folder), perm="elradfmwMT")
        if bytes_a_second:
            limits = {"read_limit": bytes_a_second, "write_limit": bytes_a_second}
            dtp = type("Slow", (ThrottledDTPHandler,), limits)
        else:
            dtp = DTPHandler
        given = {"authorizer": logins, "dtp_handler": dtp, "banner": "ready"}
        self._sessions = sessions = []
        handler = type(
            "Handler", (FTPHandler,), given | {"on_connect": lambda self: sessions.append(self)}
        )
        self._server = ThreadedFTPServer(("127.0.0.1", 0), handler, ioloop=IOLoop())
        self.port = self._server.address[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self):
        while not self._ending.is_set():
            self._server.serve_forever(timeout=0.1, blocking=False, handle_exit=False)

    def drop(self):
        """Break every connection, as when the server dies."""
        for session in self._sessions:
            for each in (session, getattr(session, "data_channel", None)):
                if each is not None and each.socket is not None:
                    with contextlib.suppress(OSError):
                        each.socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        # First the loop: it may not poll a descriptor that is closed meanwhile.
        self._ending.set()
        self._thread.join(SECONDS)
        self._server.close_all()
