"""Measures whether all threads of the pool stay busy: 2,000 events that wait 50 ms each."""

import sys

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

LINES, SECONDS = 2_000, 0.05


def main() -> None:
    heading("2,000 events that wait 50 ms")
    widths = (16, 256)
    works = [Contender(f"flow-work -j {n}", flow_work("Sleep", "-j", n), LINES) for n in widths]
    others = [
        Contender(f"ThreadPoolExecutor, {n} threads", python("executor", n, SECONDS), LINES)
        for n in widths
    ]
    with workspace() as directory:
        inputs = {LINES: write_lines(directory / "lines", LINES)}
        interleaved(works + others, inputs, int(sys.argv[1]), lambda: None)
    rows, found = [], []
    for each, width in zip(works + others, widths + widths, strict=True):
        # The last round may not use all threads, but takes the whole 50 ms.
        ideal = -(-LINES // width) * SECONDS
        assert each.inside is not None
        inside, whole = each.inside * LINES / 1e6, each.whole * LINES / 1e6
        rows.append(
            [each.name, f"{ideal:.3f}", f"{inside:.3f}", f"{inside / ideal:.3f}", f"{whole:.3f}"]
        )
        found.append((f"{each.name}, inside", inside / ideal))
    table(["", "ideal s", "s inside", "ratio", "s whole"], rows)
    for name, ratio in found[: len(works)]:
        verdict(name, ratio, 1.05)


if __name__ == "__main__":
    main()
