"""Keeps stdout for event lines while user code runs that may write there, too.

`guarded_stdout` moves the pipe to a new descriptor for the lines, and puts a pipe to an Ear at the
descriptors 1 and 2. So everything that user code writes to stdout or stderr (print in a Worker or a
Source, C code, a program that it starts) becomes messages of the command.
"""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flowtools.core.lines import LineWriter
from flowtools.process import console
from flowtools.process.console import Whose
from flowtools.process.ear import Ear
from flowtools.process.overheard import overhear_the_end, overhearing

_FLUSH_SECONDS = 1.0


@contextmanager
def guarded_stdout(ear: Ear, whose: Whose) -> Iterator[LineWriter]:
    """Yield a writer for the real stdout; everything else written there becomes messages.

    `whose` returns the attempt that runs in the calling thread; `ear` reads what programs write.
    """
    out, err = os.dup(1), os.dup(2)
    for fd in (out, err):
        os.set_inheritable(fd, False)
    console.flush(_FLUSH_SECONDS)
    console.write_to(err)
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable(err)  # The pipe's reader, a thread of ours, would die with the process.
    name, pipe = ear.listen(whose)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)
    os.close(pipe)
    try:
        with overhearing(whose):
            yield LineWriter(out)
    finally:
        # From now on descriptor 1 leads to stderr: what a program that the user's code has started
        # prints at the very end must not get among the event lines. What the code itself prints
        # (atexit, __del__) still becomes messages.
        os.dup2(err, 1)
        os.dup2(err, 2)
        ear.leave(name)
        console.write_to(2)
        if was_enabled:
            faulthandler.enable(2)
        else:
            faulthandler.disable()
        overhear_the_end()
        os.close(out)
        if console.flush(_FLUSH_SECONDS):
            os.close(err)  # Otherwise it is still being written to: its number must not be reused.
