"""STOMP: a connection that stays up, a subscription on it, and what is sent.

From the wire up: `frames` are what goes over it, `tcp` gets a socket there, `transport` is that
socket under stomp.py (the library, which is what `import stomp` gives here, too), `session` is
one login on it, and `broker` makes sessions, one after another, from a `url` and `settings`;
what one broker does otherwise than the next is in `dialect`.

In: a `subscription`, on certain `terms`, gives messages, each with a number, and keeps them in a
`window` until `acknowledge(number)` or `refuse(number)` is called; what is refused is moved to the
dead letters (`deadletters`). `message` makes events of messages, for the sources.
Out: `send` is flow-send, `outgoing` the message that it makes of a line.
"""
