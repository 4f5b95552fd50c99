"""Measures whether memory depends on the number of lines of the input."""

import subprocess
import sys
from statistics import median

from benchmarks.pool.measure import flow_work, heading, line, table, verdict, workspace

SMALL, LARGE = 10_000, 1_000_000
VARIANTS: dict[str, tuple[object, ...]] = {
    "flow-work": (),
    "flow-work -j 16": ("-j", 16),
    "flow-work -j 16 --keep-order": ("-j", 16, "--keep-order"),
    "flow-work -j 16 --key subject --joblog": ("-j", 16, "--key", "subject", "--joblog", "log"),
}


def width(options: tuple[object, ...]) -> tuple[object, ...]:
    """Return the options that tell the Worker Peak the number of threads."""
    threads = options[options.index("-j") + 1] if "-j" in options else 1
    return "--set", f"pool.threads={threads}"


def peak(count: int, *options: object) -> float:
    """Return the peak resident memory of flow-work over `count` lines, in MiB."""
    process = subprocess.Popen(
        flow_work("Peak", *options, *width(options)), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    block = b"".join(map(line, range(1000)))
    for _ in range(count // 1000):
        process.stdin.write(block)
    process.stdin.close()
    said = process.stderr.read().split()
    process.wait()
    return int(said[-1]) / 1024


def main() -> None:
    heading("Peak of resident memory")
    rounds = int(sys.argv[1])
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in VARIANTS}
    with workspace():
        for _ in range(rounds):
            for name, options in VARIANTS.items():
                found[name][0].append(peak(SMALL, *options))
                found[name][1].append(peak(LARGE, *options))
    rows, ratios = [], []
    for name, (small, large) in found.items():
        ratios.append((name, median(large) / median(small)))
        rows.append([name, f"{median(small):.1f}", f"{median(large):.1f}", f"{ratios[-1][1]:.3f}"])
    table(["", f"MiB, {SMALL:,} lines", f"MiB, {LARGE:,} lines", "ratio"], rows)
    for name, ratio in ratios:
        verdict(name, ratio, 1.2)


if __name__ == "__main__":
    main()
