"""Run a user's own Source as a command: events go to stdout, and all else that it prints does not.

The Source's code may print, and so may the programs that it starts. The next command would take
such a line for an event. So descriptor 1 is replaced before the object is made, and what is written
to it becomes messages on stderr.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from flowtools.core.wait import Stop
from flowtools.process import console
from flowtools.process.ear import Ear
from flowtools.process.stdout import guarded_stdout
from flowtools.process.vitals import vitals
from flowtools.source.custom import CustomSource


def run_on_stdout(
    make: Callable[[], CustomSource],
    working: Callable[[], AbstractContextManager[Stop]],
    on_stuck: Callable[[], None],
) -> None:
    """Run the source that `make` makes on stdout; anything its code prints becomes a message.

    Args:
        make: Makes the source.
        working: Context in which the process obeys signals and reports its status.
        on_stuck: Called if a thread is left behind that may never end.

    Raises:
        FlowError, ReaderGone: As CustomSource.run.
        Signalled: A signal asked for the end.
    """
    console.name_others("source")
    ear = Ear()
    try:
        with working() as stop, guarded_stdout(ear, lambda: None) as writer:
            vitals.provide("events_out", lambda: writer.emitted)
            vitals.provide_moment(lambda: writer.written_at)
            source = make()
            console.bound_flush(source.drain)
            try:
                source.run(writer, stop)
            finally:
                if source.is_stuck:
                    on_stuck()
    finally:
        ear.close()
