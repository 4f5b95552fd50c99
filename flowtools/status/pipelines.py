"""Group commands that are connected by pipes into pipelines.

Both ends of a pipe have the same device and inode number, which each command reports for its
standard input and output. So no parent process and no shell has to be asked.
"""

from collections.abc import Iterable, Sequence

from flowtools.status.asking import State


def pipelines(states: Iterable[State]) -> list[list[State]]:
    """Return the pipelines, each a list of commands from its source to its end.

    Two commands are neighbours when one writes to the pipe that the other reads. Programs that are
    not of flowtools (jq, tee) are not seen: the commands before and after them are two pipelines.
    """
    readers = {state.stdin: state for state in states if state.stdin}
    written = {state.stdout for state in states if state.stdout}
    found: list[list[State]] = []
    placed: set[int] = set()
    # Commands without a writer first, so that each pipeline is followed from its beginning.
    ordered = sorted(states, key=lambda state: bool(state.stdin) and state.stdin in written)
    for state in ordered:
        chain: list[State] = []
        here: State | None = state
        # Several commands may write to one pipe, and a named pipe may lead back to the beginning:
        # each command is listed once.
        while here is not None and here.pid not in placed:
            placed.add(here.pid)
            chain.append(here)
            here = readers.get(here.stdout) if here.stdout else None
        if chain:
            found.append(chain)
    return found


def name_of(pipeline: Sequence[State]) -> str:
    """Return the name of a pipeline: its systemd unit, or its commands joined by `|`."""
    unit = next((state.unit for state in pipeline if state.unit), "")
    return unit or " | ".join(state.command for state in pipeline)
