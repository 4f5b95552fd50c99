"""Compares flow-work with task queues and shell tools: events that do nothing, and that wait.

Each runs sixteen events at a time. `pip install .[peers]` installs the task queues, and `apt-get
install redis-server` Redis; contenders that are not installed are left out.
"""

import importlib.util
import shutil
import sys

from benchmarks.pool.measure import (
    Contender,
    flow_work,
    heading,
    interleaved,
    python,
    table,
    workspace,
    write_lines,
)

WIDTH, NOOPS, WAITS, SECONDS = 16, 2_000, 500, 0.02
PROCESSES = ("--isolation", "process")


def ours(worker: str, count: int) -> list[Contender]:
    return [
        Contender("**flow-work -j 16**", flow_work(worker, "-j", WIDTH), count),
        Contender(
            "**flow-work -j 16 --isolation process**",
            flow_work(worker, "-j", WIDTH, *PROCESSES),
            count,
        ),
    ]


def queues(seconds: float, count: int) -> list[Contender]:
    every = {
        "Dramatiq, 16 threads": ("dramatiq", python("dramatiq_worker", 1, WIDTH, seconds)),
        "Celery, 16 threads": ("celery", python("celery_worker", "threads", WIDTH, seconds)),
        "Celery prefork, 16": ("celery", python("celery_worker", "prefork", WIDTH, seconds)),
        "Huey, 16 threads": ("huey", python("huey_worker", "thread", WIDTH, seconds)),
    }
    return [
        Contender(f"{name}, Redis", command, count)
        for name, (module, command) in every.items()
        if shutil.which("redis-server") and importlib.util.find_spec(module)
    ]


def tools(program: str, count: int) -> list[Contender]:
    # Both tools append the line to the command. For parallel a # makes it a comment of the shell.
    # For xargs `sh -c` keeps it from becoming an argument of the program.
    alone = ["true"] if program == "true" else ["sh", "-c", f"exec {program}"]
    every = {
        f"xargs -P 16 -n 1 {program}": ["xargs", f"-P{WIDTH}", "-n1", "-d\n", *alone],
        f"parallel -j 16 {program}": ["parallel", f"-j{WIDTH}", "-n1", f"{program} #"],
    }
    return [
        Contender(name, command, count)
        for name, command in every.items()
        if shutil.which(command[0])
    ]


def main() -> None:
    rounds = int(sys.argv[1])
    for title, worker, seconds, count, program in (
        ("2,000 events that do nothing, 16 at a time", "Noop", 0.0, NOOPS, "true"),
        ("500 events that wait 20 ms, 16 at a time", "Wait", SECONDS, WAITS, f"sleep {SECONDS}"),
    ):
        heading(title)
        every = ours(worker, count) + queues(seconds, count) + tools(program, count)
        with workspace() as directory:
            interleaved(every, {count: write_lines(directory / "lines", count)}, rounds, dict)
        first = every[0]
        rows = []
        for each in every:
            inside = f"{each.inside * count / 1e3:.0f}" if each.inside is not None else ""
            whole = f"{each.whole * count / 1e3:.0f}"
            rows.append([each.name, inside, whole, f"{each.whole / first.whole:.1f}"])
        table(["", "ms inside", "ms whole", "ratio"], rows)
        if seconds:
            print(f"The ideal is {-(-count // WIDTH) * seconds * 1e3:.0f} ms.", flush=True)


if __name__ == "__main__":
    main()
