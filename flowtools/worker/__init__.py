"""What a user's Worker is, and how it is found, equipped and made.

    from flowtools.worker import Reject, Retry

The `contract` has what a Worker may raise, and makes one; `loading` imports its class,
`config` reads its settings, and `needs` gives it what it NEEDS: a client, a store.
"""

from flowtools.worker.contract import Reject, Retry, TimeLimit, Worker

__all__ = ["Reject", "Retry", "TimeLimit", "Worker"]
