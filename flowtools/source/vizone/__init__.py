"""What only the two sources of Viz One share.

`monitor` is their `run`, by way of `stomp`; `listening` are their options and `entries` what
their events say; `details` says which assets. `lookup` and `settling` keep an event while
something is asked or awaited; `passage` leads all events past them. Over an absence,
`progress` knows how far it has come, `state` keeps that in a file and `stored` in Viz One, and
`replay` reads the rest from what a feed has `shown`, by a `spool`. A `lease` says which of several
listeners works.
"""
