"""Measures the time in which a command prints its help, compared with Python that imports click."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.pool.measure import heading, table, verdict

INSTALLED = Path(sys.executable).parent
CONTENDERS = {
    "`python -c 'import click'`": [sys.executable, "-c", "import click"],
    "`python -c pass`": [sys.executable, "-c", "pass"],
    **{
        f"`{name} --help`": [str(INSTALLED / name), "--help"]
        for name in ("flow-work", "flow-interval", "flow-run", "flow-listen-assets")
    },
    "`bin/flow-work --help`, of a checkout": ["flow-work", "--help"],
}
BASE = next(iter(CONTENDERS))
WANTED = ("`flow-work --help`", "`flow-interval --help`")
RUNS = 4
"""Number of runs in each round, because each run is short."""


def main() -> None:
    heading("Start-up")
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(RUNS * int(sys.argv[1])):
        for name, command in CONTENDERS.items():
            began = perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            found[name].append(perf_counter() - began)
    base = median(found[BASE])
    rows = [
        [name, f"{median(each) * 1e3:.1f}", f"{min(each) * 1e3:.1f}", f"{median(each) / base:.2f}"]
        for name, each in found.items()
    ]
    table(["", "ms, median", "ms, best", "ratio"], rows)
    for name in WANTED:
        verdict(name, median(found[name]) / base, 1.6)


if __name__ == "__main__":
    main()
