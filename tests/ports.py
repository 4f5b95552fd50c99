"""Ports that no other process is given by chance.

A port that was free a moment ago may belong to somebody else by the time a command listens on it.
A socket that is bound but does not listen prevents this: the kernel gives its port neither to
those that ask for any port nor to outgoing connections. A server that names the port may listen
on it, since it sets SO_REUSEADDR as every server does. Until then, connections are refused.
"""

import socket
from contextlib import ExitStack, contextmanager


@contextmanager
def reserved_ports(number):
    """Give a list of `number` ports of 127.0.0.1 on which only the test listens."""
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(number)]
        for each in bound:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in bound]


@contextmanager
def reserved_port():
    """Give a port of 127.0.0.1 on which only the test listens."""
    with reserved_ports(1) as (port,):
        yield port
