"""Measures the time from writing a single line to `start`, and the cost of an idle pool."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.pool.measure import flow_work, heading, line, table, verdict, workspace

LINES, GAP = 1000, 0.002
IDLE = 3.0


def latencies(*options: object) -> list[float]:
    """Write lines GAP seconds apart; return the microseconds from each to its `start`, sorted."""
    process = subprocess.Popen(
        flow_work("Latency", *options), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    event = json.loads(line(1))
    for number in range(LINES):
        event["data"]["sent"] = time.monotonic_ns()
        process.stdin.write(json.dumps(event).encode() + b"\n")
        process.stdin.flush()
        # The first lines wait for the process to start; they are not counted.
        time.sleep(1.0 if number == 0 else GAP)
    _, said = process.communicate()
    return sorted(map(float, said.split()[1:]))


def idle_cpu(*options: object) -> tuple[float, int]:
    """Return the CPU seconds and the wake-ups of a pool that waits IDLE seconds for input."""
    process = subprocess.Popen(
        flow_work("Pid", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line(1))
    process.stdin.flush()
    process.stdout.readline()
    time.sleep(0.5)
    before = _used(process.pid)
    time.sleep(IDLE)
    after = _used(process.pid)
    process.communicate()
    return after[0] - before[0], after[1] - before[1]


def _used(pid: int) -> tuple[float, int]:
    cpu, switches = 0.0, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        run, _, slices = (task / "schedstat").read_text().split()
        cpu += int(run) / 1e9
        switches += int(slices)
    return cpu, switches


def main() -> None:
    heading("A line that trickles in, and none")
    rows, medians = [], []
    rounds = int(sys.argv[1])
    variants: list[tuple[object, ...]] = [(), ("-j", 16), ("-j", 16, "--key", "subject")]
    with workspace():
        measured: dict[tuple[object, ...], list[list[float]]] = {each: [] for each in variants}
        for _ in range(rounds):
            for each in variants:
                measured[each].append(latencies(*each))
        for each, runs in measured.items():
            cpu, switches = idle_cpu(*each)
            middle = median(run[len(run) // 2] for run in runs)
            high = median(run[int(len(run) * 0.95)] for run in runs)
            worst = max(run[-1] for run in runs)
            name = " ".join(["flow-work", *map(str, each)])
            medians.append((name, middle))
            times = [f"{each:.0f}" for each in (middle, high, worst)]
            rows.append([name, *times, f"{cpu / IDLE * 1e3:.2f}", f"{switches / IDLE:.1f}"])
    table(["", "median µs", "95 % µs", "worst µs", "idle: CPU ms/s", "wake-ups/s"], rows)
    for name, middle in medians:
        verdict(f"{name}, median", middle / 1000, 1, " ms")


if __name__ == "__main__":
    main()
