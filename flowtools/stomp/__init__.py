"""STOMP: a connection that stays up, a subscription on it, and what is sent.

From the wire up: `frames` are what goes over it, `tcp` gets a socket there, `transport` is that
socket under stomp.py (the library, which is what `import stomp` gives here, too), `session` is
one login on it, and `broker` makes sessions, one after another, from a `url` and `settings`;
what one broker does otherwise than the next is in `dialect`.

In: a `subscription`, on certain `terms`. It makes events of frames (`message`), keeps those
not yet acknowledged (`window`), moves those that are refused to the dead letters (`refusals`),
lets them pass what a source puts in their way (`passage`), and writes them into a `pipe`, which
may be full.
Out: `send` is flow-send, `outgoing` the message that it makes of a line.
"""
