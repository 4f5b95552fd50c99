"""Measures the time and memory that --key, --per-key and --key-rate cost, by number of keys."""

import subprocess
import sys
from statistics import median

from benchmarks.pool.measure import flow_work, heading, table, verdict, workspace, write_lines

LINES = 200_000
KEYS = (1_000, 10_000, 100_000)
VARIANTS: dict[str, tuple[object, ...]] = {
    "no key": (),
    "--key": ("--key", "subject"),
    "--key --per-key 3": ("--key", "subject", "--per-key", 3),
    # A rate so high that no event waits. The time of the next start of each key is stored anyway.
    "--key --key-rate 100000/s": ("--key", "subject", "--key-rate", "100000/s"),
    "--key --per-key 3 --key-rate": ("--key", "subject", "--per-key", 3, "--key-rate", "100000/s"),
}


def main() -> None:
    heading("Keys: CPU time of a line, and peak of resident memory, at -j 4")
    times: dict[tuple[str, int], list[float]] = {}
    peaks: dict[tuple[str, int], list[float]] = {}
    with workspace() as directory:
        inputs = {keys: write_lines(directory / str(keys), LINES, keys) for keys in KEYS}
        for _ in range(int(sys.argv[1])):
            for keys, path in inputs.items():
                for name, options in VARIANTS.items():
                    with path.open("rb") as lines:
                        ended = subprocess.run(
                            flow_work("Used", "-j", 4, *options),
                            stdin=lines,
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE,
                            text=True,
                            check=True,
                        )
                    seconds, peak = ended.stderr.split()[-2:]
                    times.setdefault((name, keys), []).append(float(seconds) / LINES * 1e6)
                    peaks.setdefault((name, keys), []).append(int(peak) / 1024)
    columns = [f"{what}, {keys:,} keys" for what in ("µs", "MiB") for keys in KEYS]
    rows = [
        [name, *(f"{median(of[name, keys]):.2f}" for of in (times, peaks) for keys in KEYS)]
        for name in VARIANTS
    ]
    table(["", *columns], rows)
    most = max(median(peaks[name, KEYS[-1]]) for name in VARIANTS)
    verdict("peak with the most keys", most, 64, " MiB")


if __name__ == "__main__":
    main()
