"""The foundation of everything else: the event, its line, and waiting.

Events: an `event` is one line of JSON by the rules of `cloudevents`; a `result` is an event made of
another one. `usual` decodes ordinary lines quickly; `digits` finds integers that JSON readers get
wrong; `encoding` writes Python values that JSON does not have. `shapes` describes the data of each
type, and `schema` makes JSON Schemas of it. A `key` is the value by which events are grouped. A
`kind` is the kind of a change: created, deleted.

Lines: `lines` reads and writes them on a file descriptor; `pipe` counts the bytes that wait in a
pipe; `toolong` keeps the beginning of a line beyond the limit, and `unfinished` marks a
line whose writer ended before the line was whole. An `outlet` takes a source's events.
`seen` remembers lines that have come before; a `spool` keeps lines until all are there. `text` cuts
long texts; `substitutes` replaces characters that a terminal's encoding lacks.

Everything else: `errors` has one class for each exit status; `log` is the logging of our own code.
`wait` waits for descriptors, for a wake-up from another thread, and for the request to stop.
`threads` starts our threads; `tracing` keeps a user's trace functions and forks out of our code.
`times` reads moments and durations; a `reminder` knows when to repeat a warning. `described` gives
objects a repr. `settings` has the defaults that several parts share, and passes the options of a
command to the objects that use them.
"""
