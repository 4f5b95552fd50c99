"""A thread that does one job after another, so that the source's thread goes on looking meanwhile.

Comparing a checksum and moving a file to another disk take minutes for a file of a hundred
gigabytes. The source's thread puts jobs in and fetches their results; the descriptor is readable
while there are some. The queue needs no limit of its own: its users put in at most one job for each
file that has arrived, or for each event in flight.

A job must not raise. If it does, that is a bug of ours: without its result the file would wait for
ever. So the exception ends the thread, and `fetch` raises it in the source's thread, which ends the
command with a message; the file is reported again at the next start.
"""

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Generic, TypeVar

from flowtools.core.threads import start_thread
from flowtools.core.wait import Wake

Job = TypeVar("Job")
Result = TypeVar("Result")


class Background(Generic[Job, Result]):
    """A thread that calls a function for one job after another. One thread calls the methods.

    Its file descriptor is readable when there are results to fetch.
    """

    def __init__(self, name: str, work: Callable[[Job], Result], *, finishes: bool) -> None:
        """Start the thread; a subclass calls this when it is ready for the first job.

        Args:
            name: The name of the thread.
            work: Called with each job; what it returns is the result.
            finishes: Whether `close` waits for all jobs, and not only for the present one.
        """
        self._work = work
        self._finishes = finishes
        self._jobs: deque[Job] = deque()
        self._results: deque[Result] = deque()
        self._failure: BaseException | None = None
        self._change = Condition()
        self._is_ending = False
        self._wake = Wake()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        start_thread(self._thread)

    @property
    def is_ending(self) -> bool:
        """Whether `close` has been called: a long job may want to end early."""
        return self._is_ending

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is a result to fetch."""
        return self._wake.fileno()

    def put(self, job: Job) -> None:
        """Do this job when its turn comes."""
        with self._change:
            self._jobs.append(job)
            self._change.notify()

    def fetch(self) -> list[Result]:
        """Return the results since the last call, in the order of the jobs.

        Raises:
            Exception: A job has raised it. Raised once, after the results of earlier jobs.
        """
        # Cleared first: a result that comes after this makes the descriptor readable again.
        self._wake.clear()
        with self._change:
            found = list(self._results)
            self._results.clear()
            failure = self._failure
        if failure is None:
            return found
        if found:
            self._wake.ring()
            return found
        self._failure = None
        raise failure

    def close(self) -> None:
        """End the thread after the present job, or after all jobs; results can still be fetched."""
        with self._change:
            if not self._finishes:
                self._jobs.clear()
            self._is_ending = True
            self._change.notify()
        self._thread.join()

    def release(self) -> None:
        """Release the descriptor, after `close`; `fetch` must not be called after this."""
        self._wake.close()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._jobs or self._is_ending)
                if not self._jobs:
                    return
                job = self._jobs.popleft()
            try:
                result = self._work(job)
            except BaseException as error:  # noqa: BLE001  it is raised in the source's thread
                with self._change:
                    self._failure = error
                self._wake.ring()
                return
            with self._change:
                self._results.append(result)
            self._wake.ring()
