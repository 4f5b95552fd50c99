"""STOMP 1.2 over a bare socket: fast, small, and independent of the tested code.

Frames are those of the STOMP 1.2 specification. No thread and no heart-beats: every call blocks.
"""

import socket

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}


class WireError(Exception):
    """The broker answered with an ERROR frame, or not with what was expected."""


class Wire:
    """One connection to a broker, logged in."""

    def __init__(
        self,
        port,
        *,
        host="127.0.0.1",
        login=None,
        passcode=None,
        vhost=None,
        context=None,
        timeout=30,
    ):
        """Connect to `port` of `host`, the loopback by default; `context` (ssl) makes it TLS.

        Raises:
            OSError: No connection, or no answer within `timeout` seconds.
            WireError: The broker refused.
        """
        self._socket = socket.create_connection((host, port), timeout)
        self._buffer = bytearray()
        try:
            if context is not None:
                self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            known = {"login": login, "passcode": passcode, "host": vhost or "localhost"}
            headers = {name: text for name, text in known.items() if text is not None}
            self.write("CONNECT", {"accept-version": "1.2", "heart-beat": "0,0"} | headers)
            self.expect("CONNECTED")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def write(self, command, headers, body=b""):
        """Send one frame."""
        self._socket.sendall(frame(command, headers, body))

    def read(self):
        """Return the next frame as (command, headers, body); heart-beats are skipped.

        Raises:
            OSError: The connection ended, or nothing came in time.
        """
        head = self._read_head()
        lines = head.decode().replace("\r\n", "\n").strip("\n").split("\n")
        headers = {}
        for line in lines[1:]:
            name, _, text = line.partition(":")
            headers.setdefault(_unescape(name), _unescape(text))
        return lines[0], headers, self._read_body(headers.get("content-length"))

    def expect(self, command, **wanted):
        """Return the next frame, which must be a `command` with these headers.

        Raises:
            WireError: The frame is a different one.
        """
        got, headers, body = self.read()
        named = {name.replace("_", "-"): text for name, text in wanted.items()}
        if got != command or any(headers.get(name) != text for name, text in named.items()):
            raise WireError(f"expected {command} {named}, got {got} {headers} {body[:200]!r}")
        return headers, body

    def publish(self, destination, bodies, *, window=500, **headers):
        """Send persistent messages; return how many, once the broker has confirmed each.

        Each asks for a receipt of its own: on RabbitMQ a receipt, or a committed
        transaction, says nothing of the messages sent before it. At most `window` are
        on their way unconfirmed.
        """
        fixed = {"destination": destination, "persistent": "true"} | headers
        waiting = set()
        out = []
        number = 0
        for number, body in enumerate(bodies, 1):
            out.append(frame("SEND", fixed | {"receipt": str(number)}, body))
            waiting.add(str(number))
            if len(out) >= window // 2:
                self._socket.sendall(b"".join(out))
                out.clear()
                self._confirm(waiting, window // 2)
        self._socket.sendall(b"".join(out))
        self._confirm(waiting, 0)
        return number

    def _confirm(self, waiting, most):
        while len(waiting) > most:
            waiting.discard(self.expect("RECEIPT")[0]["receipt-id"])

    def subscribe(self, destination, *, ack="auto", **headers):
        """Subscribe; return once the broker has confirmed it."""
        fixed = {"id": "0", "destination": destination, "ack": ack, "receipt": "subscribed"}
        self.write("SUBSCRIBE", fixed | headers)
        self.expect("RECEIPT", receipt_id="subscribed")

    def give_up_after(self, seconds):
        """Wait at most so long for each further answer."""
        self._socket.settimeout(seconds)

    def close(self):
        """Say good-bye and close."""
        with self._socket:
            self.write("DISCONNECT", {})

    def _read_head(self):
        while True:
            while self._buffer[:1] in (b"\n", b"\r"):
                del self._buffer[:1]
            for end in (b"\n\n", b"\r\n\r\n"):
                at = self._buffer.find(end)
                if at >= 0:
                    head = bytes(self._buffer[:at])
                    del self._buffer[: at + len(end)]
                    return head
            self._receive()

    def _read_body(self, length):
        while True:
            if length is not None:
                at = int(length) if len(self._buffer) > int(length) else -1
            else:
                at = self._buffer.find(b"\0")
            if at >= 0:
                body = bytes(self._buffer[:at])
                del self._buffer[: at + 1]
                return body
            self._receive()

    def _receive(self):
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        self._buffer += data


def frame(command, headers, body=b""):
    """Return one frame as bytes."""
    # CONNECT does not escape (STOMP 1.2, "Value Encoding").
    plain = command == "CONNECT"
    lines = [command]
    lines += (f"{n}:{t}" if plain else f"{_escape(n)}:{_escape(t)}" for n, t in headers.items())
    if body:
        lines.append(f"content-length:{len(body)}")
    return "\n".join(lines).encode() + b"\n\n" + body + b"\0"


def _escape(text):
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _unescape(text):
    if "\\" not in text:
        return text
    for letter, escaped in (("\n", "\\n"), ("\r", "\\r"), (":", "\\c"), ("\\", "\\\\")):
        text = text.replace(escaped, letter)
    return text
