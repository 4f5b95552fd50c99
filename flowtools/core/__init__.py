"""What everything else is built on: the event, its line, and how to wait.

An `event` is one line of JSON by the rules of `cloudevents`, a `result` one that is made of
another; `usual` is a quick look at a line; `digits` finds integers that JSON readers get wrong,
and `encoding` gives a form to what JSON has not. `shapes` are what the data of each type holds, of
which a `schema` is made. `lines` reads and writes such lines on a file descriptor; of one that is
`toolong` the beginning is kept. An `outlet` is where a source puts its events. A `key` is the
value of an event by which others are grouped. A `kind` is what happened: created, deleted. The
`text` of others is bounded. `errors` has one class for each exit status, and `log` is how our own
code says something. `wait` waits for descriptors, for a wake-up from another thread, and for the
request to stop. `tracing` keeps a user's trace functions and forks out of our code. `times` reads
moments and lengths of time as people write them; a `reminder` knows when something is to be said
again. `seen` remembers what has come before; a `spool` keeps lines until they are all there. A
`described` object has a repr. `settings` has the defaults that several parts share, and brings the
options of a command to where they act.
"""
