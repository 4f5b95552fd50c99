"""The Workers that flow-work runs in the benchmarks."""

import os
import sys
import threading
import time
from pathlib import Path


class Noop:
    """Does nothing; at the end it prints the time that all events together took."""

    def configure(self, config):
        self.began = time.perf_counter()

    def start(self, event):
        pass

    def clean_up(self):
        sys.stderr.write(f"inside {time.perf_counter() - self.began:.6f}\n")


class Sleep(Noop):
    """Waits 50 ms for each event, as for the answer of a server."""

    def start(self, event):
        time.sleep(0.05)


class Wait(Noop):
    """Waits 20 ms for each event."""

    def start(self, event):
        time.sleep(0.02)


class Latency(Noop):
    """Prints for each event the microseconds from its writing to its `start`."""

    def configure(self, config):
        self.seen = []

    def start(self, event):
        self.seen.append(time.monotonic_ns() - event["sent"])

    def clean_up(self):
        sys.stderr.write(" ".join(str(each // 1000) for each in self.seen) + "\n")


class Peak(Noop):
    """Prints the peak of the resident memory of this process, in KiB.

    The first event of each thread waits for those of the other threads. So every thread has run an
    event, and its stack is part of the figure, however few lines there are.
    """

    def configure(self, config):
        width = config.getint("pool", "threads", fallback=1)
        self.barrier = threading.Barrier(width)
        self.local = threading.local()

    def start(self, event):
        if not hasattr(self.local, "met"):
            self.local.met = True
            self.barrier.wait(30)

    def clean_up(self):
        peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
        sys.stderr.write(f"peak {peak}\n")


class Used(Noop):
    """Prints the CPU time of all events together, and the peak of resident memory in KiB."""

    def configure(self, config):
        self.began = time.process_time()

    def clean_up(self):
        used = time.process_time() - self.began
        peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
        sys.stderr.write(f"used {used:.6f} {peak}\n")


class Pid(Noop):
    """Returns the id of the process."""

    def start(self, event):
        return os.getpid()
