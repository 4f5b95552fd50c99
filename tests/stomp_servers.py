"""STOMP servers inside the test process: CoilMQ, and one that follows a script."""

import contextlib
import queue
import socket
import threading

from coilmq.queue import QueueManager
from coilmq.server.socket_server import ThreadedStompServer
from coilmq.store.memory import MemoryQueue
from coilmq.topic import TopicManager

from flowtools.stomp.frames import FrameParser, encode_frame
from tests.running import SECONDS


class Coil:
    """A running CoilMQ."""

    def __init__(self):
        self.store = MemoryQueue()
        self.server = ThreadedStompServer(
            ("127.0.0.1", 0),
            queue_manager=QueueManager(self.store),
            topic_manager=TopicManager(),
            timeout=0.2,
        )
        self.server.daemon_threads = False
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, destination="/queue/a"):
        return f"stomp://127.0.0.1:{self.port}/?destination={destination}"

    def stop(self):
        self.server.shutdown()
        self._thread.join(SECONDS)
        self.server.server_close()


class Peer:
    """The server's end of one connection."""

    def __init__(self, connected):
        self.socket = connected
        self.socket.settimeout(SECONDS)
        self.parser = FrameParser()
        self.parser.version = "1.2"
        self.frames = []
        self.more = None
        self.messages = 0

    def read(self, command=None):
        """Return the next frame (with `command`: the next one of that command)."""
        while True:
            while not self.frames:
                data = self.socket.recv(65536)
                assert data, f"the client closed the connection before {command or 'a frame'}"
                self.frames = self.parser.feed(data)
            frame = self.frames.pop(0)
            if self._is_more(frame):
                self.more = frame
                self.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})
            elif command in (None, frame.command):
                return frame

    @staticmethod
    def _is_more(frame):
        """Whether it opens the window, which starts at one message (stomp/subscription.py)."""
        return frame.command == "SUBSCRIBE" and frame.headers["id"] == "flow-more"

    def ended(self):
        """Wait until the client closes the connection; return the frames received before."""
        found, self.frames = self.frames, []
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                found += self.parser.feed(data)
        return [frame for frame in found if not self._is_more(frame)]

    def write(self, command, headers=None, body=b"", version="1.2"):
        self.socket.sendall(encode_frame(command, headers or {}, body, version=version))

    def message(self, number, body=b"", **headers):
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        by = "flow-more" if self.messages else "flow"
        self.messages += 1
        self.write(
            "MESSAGE",
            {"message-id": f"m{number}", "subscription": by, "ack": f"a{number}"}
            | {"destination": "/queue/a", "content-length": str(len(body))}
            | given,
            body,
        )

    def login(self, version="1.2", server="RabbitMQ/3.10.8", **headers):
        """Answer CONNECT; return its frame."""
        connect = self.read("CONNECT")
        known = {"version": version, "server": server} if version else {}
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        self.parser.version = version or "1.0"
        self.write("CONNECTED", known | given)
        return connect

    def subscribed(self, **login):
        """Answer CONNECT and SUBSCRIBE; return the frame of the latter."""
        self.login(**login)
        frame = self.read("SUBSCRIBE")
        self.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})
        return frame

    def goodbye(self):
        """Answer DISCONNECT; return the frames received before it."""
        before = []
        while (frame := self.read()).command != "DISCONNECT":
            before.append(frame)
        self.write("RECEIPT", {"receipt-id": frame.headers["receipt"]})
        return before

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Script:
    """A listening socket whose connections are served by the test itself."""

    def __init__(self, context=None, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0))
        self.listener.settimeout(SECONDS)
        self.port = self.listener.getsockname()[1]
        self.context = context
        self.peers = []

    def url(self, destination="/queue/a"):
        scheme = "stomp+ssl" if self.context else "stomp"
        return f"{scheme}://127.0.0.1:{self.port}/?destination={destination}"

    def accept(self):
        connected, _ = self.listener.accept()
        if self.context is not None:
            connected.settimeout(SECONDS)
            connected = self.context.wrap_socket(connected, server_side=True)
        self.peers.append(Peer(connected))
        return self.peers[-1]

    def close(self):
        for peer in self.peers:
            peer.close()
        self.listener.close()


def lines_of(stream):
    """Yield the lines of a stream until its end, or until the ending test closes it."""
    with contextlib.suppress(ValueError):
        yield from stream


class Lines:
    """The lines of a stream, read by a thread as they arrive."""

    def __init__(self, stream):
        self._lines = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in lines_of(stream):
            self._lines.put(line)
        self._lines.put(None)

    def next(self, seconds=SECONDS):
        """Return the next line; None at the end."""
        return self._lines.get(timeout=seconds)

    def until(self, text, seconds=SECONDS):
        """Return the next line that holds `text`; each line comes within `seconds`."""
        while (line := self.next(seconds)) is not None:
            if text in line:
                return line
        raise AssertionError(f"no line holds {text!r}")
