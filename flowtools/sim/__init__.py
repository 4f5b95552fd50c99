"""The stand-in: a program that behaves like a Viz One, for development and tests.

Start with `standin`, which builds a stand-in from a plan (`settings`). `serve` is what flow-sim
does with a stand-in, and `chain` runs the command that flow-sim was given.

State: the `catalogue` holds every `asset` and the `storages` with their files; `searching` finds
assets in it. `imports` fill a placeholder with media step by step, a `stream` makes repeatable
changes, and `later` is the thread for delayed actions. `vocabulary` has the types and exceptions
that all modules share, `people` the users, `guests` the limits on connections, host names and
sessions, and `faults` the simulated faults.

HTTP: `web` is the server, `asking` defines requests, replies and routes, and `resources` finds
the handler of a request. The handlers are in `asset_resources`, `file_resources`,
`media_resources`, `step_resources`, `plugin_resources`, `group_resources` and `other_resources`.
They build their documents with `documents`, `file_documents`, `form_documents` and
`transfer_documents`, and those use `xml`.

STOMP: `messages` decides what is published. `broker` is the server; each client has a
`connection` (two threads) with a `session` (the protocol) on it. `delivery` holds the queues,
topics and subscriptions, and `frames` reads and writes the bytes of frames. `outside` publishes
to a real broker instead of this one.
"""
