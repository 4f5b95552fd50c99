"""flow-failed: look at events that failed for good, and replay or drop them.

A `record` is one failed event, read from a line of the failed file or from a message of a
dead-letter queue. A `selection` says which are wanted, `grouping` puts together those that
failed for the same reason, and `show` prints both. `file` takes events out of the failed file.
`joblog` sums up a job log. `work` does what the command line asks for.
"""
