"""Acknowledgement through a pipe: who finishes an event tells the source that wrote it.

`receiver` is the source's side, a socket whose address each line carries as `ackto`: `place` is
where that socket lies, `connection` one connection to it, `stall` the warning that nothing moves,
and `ages` knows how long the oldest event waits.
`sender` is the side of whoever finishes events. `records` has the form of what is said between
them; begin there. `relay` hands the duty to acknowledge on to the lines made of an event, and
`duties` keeps its count. `branches` is several readers of the
same lines. `ack`, `tee` and `jq` are the commands of these names.
"""
