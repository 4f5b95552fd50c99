"""What a pool is busy with at one moment: what the display and the metrics show."""

from typing import NamedTuple


class Snapshot(NamedTuple):
    """The state of a pool.

    Attributes:
        running: What runs, as the event's subject or id and for how many seconds.
        queued: Events that have been read and wait, for a thread, their key or a retry.
        threads: The pool's width.
        abandoned: Threads that are stuck in the Worker and have been replaced.
    """

    running: list[tuple[str, float]]
    queued: int
    threads: int
    abandoned: int
