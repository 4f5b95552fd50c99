"""Acknowledgement through a pipe: the process that finishes an event tells the event's source.

`records` defines the protocol between the two sides; begin there.
`receiver` is the source's side, a socket whose address each line carries as `ackto`. `place` is the
directory of that socket, `connection` one connection to it, `stall` the warning that nothing moves,
and `ages` measures how long the oldest event has waited.
`sender` is the side of the process that finishes events. `relay` passes the duty to acknowledge an
event on to the lines made of it, and `duties` counts these lines. `branches` writes the same lines
to several readers, and `parting` says how long to wait for acknowledgements once a reader has gone.
`ack`, `tee` and `jq` do the work of flow-ack, flow-tee and flow-jq.
"""
