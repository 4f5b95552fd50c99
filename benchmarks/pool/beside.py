"""Compares flow-run with a pipe into flow-work: the same source, Worker and lines."""

import sys

from benchmarks.pool.measure import Contender, heading, interleaved, table, workspace, write_lines

LINES = 50_000
PIPE = "flow-stdin | flow-work benchmarks.pool.workers:Noop"
RUN = "flow-run benchmarks.pool.run_workers:NoopOfStdin"


def contenders() -> list[Contender]:
    return [
        Contender("`flow-stdin \\| flow-work Noop`", ["sh", "-c", PIPE], LINES),
        Contender("**flow-run Noop** (SOURCE = STDIN)", RUN.split(), LINES),
    ]


def main() -> None:
    heading("One process or two")
    every = contenders()
    with workspace() as directory:
        interleaved(every, {LINES: write_lines(directory / "in", LINES)}, int(sys.argv[1]), dict)
    pipe = every[0].whole
    rows = [
        [each.name, f"{each.count:,}", f"{each.whole:.2f}", f"{each.whole / pipe:.2f}"]
        for each in every
    ]
    table(["", "lines", "µs whole", "ratio"], rows)


if __name__ == "__main__":
    main()
