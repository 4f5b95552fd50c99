"""flow-failed: look at events that failed permanently, and replay or drop them.

A `store` keeps failed events: the failed `file`, or a dead-letter `queue`. A `record` is one failed
event. A `selection` chooses events, `grouping` groups those that failed for the same reason, and
`show` prints them. `replay` writes events again and removes them from the store once they are done;
`work` drops them.
"""
