"""stdout for event lines alone, while code of others runs that may write there, too.

`guarded_stdout` keeps the descriptor that the pipe is on for the lines: whatever else
writes to stdout or stderr (print in a Worker or a Source, C code, a program that it starts)
becomes messages of the command.
"""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flowtools.core.lines import LineWriter
from flowtools.process import console
from flowtools.process.console import Whose
from flowtools.process.ear import Ear
from flowtools.process.overheard import overhearing

_FLUSH_SECONDS = 1.0


@contextmanager
def guarded_stdout(ear: Ear, whose: Whose) -> Iterator[LineWriter]:
    """Yield a writer for the real stdout; everything else written there becomes messages.

    `whose` says, in any thread, which attempt is running there; `ear` hears programs.
    """
    out, err = os.dup(1), os.dup(2)
    for fd in (out, err):
        os.set_inheritable(fd, False)
    console.flush(_FLUSH_SECONDS)
    console.write_to(err)
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable(err)  # What it says when the process dies is not to end in the pipe.
    name, pipe = ear.listen(whose)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)
    os.close(pipe)
    try:
        with overhearing(whose):
            yield LineWriter(out)
    finally:
        # Descriptor 1 leads to stderr from now on: what code of others prints at the very end
        # (atexit, __del__) must not come among the lines.
        os.dup2(err, 1)
        os.dup2(err, 2)
        ear.leave(name)
        console.write_to(2)
        if was_enabled:
            faulthandler.enable(2)
        else:
            faulthandler.disable()
        os.close(out)
        if console.flush(_FLUSH_SECONDS):
            os.close(err)  # Else it is being written to, and its number must not be used again.
