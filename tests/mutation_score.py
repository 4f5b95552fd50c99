"""The share of mutants that the tests detect: `python -m tests.mutation_score` after `mutmut run`.

Reads the output of `mutmut export-cicd-stats`; a mutant that hangs counts as detected. Ends with
status 1 below WANTED.
"""

import json
import sys
from pathlib import Path

STATISTICS = Path("mutants/mutmut-cicd-stats.json")

WANTED = 80.0
"""Percentage of mutants that must be detected."""


def main():
    """Print the score."""
    counts = json.loads(STATISTICS.read_text())
    noticed = counts["killed"] + counts["timeout"]
    score = 100 * noticed / counts["total"]
    print(
        f"{noticed} of {counts['total']} mutants noticed ({score:.1f} %, wanted {WANTED:.0f}):"
        f" {counts['survived']} survived, {counts['no_tests']} met no test"
    )
    sys.exit(score < WANTED)


if __name__ == "__main__":
    main()
