"""flow-failed: look at events that failed for good, and replay or drop them.

A `record` is one failed event, read from a line of the failed file. A `selection` says which
are wanted, `grouping` puts together those that failed for the same reason, and `show` prints
them. `file` takes events out of the failed file, `replay` writes them again before it does so,
and `work` selects and drops.
"""
