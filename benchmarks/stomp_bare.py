"""What flowtools is compared with: consumers and producers on bare stomp.py, or a bare socket.

    stomp_bare.py consume PORT VHOST DESTINATION NUMBER auto|individual [HEADER=VALUE ...]
    stomp_bare.py socket  PORT VHOST DESTINATION NUMBER auto|individual [HEADER=VALUE ...]
    stomp_bare.py produce PORT VHOST DESTINATION NUMBER WINDOW
    stomp_bare.py drain   PORT VHOST DESTINATION NUMBER CA-FILE [HEADER=VALUE ...]
    stomp_bare.py push    PORT VHOST DESTINATION NUMBER CA-FILE WINDOW

`drain` and `push` do the least that a program can do, over TLS unless CA-FILE is `-`: a loop that
calls `recv` and counts NULs, and a loop that sends. What TLS costs there is the cost of OpenSSL and
of the broker.

Each prints the seconds from its first message to its last one. With `individual`, and for
producers, the time ends when the broker has confirmed the last message.
"""

import socket as sockets
import ssl
import sys
from threading import Event
from time import perf_counter

import stomp

BODY = "x" * 1024


class Consumer(stomp.ConnectionListener):
    """Counts messages down to zero, and acknowledges each one if `individual` is true."""

    def __init__(self, connection, number, individual):
        self.connection = connection
        self.left = number
        self.individual = individual
        self.first = 0.0
        self.last = 0.0
        self.done = Event()
        self.confirmed = Event()

    def on_message(self, frame):
        if not self.first:
            self.first = perf_counter()
        if self.individual:
            self.connection.ack(frame.headers["ack"])
        self.left -= 1
        if not self.left:
            self.last = perf_counter()
            self.done.set()

    def on_receipt(self, frame):
        self.last = perf_counter()
        self.confirmed.set()


class Confirmed(stomp.ConnectionListener):
    """Notes the receipts that end each half of the window."""

    def __init__(self):
        self.waiting = {}

    def on_receipt(self, frame):
        self.waiting[frame.headers["receipt-id"]].set()


def connected(port, vhost):
    return stomp.Connection12([("127.0.0.1", port)], vhost=vhost, heartbeats=(0, 0))


def consume(port, vhost, destination, number, mode, *headers):
    connection = connected(port, vhost)
    individual = mode == "individual"
    listener = Consumer(connection, number, individual)
    connection.set_listener("", listener)
    connection.connect("guest", "guest", wait=True)
    ack = "client-individual" if individual else "auto"
    connection.subscribe(destination, id="0", ack=ack, headers=dict(h.split("=") for h in headers))
    listener.done.wait()
    if individual:
        # The broker handles frames in order: with this receipt it has every ACK.
        connection.unsubscribe(id="0", headers={"receipt": "all"})
        listener.confirmed.wait()
    print(listener.last - listener.first)
    connection.disconnect()


def produce(port, vhost, destination, number, window):
    connection = connected(port, vhost)
    listener = Confirmed()
    connection.set_listener("", listener)
    connection.connect("guest", "guest", wait=True)
    # Up to two halves of the window are on their way. The last message of each asks for a receipt.
    half = int(window) // 2
    underway = []
    first = perf_counter()
    for index in range(1, number + 1):
        headers = {"persistent": "true"}
        if index % half == 0 or index == number:
            headers["receipt"] = str(index)
            underway.append(listener.waiting.setdefault(str(index), Event()))
        connection.send(destination, BODY, content_type="text/plain", headers=headers)
        if len(underway) > 1 or (underway and index == number):
            underway.pop(0).wait()
    for event in underway:
        event.wait()
    print(perf_counter() - first)
    connection.disconnect()


def socket(port, vhost, destination, number, mode, *headers):
    from tests.brokers.wire import Wire

    with Wire(port, login="guest", passcode="guest", vhost=vhost) as wire:
        ack = "client-individual" if mode == "individual" else "auto"
        wire.subscribe(destination, ack=ack, **dict(h.split("=") for h in headers))
        first = 0.0
        for _ in range(number):
            message, _body = wire.expect("MESSAGE")
            first = first or perf_counter()
            if mode == "individual":
                wire.write("ACK", {"id": message["ack"]})
        if mode == "individual":
            wire.write("UNSUBSCRIBE", {"id": "0", "receipt": "all"})
            while wire.read()[0] != "RECEIPT":
                pass
        print(perf_counter() - first)


class Loop:
    """A connection that only counts frames, by their NULs: the bodies here contain none."""

    def __init__(self, port, vhost, ca_file):
        self.ahead = 0
        self.socket = sockets.create_connection(("127.0.0.1", int(port)), 60)
        self.socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        if ca_file != "-":
            context = ssl.create_default_context(cafile=ca_file)
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.send(
            f"CONNECT\naccept-version:1.2\nhost:{vhost or '/'}\nlogin:guest\npasscode:guest\n\n\0"
        )
        self.count(1)

    def send(self, text):
        self.socket.sendall(text.encode())

    def count(self, frames):
        """Read until `frames` frames have come; return the time at which the first bytes came."""
        first = 0.0
        while self.ahead < frames:
            data = self.socket.recv(262144)
            first = first or perf_counter()
            assert data, "the broker has closed the connection"
            self.ahead += data.count(b"\0")
        self.ahead -= frames
        return first


def drain(port, vhost, destination, number, ca_file, *headers):
    loop = Loop(port, vhost, ca_file)
    more = "".join(f"{h.replace('=', ':', 1)}\n" for h in headers)
    loop.send(f"SUBSCRIBE\nid:0\nack:auto\ndestination:{destination}\n{more}\n\0")
    first = loop.count(number)
    print(perf_counter() - first)


def push(port, vhost, destination, number, ca_file, window):
    loop = Loop(port, vhost, ca_file)
    half = int(window) // 2
    head = f"SEND\ndestination:{destination}\npersistent:true\ncontent-type:text/plain\n"
    first = perf_counter()
    underway = 0
    for begin in range(0, number, half):
        size = min(half, number - begin)
        frames = f"{head}\n{BODY}\0" * (size - 1) + f"{head}receipt:{begin}\n\n{BODY}\0"
        loop.send(frames)
        underway += 1
        if underway > 1:
            loop.count(1)
            underway -= 1
    loop.count(underway)
    print(perf_counter() - first)


if __name__ == "__main__":
    what, port, vhost, destination, number, *rest = sys.argv[1:]
    turns = {"consume": consume, "produce": produce, "socket": socket, "drain": drain, "push": push}
    turns[what](int(port), vhost or None, destination, int(number), *rest)
