"""The commands, one file each: it declares options, makes objects of their values and runs them.

What a command imports in `main` and not at the top is not needed for --help, which must be quick.

Until a command has handlers of its own (process/signals.py), Control-C ends it as SIGTERM does, by
the signal and without a word. Python's own handler would raise KeyboardInterrupt in the middle of
an import, and print a traceback. The interpreter's own start, before the first line here, cannot be
helped.
"""

import os
import sys


def end_quietly_by_control_c() -> None:
    """Give SIGINT its default effect, unless the caller of this process has it ignored."""
    try:
        import signal  # Imports others, which takes milliseconds.

        _give_default_effect()
    except KeyboardInterrupt:
        import signal

        _give_default_effect()
        os.kill(os.getpid(), signal.SIGINT)


def _give_default_effect() -> None:
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


# The first module of ours that the script of an installed command imports. Other programs import
# commands, too, such as tests: their signals are not ours. With `python -m` the name comes later.
if sys.argv[:1] == ["-m"] or os.path.basename("".join(sys.argv[:1])).startswith("flow-"):  # noqa: PTH119
    end_quietly_by_control_c()
