"""make coverage: measure which branches the tests take, in all processes that they start.

A plugin of coverage.py, and the report: the share of the branches of each package, and of all.
A process killed with SIGKILL cannot report its coverage; other tests have to run that code, too.
"""

import os
import signal

NEEDED = 90
"""Percentage of all branches that must be covered."""


def coverage_init(registry, options):
    """Save the measurement before a process ends itself by a signal, as our commands do."""
    from coverage import Coverage
    from coverage.collector import Collector

    # A time-out of the pool may interrupt a thread that holds this lock, which would stay locked.
    # The data that it guards is saved when the threads have ended.
    Collector.lock_data = Collector.unlock_data = lambda self: None

    kill = os.kill

    def save_and_kill(pid, signum):
        ends = pid == os.getpid() and signal.getsignal(signum) is signal.SIG_DFL
        if ends and (running := Coverage.current()):
            running.save()
        kill(pid, signum)

    os.kill = save_and_kill


def report(measured):
    """Print the coverage that coverage.py has measured; return whether it suffices."""
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
