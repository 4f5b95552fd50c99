"""Group commands that are connected by pipes into pipelines."""

from collections.abc import Iterable, Sequence

from flowtools.status.asking import State


def pipelines(states: Iterable[State]) -> list[list[State]]:
    """Return the commands in pipelines, each from its source to its end.

    Two commands are neighbours when one writes to the pipe that the other reads. A program
    of others between them (jq, tee) is not seen: the parts on its two sides are two pipelines.
    """
    readers = {state.stdin: state for state in states if state.stdin}
    written = {state.stdout for state in states if state.stdout}
    found: list[list[State]] = []
    placed: set[int] = set()
    ordered = sorted(states, key=lambda state: bool(state.stdin) and state.stdin in written)
    for state in ordered:
        chain: list[State] = []
        here: State | None = state
        while here is not None and here.pid not in placed:
            placed.add(here.pid)
            chain.append(here)
            here = readers.get(here.stdout) if here.stdout else None
        if chain:
            found.append(chain)
    return found


def name_of(pipeline: Sequence[State]) -> str:
    """Return the name of a pipeline: its systemd unit, or its commands."""
    unit = next((state.unit for state in pipeline if state.unit), "")
    return unit or " | ".join(state.command for state in pipeline)
