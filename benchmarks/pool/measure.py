"""Shared by the benchmarks: input lines, timed runs in turn, and tables of medians.

Each run gives two times. `whole` is the time from the start of the process to its end, including
the start-up of Python. `inside` is measured by the process itself, from before its first line to
after its last event; it prints "inside SECONDS" as its last line on stderr.

The contenders run in turn, round after round, so that a disturbance of the machine hits all of
them. A figure is a median over the rounds. Compare only ratios within one run: times of different
runs or machines differ too much.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

HERE = Path(__file__).resolve().parent
LINE_SIZE = 200


def line(number: int, subjects: int = 1000) -> bytes:
    """Return an event line of LINE_SIZE bytes."""
    event = {
        "specversion": "1.0",
        "id": f"id-{number:09d}",
        "source": "benchmark",
        "type": "flow.stdin.line",
        "subject": f"asset-{number % subjects:04d}",
        "time": "2026-01-01T00:00:00.000Z",
        "data": {"n": number, "text": ""},
    }
    short = LINE_SIZE - 1 - len(json.dumps(event, separators=(",", ":")))
    event["data"]["text"] = "x" * short
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


@contextmanager
def workspace() -> Iterator[Path]:
    """Yield a temporary directory, which is the current directory while the block runs."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def write_lines(path: Path, count: int, subjects: int = 1000) -> Path:
    """Write `count` event lines with `subjects` different subjects to `path`; return `path`."""
    with path.open("wb") as file:
        for number in range(count):
            file.write(line(number, subjects))
    return path


@dataclass
class Contender:
    """One way to run code over lines.

    Attributes:
        name: The name in the table.
        command: The command, which reads the lines from stdin.
        count: Number of lines that it gets.
        wholes: Duration of each run, in seconds.
        insides: Duration of each run as the process measured it, in seconds.
    """

    name: str
    command: list[str]
    count: int
    wholes: list[float] = field(default_factory=list)
    insides: list[float] = field(default_factory=list)

    @property
    def whole(self) -> float:
        """Median of `wholes`, in microseconds per line."""
        return median(self.wholes) / self.count * 1e6

    @property
    def inside(self) -> float | None:
        """Median of `insides`, in microseconds per line; None if the contender prints none."""
        return median(self.insides) / self.count * 1e6 if self.insides else None

    def run(self, stdin: Path, before: Callable[[], None]) -> None:
        """Call `before`, run the command once, and add its times."""
        before()
        with stdin.open("rb") as lines:
            began = perf_counter()
            ended = subprocess.run(
                self.command,
                stdin=lines,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONUNBUFFERED": ""},
            )
            self.wholes.append(perf_counter() - began)
        if ended.returncode:
            sys.exit(f"{self.name}: exit status {ended.returncode}\n{ended.stderr}")
        said = ended.stderr.split()
        if said[-2:-1] == ["inside"]:
            self.insides.append(float(said[-1]))


def interleaved(
    contenders: list[Contender], inputs: dict[int, Path], rounds: int, before: Callable[[], None]
) -> None:
    """Run all contenders in turn, `rounds` times, so that a disturbance hits all of them."""
    for _ in range(rounds):
        for contender in contenders:
            contender.run(inputs[contender.count], before)


def python(script: str, *arguments: object) -> list[str]:
    """Return the command that runs one of the contenders' scripts."""
    path = HERE / "contenders" / f"{script}.py"
    return [sys.executable, str(path), *map(str, arguments)]


def flow_work(worker: str, *options: object) -> list[str]:
    """Return the command that runs flow-work with a Worker of workers.py."""
    return ["flow-work", f"benchmarks.pool.workers:{worker}", *map(str, options)]


def heading(title: str) -> None:
    """Print a title, and the machine on which the figures below it were measured."""
    system = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}"
    load = os.getloadavg()[0]
    print(f"\n## {title}\n\n{system}, load {load:.1f} at the start.\n", flush=True)


def table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    for row in (columns, ["---"] + ["---:"] * (len(columns) - 1), *rows):
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def verdict(what: str, value: float, limit: float, unit: str = "") -> None:
    """Print whether `value` is within `limit`."""
    word = "reached" if value <= limit else "MISSED"
    print(f"- {what}: {value:.3g}{unit}, wanted at most {limit:g}{unit}: {word}", flush=True)
