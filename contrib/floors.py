"""Print a pip constraint for each library that flowtools needs: the oldest version it allows.

    python contrib/floors.py >constraints.txt

A requirement of pyproject.toml such as "click>=8.4,<9" gives the line "click==8.4". Only libraries
that the commands import are included, so that the tools of development stay new.
"""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("sim", "jq", "xxhash")
"""The optional dependencies of pyproject.toml that commands import."""


def floors(pyproject: Path) -> list[str]:
    """Return a line NAME==VERSION for each requirement in the file `pyproject`, sorted.

    Raises:
        SystemExit: A requirement does not name exactly one oldest version.
    """
    project = tomllib.loads(pyproject.read_text())["project"]
    lines = []
    optional = [text for extra in EXTRAS for text in project["optional-dependencies"][extra]]
    for requirement in map(Requirement, project["dependencies"] + optional):
        oldest = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        if len(oldest) != 1:
            sys.exit(f"floors: '{requirement}' does not say its oldest version")
        lines.append(f"{requirement.name}=={oldest[0]}")
    return sorted(lines)


if __name__ == "__main__":
    lines = floors(Path(__file__).parent.parent / "pyproject.toml")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
