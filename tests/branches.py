"""make coverage: which branches the tests take, in all the processes that they start.

A plugin of coverage.py, and the report: the share of the branches of each package, and of all.
A process that is killed with SIGKILL cannot say what it has run; others have to run it, too.
"""

import os
import signal

NEEDED = 90
"""Per cent, of all branches."""


def coverage_init(registry, options):
    """Save what was run before a process ends itself by a signal, as our commands do."""
    from coverage import Coverage
    from coverage.collector import Collector

    # A time-out of the pool may interrupt a thread that holds this lock, and nobody would have it
    # again. What it guards is saved when the threads are gone.
    Collector.lock_data = Collector.unlock_data = lambda self: None

    kill = os.kill

    def save_and_kill(pid, signum):
        ends = pid == os.getpid() and signal.getsignal(signum) is signal.SIG_DFL
        if ends and (running := Coverage.current()):
            running.save()
        kill(pid, signum)

    os.kill = save_and_kill


def report(measured):
    """Print the figures of what coverage.py has measured; return whether they suffice."""
    from collections import Counter

    there, taken = Counter(), Counter()
    for name, file in measured["files"].items():
        for key in (f"{os.path.dirname(name)}/", "all"):  # noqa: PTH120  started with each process
            there[key] += file["summary"]["num_branches"]
            taken[key] += file["summary"]["covered_branches"]
    for key in sorted(there, key=lambda key: (key == "all", key)):
        if there[key]:
            share = 100 * taken[key] / there[key]
            print(f"{share:5.1f} %  of {there[key]:5} branches  {key}")
    return 100 * taken["all"] >= NEEDED * there["all"]


if __name__ == "__main__":
    import json
    import sys

    with open(sys.argv[1]) as file:  # noqa: PTH123
        sys.exit(not report(json.load(file)))
