"""Acknowledgement through a pipe: who finishes an event tells the source that wrote it.

`receiver` is the source's side, a datagram socket whose address each line carries as `ackto`;
`sender` is the side of who finishes the event; `ack` is flow-ack, which does nothing else.
"""
