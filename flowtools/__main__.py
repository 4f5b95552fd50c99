#!/usr/bin/env python3
"""Starts a command from a checkout: bin/flow-x is a link to this file.

`python -m flowtools x ...` is the same as `flow-x ...`.
"""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the command that this was called as."""
    # As a script, Python has put this folder first on the path, where stomp/ would hide
    # the library of that name.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    sys.path.insert(0, str(HERE.parent))
    called_as = Path(sys.argv[0]).name
    if not called_as.startswith("flow-"):
        if len(sys.argv) < 2:
            names = sorted(path.stem for path in (HERE / "commands").glob("[!_]*.py"))
            sys.exit(
                f"usage: python -m flowtools COMMAND ...; COMMAND is one of {', '.join(names)}"
            )
        called_as = sys.argv.pop(1)
    name = called_as.removeprefix("flow-").replace("-", "_")
    if not (HERE / "commands" / f"{name}.py").is_file():
        sys.exit(f"flowtools: there is no command '{called_as}'")
    import_module(f"flowtools.commands.{name}").main()


if __name__ == "__main__":
    main()
