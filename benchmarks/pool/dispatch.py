"""Measures the cost of bringing a line to a Worker that does nothing."""

import sys
from pathlib import Path

from benchmarks.pool.measure import (
    Contender,
    flow_work,
    heading,
    interleaved,
    python,
    table,
    verdict,
    workspace,
    write_lines,
)

LINES, SOME, FEW = 100_000, 10_000, 2_000


def contenders() -> list[Contender]:
    joblog = ("--joblog", "joblog")
    return [
        Contender("`for line in stdin.buffer: orjson.loads(line)`", python("bare"), LINES),
        Contender("**flow-work** (defaults)", flow_work("Noop"), LINES),
        Contender("**flow-work -j 16**", flow_work("Noop", "-j", 16), LINES),
        Contender("**flow-work --joblog**", flow_work("Noop", *joblog), LINES),
        Contender("**flow-work --key subject**", flow_work("Noop", "--key", "subject"), LINES),
        Contender(
            "**flow-work --key subject --joblog**",
            flow_work("Noop", "--key", "subject", *joblog),
            LINES,
        ),
        Contender(
            "**flow-work -j 16 --key subject --joblog**",
            flow_work("Noop", "-j", 16, "--key", "subject", *joblog),
            LINES,
        ),
        Contender("imap_unordered, 2 processes, chunks of 100", python("imap", 2, 100), LINES),
        Contender("imap_unordered, 2 processes, no chunks", python("imap", 2, 1), SOME),
        Contender("ThreadPoolExecutor, 16 threads", python("executor", 16, 0), LINES),
        Contender("pebble.ThreadPool, 16 threads", python("pebble_pool", "ThreadPool", 16), SOME),
        Contender("pebble.ProcessPool, 2", python("pebble_pool", "ProcessPool", 2), FEW),
        Contender(
            "**flow-work -j 2 --isolation process**",
            flow_work("Noop", "-j", 2, "--isolation", "process"),
            FEW,
        ),
        Contender("two threads an event (old Flow)", python("thread_each", 16), SOME),
        Contender("xargs -P 16 -n 1 true", ["xargs", "-P16", "-n1", "-d\n", "true"], FEW),
        Contender("parallel -j 16 true", ["parallel", "-j16", "true"], FEW),
    ]


def main() -> None:
    heading("Dispatch of events that cost nothing")
    every = contenders()
    with workspace() as directory:
        inputs = {n: write_lines(directory / str(n), n) for n in (LINES, SOME, FEW)}
        interleaved(every, inputs, int(sys.argv[1]), lambda: Path("joblog").unlink(True))
    bare = every[0]
    assert bare.inside is not None
    rows = []
    for each in every:
        inside = each.inside
        rows.append(
            [
                each.name,
                f"{each.count:,}",
                f"{inside:.2f}" if inside is not None else "",
                f"{inside / bare.inside:.2f}" if inside is not None else "",
                f"{each.whole:.2f}",
                f"{each.whole / bare.whole:.2f}",
            ]
        )
    table(["", "lines", "µs inside", "ratio", "µs whole", "ratio"], rows)
    by_name = {each.name.replace("*", ""): each for each in every}
    for name, limit in (
        ("flow-work (defaults)", 2),
        ("flow-work --key subject --joblog", 3),
    ):
        each = by_name[name]
        assert each.inside is not None
        verdict(f"{name}, inside", each.inside / bare.inside, limit)
        verdict(f"{name}, whole process", each.whole / bare.whole, limit)


if __name__ == "__main__":
    main()
