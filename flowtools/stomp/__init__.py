"""STOMP: a connection that is restored when it is lost, subscriptions, and sending.

From the bottom up: `wire` is a socket, plain or under TLS, and `tcp` connects it. `frames` encodes
and parses STOMP frames. `transport` reads the socket in a thread of stomp.py (`library`). `session`
is one login, and `broker` makes sessions, one after another, from a `url` and `settings`.
`dialect` holds the differences between brokers. `contact` logs and shows the state of the
connection; `trace` shows frames for debugging. `saying` reads the text of a broker's ERROR.

In: a `subscription` with its `terms` delivers messages, each with a number, and keeps them in a
`window` until `acknowledge(number)` or `reject(number)` is called. `deadletters` moves rejected
messages to the dead-letter destination; `caution` counts unsuccessful deliveries, and
`giveback` returns messages without one.
`message` turns messages into events, for the sources. `look` shows what a queue holds, and removes
only messages that are acknowledged.
Out: `send` does the work of flow-send, and `outgoing` makes the message for a line.
"""
