"""flow-doctor: tries, one step after another, all that a source needs, and says what to fix.

A `visit` chooses the checks, an `examination` does them in order and says what they amount
to; they are those of the `machine`, of the `network`, of `stomp` (and `sharing`, for a
broker with several servers behind it) and of `vizone`. `settings` has the defaults; a
`schema` says what an event holds.
"""
