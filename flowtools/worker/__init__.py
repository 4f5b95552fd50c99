"""What a user's Worker is, and how it is found, equipped and made.

    from flowtools.worker import Reject, Retry, Unavailable

The `contract` says what a Worker is, and makes one, which may raise `exceptions`; `batch` is what
one gets that takes several events at once. `loading` imports its class, `signature` sees whether it
can be called as it will be, `config` reads its settings, and `needs` gives it what it NEEDS: a
client, a store. A `description` is what an exception of its code says, in one line.
"""

from flowtools.worker.batch import BatchWorker, Events
from flowtools.worker.contract import Worker
from flowtools.worker.exceptions import Reject, Retry, TimeLimit, Unavailable

__all__ = ["BatchWorker", "Events", "Reject", "Retry", "TimeLimit", "Unavailable", "Worker"]
