#!/usr/bin/env python3
"""Starts a command from a checkout: bin/flow-x is a link to this file.

`python -m flowtools x ...` is the same as `flow-x ...`.
"""

import os
import sys


def main() -> None:
    """Run the command that this was called as."""
    here = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
    # As a script, Python has put this folder first on the path, where stomp/ would hide
    # the library of that name.
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
    sys.path.insert(0, os.path.dirname(here))  # noqa: PTH120
    from flowtools.commands import end_quietly_by_control_c

    end_quietly_by_control_c()
    # Only now: Control-C would have interrupted these imports with a traceback.
    from importlib import import_module
    from pathlib import Path

    commands = Path(here, "commands")
    called_as = Path(sys.argv[0]).name
    if not called_as.startswith("flow-"):
        if len(sys.argv) < 2:
            names = sorted(path.stem for path in commands.glob("[!_]*.py"))
            sys.exit(
                f"usage: python -m flowtools COMMAND ...; COMMAND is one of {', '.join(names)}"
            )
        called_as = sys.argv.pop(1)
    name = called_as.removeprefix("flow-").replace("-", "_")
    if not (commands / f"{name}.py").is_file():
        sys.exit(f"flowtools: there is no command '{called_as}'")
    import_module(f"flowtools.commands.{name}").main()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # It came before `end_quietly_by_control_c`.
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
