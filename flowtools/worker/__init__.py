"""What a user's Worker is, and how it is found, equipped and made.

    from flowtools.worker import Reject, Retry, Unavailable

`contract` says what a Worker is, and makes one. `exceptions` are the ones that it may raise.
`batch` holds the events of a Worker that takes several at once. `loading` imports the class,
`signature` checks that its methods can be called, `config` reads the settings, and `needs` supplies
what the class NEEDS: a client, a store. `description` turns an exception of the user's code into
one line of text.
"""

from flowtools.worker.batch import BatchWorker, Events
from flowtools.worker.contract import Worker
from flowtools.worker.exceptions import Reject, Retry, TimeLimit, Unavailable

__all__ = ["BatchWorker", "Events", "Reject", "Retry", "TimeLimit", "Unavailable", "Worker"]
