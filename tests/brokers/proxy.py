"""A TCP proxy between a client and a broker, for a test to cut, stall and count.

It cuts a connection without touching the broker. One thread, started by `__enter__` and
joined by `__exit__`, owns every socket; the public methods may be called from any other
thread and return once that one has done what they say.
"""

import contextlib
import os
import queue
import selectors
import socket
import struct
from threading import Event, Thread

from tests.brokers.server import free_ports

CHUNK = 65536
_LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: close() sends RST instead of FIN (socket(7))."""


class Proxy:
    """Forwards connections to `proxy.port` to a port of the loopback.

    Attributes:
        port: Where to connect.
        accepted: How many connections have been accepted so far.
        passed: How many bytes have been forwarded, in both directions together.
    """

    def __init__(self, target):
        """Prepare a proxy to port `target`."""
        self._target = target
        self._ends = {}
        self._selector = selectors.DefaultSelector()
        self._stalled = False
        self._refusing = False
        self._ending = False
        self._orders = queue.SimpleQueue()
        self.accepted = 0
        self.passed = 0
        self._listener = _listen()
        self.port = self._listener.getsockname()[1]
        self._wake_in, self._wake_out = os.pipe()
        self._thread = Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.cut()
        self._order(lambda: setattr(self, "_ending", True))
        self._thread.join()
        self._listener.close()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    @property
    def open(self):
        """How many connections are being forwarded at the moment."""
        return self._order(lambda: len(self._ends)) // 2

    def cut(self, *, reset=True):
        """Cut every connection on both sides, with RST or with FIN; return how many."""
        return self._order(lambda: self._cut(reset))

    def stall(self):
        """Forward no byte and accept no connection until `resume`; open connections stay."""
        self._order(lambda: self._stall(True))

    def resume(self):
        """Forward bytes again."""
        self._order(lambda: self._stall(False))

    def refuse(self):
        """Cut each new connection immediately, until `accept`."""
        self._order(lambda: setattr(self, "_refusing", True))

    def accept(self):
        """Accept connections again."""
        self._order(lambda: setattr(self, "_refusing", False))

    def _order(self, what):
        """Have the proxy's thread call `what`; return its result."""
        done, result = Event(), []
        self._orders.put((what, done, result))
        os.write(self._wake_out, b".")
        if not done.wait(30):
            raise TimeoutError("the proxy's thread does not answer")
        return result[0]

    # Everything below runs in the proxy's thread.

    def _run(self):
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        while not self._ending:
            for key, events in self._selector.select():
                if key.fileobj == self._wake_in:
                    os.read(self._wake_in, 1)
                    what, done, result = self._orders.get()
                    result.append(what())
                    done.set()
                elif key.fileobj is self._listener:
                    self._take()
                elif key.fileobj in self._ends:  # It may have been cut a moment ago.
                    self._serve(key.fileobj, events)

    def _take(self):
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            if self._refusing:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target), 10)
        except OSError:
            _shut(client, reset=True)
            return
        for end, other in ((client, server), (server, client)):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end] = (other, bytearray())
        self._watch(client)
        self._watch(server)

    def _serve(self, end, events):
        other, unsent = self._ends[end]
        try:
            if events & selectors.EVENT_READ and not self._receive(end, other):
                self._drop(end, other, reset=False)
                return
            if unsent:
                sent = end.send(unsent)
                del unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(end, other, reset=True)
            return
        self._watch(end)
        self._watch(other)

    def _receive(self, end, other):
        data = end.recv(CHUNK)
        self._ends[other][1].extend(data)
        self.passed += len(data)
        return bool(data)

    def _watch(self, end):
        """Watch `end`: read when its data has been forwarded, write when data waits for it."""
        other, unsent = self._ends[end]
        events = 0
        if not self._stalled:
            if not self._ends[other][1]:
                events |= selectors.EVENT_READ
            if unsent:
                events |= selectors.EVENT_WRITE
        self._set(end, events)

    def _set(self, end, events):
        known = end in self._selector.get_map()
        if events and known:
            self._selector.modify(end, events)
        elif events:
            self._selector.register(end, events)
        elif known:
            self._selector.unregister(end)

    def _stall(self, stalled):
        self._stalled = stalled
        self._set(self._listener, 0 if stalled else selectors.EVENT_READ)
        for end in self._ends:
            self._watch(end)

    def _cut(self, reset):
        ends = list(self._ends)
        self._drop(*ends, reset=reset)
        return len(ends) // 2

    def _drop(self, *ends, reset):
        for end in ends:
            del self._ends[end]
            self._set(end, 0)
            _shut(end, reset=reset)


def _listen():
    while True:
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", free_ports(1)[0]), backlog=128)


def _shut(end, *, reset):
    with contextlib.suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        else:
            end.shutdown(socket.SHUT_RDWR)
    end.close()
