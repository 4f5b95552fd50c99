"""Python's cycle collector, for a process that makes many objects and hardly a cycle."""

import gc


def spare_the_collector() -> None:
    """Let Python's cycle collector look less often, and not at what is loaded by now.

    Best called when the modules are loaded and nothing of a user's is: what that leaves
    behind is collected as ever.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
