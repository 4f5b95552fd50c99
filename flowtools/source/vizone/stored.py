"""A source's position, kept in Viz One's own store for programs, for listeners on several servers.

The store keeps a value for a user, an application and a key. It has no locks: the lease (lease.py)
decides which process may write. Two writers at once do no harm: each writes a valid position, and
changes that one of them does not know as done are reported again.
"""

import re
from collections.abc import Callable
from typing import Any

from flowtools.core.errors import FlowError, UsageError
from flowtools.source.vizone.state import Kept, Position, read_position
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client

PREFIX = "store:"
"""Prefix of a value of --state that is a name in the store."""

APPLICATION = "flowtools"
"""The application that our values belong to."""

ANSWER = 4.0
"""Time-out of a request to the store, in seconds."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def checked_name(option: str, name: str) -> str:
    """Return `name` if it is valid as a part of a key.

    Raises:
        UsageError: It is not; the message names `option`.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{option}: '{name}' is not a name of letters, digits, '.', '_' and '-'")
    return name


class StoredState(Kept):
    """A value in the store that is replaced as a whole."""

    every = 3.0

    def __init__(
        self,
        account: Account,
        name: str,
        of: str,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare to keep the state `name`; `of` says what it belongs to.

        Nothing is written while `may_write` returns False, which means that another listener works.
        """
        self.name = f"state '{PREFIX}{name}'"
        self._of = of
        self._source = account.url
        self._may_write = may_write
        # Two tries at most: the next write is due in some seconds anyway.
        self._client = Client(account, seconds=ANSWER, pauses=(0.5,))
        self._key = f"state.{name}"

    @property
    def is_ours(self) -> bool:
        """Whether it may be written now."""
        return self._may_write()

    def load(self) -> Position | None:
        """Return the position; None if nothing has been kept yet.

        Raises:
            ConfigurationError: The value is damaged, or belongs to something else.
            FlowError: As Client.
        """
        value: Any = self._client.store(APPLICATION).get(self._key)
        return None if value is None else read_position(self.name, value, self._of, self._source)

    def save(self, mark: float, seen: dict[str, float], clock: float | None = None) -> None:
        """Replace what is kept.

        Raises:
            OSError: It cannot be written.
        """
        value = self.document(mark, seen, clock)
        try:
            self._client.store(APPLICATION).put(self._key, value)
        except FlowError as error:
            # As for a file; without a number, which tells Progress that it is not one.
            raise OSError(0, str(error)) from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def name_in_store(state: str | None) -> str | None:
    """Return the name that `state`, the value of --state, has in the store; None: a file.

    Raises:
        UsageError: It is not a name.
    """
    if state is None or not state.startswith(PREFIX):
        return None
    return checked_name("--state", state.removeprefix(PREFIX))
