"""Print the copyright file of the Debian package.

    python3 copyright.py FOLDER VERSION

FOLDER contains flowtools and the libraries of the package, as pip has installed them. The output
has Debian's machine-readable form (DEP-5).
"""

import sys
from email import message_from_string
from pathlib import Path

OURS = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: flowtools
Comment: Version {version}. The libraries below usr/lib/flowtools are those of the Python package
 index, unchanged; their licences are beside them in NAME-VERSION.dist-info.

Files: *
Copyright: 2026 The flowtools authors
License: Apache-2.0

License: Apache-2.0
 The full text is in /usr/share/common-licenses/Apache-2.0.
"""


def licence(metadata: str) -> tuple[str, str]:
    """Return the name and the licence of a library, from its METADATA (core metadata 2.x)."""
    fields = message_from_string(metadata)
    named = str(fields.get("License-Expression") or fields.get("License") or "")
    if not named or "\n" in named or len(named) > 80:
        classified = [text for text in fields.get_all("Classifier", []) if "License ::" in text]
        named = classified[0].rpartition(" :: ")[2] if classified else "see its dist-info"
    return str(fields["Name"]), named


def folders(metadata: Path) -> list[str]:
    """Return the top-level folders that belong to the library of this METADATA."""
    lines = (metadata.parent / "RECORD").read_text().splitlines()
    inside = [line for line in lines if not line.startswith(("../", "/"))]
    return sorted({line.split("/", 1)[0] for line in inside if "/" in line.split(",", 1)[0]})


def copyright_file(folder: Path, version: str) -> str:
    """Return the text for flowtools `version` and the libraries in `folder`."""
    text = OURS.format(version=version)
    for path in sorted(folder.glob("*.dist-info/METADATA")):
        name, named = licence(path.read_text(errors="replace"))
        if name == "flowtools":
            continue
        files = " ".join(f"usr/lib/flowtools/{top}/*" for top in folders(path))
        text += (
            f"\nFiles: {files}\nCopyright: The authors of {name}\n"
            f"License: {named.replace(' ', '-')}\n"
            f" {named}; see /usr/lib/flowtools/{path.parent.name}\n"
        )
    return text


if __name__ == "__main__":
    sys.stdout.write(copyright_file(Path(sys.argv[1]), sys.argv[2]))
