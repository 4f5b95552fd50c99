"""Compares --isolation process with threads, and with other ways to run code in processes.

`pip install .[peers]` installs the peers, and `apt-get install redis-server` Redis; contenders that
are not installed are left out.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.pool.measure import (
    Contender,
    flow_work,
    heading,
    interleaved,
    line,
    python,
    table,
    verdict,
    workspace,
    write_lines,
)

LINES, FEW = 100_000, 2_000
PROCESSES = ("--isolation", "process")


def contenders() -> list[Contender]:
    every = [
        Contender("**flow-work -j 16** (threads)", flow_work("Noop", "-j", 16), FEW),
        Contender(
            "**flow-work -j 16 --isolation process**",
            flow_work("Noop", "-j", 16, *PROCESSES),
            FEW,
        ),
        Contender("xargs -P 16 -n 1 true", ["xargs", "-P16", "-n1", "-d\n", "true"], FEW),
        Contender(
            "**flow-work -j 2 --isolation process**", flow_work("Noop", "-j", 2, *PROCESSES), LINES
        ),
        Contender(
            "ProcessPoolExecutor, 2 processes, chunks of 50",
            python("executor_processes", 2, 50),
            LINES,
        ),
        Contender(
            "ProcessPoolExecutor, 2 processes, no chunks", python("executor_processes", 2, 1), FEW
        ),
    ]
    if importlib.util.find_spec("pebble"):
        command = python("pebble_pool", "ProcessPool", 2)
        every.append(Contender("pebble.ProcessPool, 2 processes", command, FEW))
    if shutil.which("redis-server"):
        if importlib.util.find_spec("celery"):
            every.append(
                Contender("Celery prefork, 2, Redis", python("celery_worker", "prefork", 2, 0), FEW)
            )
        if importlib.util.find_spec("dramatiq"):
            command = python("dramatiq_worker", 2, 1, 0)
            every.append(Contender("Dramatiq, 2 processes, Redis", command, FEW))
    return every


def descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        said = subprocess.run(["pgrep", "-P", str(each)], capture_output=True, text=True).stdout
        found += map(int, said.split())
    return found


def pss(pid: int) -> float:
    """Return the proportional set size of a process, in MiB (proc(5), smaps_rollup).

    A page that several processes share counts in equal parts for each of them.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("\nPss:")[1].split()[0]) / 1024


class Running:
    """A running flow-work with the Worker Heavy; `ask` returns the id of the process used."""

    def __init__(self, *options: object) -> None:
        self.process = subprocess.Popen(
            ["flow-work", "benchmarks.pool.heavy_worker:Heavy", *map(str, options), *PROCESSES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.number = 0

    def ask(self) -> int:
        self.number += 1
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line(self.number))
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["data"]

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def memory(rounds: int) -> float:
    """Return the memory of `-j 16`, with a Worker that imports lxml and httpx, in MiB."""
    found = []
    for _ in range(rounds):
        running = Running("-j", 16)
        # flow-work itself, the template process, and one process for each of 16 threads.
        while len(descendants(running.process.pid)) < 18:
            time.sleep(0.01)
        for _ in range(64):
            running.ask()
        found.append(sum(pss(pid) for pid in descendants(running.process.pid)))
        running.end()
    return median(found)


def replacement(rounds: int) -> tuple[float, float]:
    """Return the seconds for a usual event, and for one whose process has just been killed."""
    usual, killed = [], []
    running = Running("-j", 1)
    pid = running.ask()
    for _ in range(20 * rounds):
        began = time.perf_counter()
        running.ask()
        usual.append(time.perf_counter() - began)
        os.kill(pid, signal.SIGKILL)
        began = time.perf_counter()
        # Until the process is a zombie: the next event must not reach it while it still dies.
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        pid = running.ask()
        killed.append(time.perf_counter() - began)
    running.end()
    return median(usual), median(killed)


def main() -> None:
    heading("Processes")
    rounds = int(sys.argv[1])
    every = contenders()
    with workspace() as directory:
        inputs = {n: write_lines(directory / str(n), n) for n in (LINES, FEW)}
        interleaved(every, inputs, rounds, dict)
        mebibytes = memory(rounds)
        usual, killed = replacement(rounds)
    ours = next(each for each in every if "-j 2 --iso" in each.name)
    assert ours.inside is not None
    rows = []
    for each in every:
        inside = each.inside
        ratio = f"{inside / ours.inside:.2f}" if inside is not None else ""
        shown = f"{inside:.1f}" if inside is not None else ""
        rows.append([each.name, f"{each.count:,}", shown, ratio, f"{each.whole:.1f}"])
    table(["", "lines", "µs inside", "ratio", "µs whole"], rows)
    threads, processes = every[0], every[1]
    verdict("-j 16, processes against threads, whole", processes.whole / threads.whole, 3)
    executor = next(each for each in every if "chunks of 50" in each.name)
    assert executor.inside is not None
    verdict("-j 2, against ProcessPoolExecutor, inside", ours.inside / executor.inside, 4)
    for name in ("pebble", "Celery", "Dramatiq"):
        for each in every:
            if each.name.startswith(name) and each.inside is not None:
                verdict(f"-j 2, against {name}, inside", ours.inside / each.inside, 0.2)
    verdict("memory of -j 16 with lxml and httpx (PSS)", mebibytes, 80, " MiB")
    verdict("a killed process, until its replacement has done an event", killed * 1e3, 50, " ms")
    print(f"- the same event if no process is killed: {usual * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
