"""flow-doctor: checks step by step everything that a source needs, and says what to fix.

A `visit` chooses the checks, and an `examination` makes them in order and sums them up. There are
checks of the `machine`, of the `network`, of a broker in `stomp` (and `sharing`, for a broker that
several servers share) and of `vizone`. `settings` has the defaults. `schema` prints the JSON Schema
of an event.
"""
