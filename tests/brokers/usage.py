"""Resource usage of processes over time: memory, threads, descriptors; does it stay flat?"""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import median

COLUMNS = ("seconds", "command", "pid", "rss_mib", "threads", "fds")

SLACK = 1.10
"""The ratio of the last part of a run to an early part up to which usage counts as flat."""

SLACK_MIB = 2.0
"""An absolute increase that is always allowed: the granularity of the allocator."""

LONG_ENOUGH = 20
"""The minimum number of samples of a process for a verdict."""


class Usage:
    """Samples of processes, and the faults between them, kept as CSV.

    A row has the seconds since the start, the command's name, its process id, MiB of
    resident memory, threads and file descriptors; of a fault, its kind as the command and
    nothing else.
    """

    def __init__(self, path):
        """Begin the file at `path` anew."""
        self._file = Path(path).open("w", newline="")  # noqa: SIM115  closed by `close`
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)
        self._samples = defaultdict(list)

    def close(self):
        """Close the file."""
        self._file.close()

    def note(self, seconds, processes):
        """Sample each of `processes` (ids by name); those that have just ended are left out."""
        for name, pid in sorted(processes.items()):
            held = _held(pid)
            if held is not None:
                self._rows.writerow((f"{seconds:.0f}", name, pid, f"{held[0]:.1f}", *held[1:]))
                self._samples[name, pid].append(held)
        self._file.flush()

    def note_fault(self, seconds, kind):
        """Note a fault."""
        self._rows.writerow((f"{seconds:.0f}", kind, "", "", "", ""))

    def verdicts(self, names):
        """Return, for each process called one of `names` that lived long, a line and whether
        it was flat: its last tenth against its second.

        The first tenth is left out: there caches fill, and every thread starts once.
        """
        found = []
        for (name, pid), samples in self._samples.items():
            if name not in names or len(samples) < LONG_ENOUGH:
                continue
            tenth = len(samples) // 10
            early, late = samples[tenth : 2 * tenth], samples[-tenth:]
            memory, threads, files = (
                (median(row[i] for row in early), median(row[i] for row in late)) for i in range(3)
            )
            flat = (
                memory[1] <= max(memory[0] * SLACK, memory[0] + SLACK_MIB)
                and threads[1] <= threads[0] + 1
                and files[1] <= files[0] + 1
            )
            found.append(
                (
                    (
                        f"{name} ({pid}): {memory[0]:.1f} -> {memory[1]:.1f} MiB, "
                        f"{threads[0]:g} -> {threads[1]:g} threads, "
                        f"{files[0]:g} -> {files[1]:g} descriptors: {'flat' if flat else 'GROWS'}"
                    ),
                    flat,
                )
            )
        return found


def _held(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if "VmRSS" not in fields:
        return None
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"]), files
