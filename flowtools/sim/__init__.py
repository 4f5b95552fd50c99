"""A stand-in Viz One for development and tests.

`standin` is the whole of it, `settings` what it is to do, `serve` what flow-sim does with that,
`chain` the command below.

What it knows: a `catalogue` of each `asset` and of the `storages` with their files, in which
`searching` finds; `imports` fill a placeholder and `stream` changes things, each step of it
done `later`. Its words are in `vocabulary`, its users are `people`, what it lets in `guests`,
its misdeeds `faults`.

HTTP: `web` is the server, `asking` a request and its answer, and `resources` all that is served:
`asset_resources`, `file_resources`, `media_resources`, `step_resources`, `plugin_resources`,
`group_resources`, `other_resources`.
They write with `documents`, `file_documents`, `form_documents` and `transfer_documents`, and
all of those with `xml`.

STOMP: `messages` says what is published. `broker` has for each client a `connection` (two
threads) with a `session` on it; `delivery` decides which message goes to whom, and `frames`
are what goes over the wire. A real broker in place of it is `outside`.
"""
