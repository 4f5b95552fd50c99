"""The parts that the two sources of Viz One share.

`monitor` runs both sources on top of `stomp`. `listening` holds their options, `entries` makes the
contents of their events, and `details` selects assets. `lookup` and `settling` are stages that hold
an event while Viz One is asked or a file grows; `passage` leads all events through them. For events
that were missed during an absence, `progress` knows how far the source has come, `state` keeps that
in a file and `stored` in Viz One, and `replay` reads the missed changes from a feed (`shown`)
through a `spool`. A `lease` decides which of several listeners works.
"""
