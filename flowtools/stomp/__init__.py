"""STOMP: a connection that stays up, a subscription on it, and what is sent.

From the `wire` up, which is a socket, plain or under TLS: `frames` are what goes over it, `tcp`
gets it connected, `transport` reads it in a thread of stomp.py's (the `library`), `session` is one
login on it, and `broker` makes sessions, one after another, from a `url` and `settings`;
what one broker does otherwise than the next is in `dialect`, and `contact` is what is said and
shown of all of it; `trace` shows frames to whoever debugs.

In: a `subscription`, on certain `terms`, gives messages, each with a number, and keeps them in a
`window` until `acknowledge(number)` or `refuse(number)` is called. What is refused is moved to
the dead letters (`deadletters`); `caution` knows how often a message was delivered in vain.
`message` makes events of messages, for the sources. A `look` shows what a queue holds, and takes
nothing off it but what is acknowledged.
Out: `send` is flow-send, `outgoing` the message that it makes of a line.
"""
