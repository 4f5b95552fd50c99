"""The object that NeedsStomp provides as `self.stomp`: handlers for STOMP addresses.

Each handler has a connection of its own, and a daemon thread that reads it and calls the handler,
one message after the other. The thread runs the same source as flow-listen-stomp, which reconnects;
it makes no events, so its outlet (`_Nowhere`) is never written to.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from flowtools.compat.message import Message
from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, Wake
from flowtools.source.stomp import GenericStompListener
from flowtools.stomp.message import Message as Received
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import BrokerURL, parse_url

AGAIN = 10.0
"""Seconds after which a handler connects again if the broker has refused it."""

_log = get_log("flowtools.app")


class Stomp:
    """Calls handlers with the messages of STOMP destinations."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings or Settings(
            user=os.environ.get("FLOW_USER"), password=os.environ.get("FLOW_PASSWORD")
        )

    def register_handler(self, stomp_url: str, handler: Callable[[Message], Any]) -> None:
        """Call `handler` with each message of the destination in `stomp_url`; does not wait.

        A message is acknowledged when the handler returns. If it raises an exception, the message
        is moved to the dead-letter destination. If the broker refuses the login or the
        subscription, the handler connects again every AGAIN seconds.

        Raises:
            UsageError: The URL is malformed, or holds a password.
        """
        # Parsed in the caller's thread, so that a mistake in the profile ends the command.
        url = parse_url(stomp_url)
        start_thread(threading.Thread(target=self._listen, args=(url, handler), daemon=True))

    def _listen(self, url: BrokerURL, handler: Callable[[Message], Any]) -> None:
        def handled(message: Received) -> Sequence[Event]:
            handler(Message(dict(message.headers), message.body))
            return ()

        stop, nowhere = Stop(), _Nowhere()
        while True:
            try:
                source = GenericStompListener(url, self._settings, to_events=handled)
                source.run(nowhere, stop)
            except (RefusedError, UnreachableError, ProtocolError) as error:
                # A command would end here, to be started again by its supervisor. The application
                # goes on, and must not be deaf until somebody happens to restart it.
                _log.error("%s; connecting again in %g seconds", error, AGAIN)
                stop.wait(AGAIN)
            except FlowError as error:
                # Nobody waits for this thread: without this line its end would go unnoticed.
                _log.error("%s", error)
                return
            else:
                return


class _Nowhere:
    """An outlet for a source that emits no events."""

    def __init__(self) -> None:
        self._never = Wake()

    def emit(self, event: Event) -> None:
        """Do nothing; never called."""

    def flush(self) -> None:
        """Do nothing."""

    def fileno(self) -> int:
        """Return a descriptor that a source can wait for; it is never ready."""
        return self._never.fileno()

    def unread(self) -> int:
        """Return 0: no event waits for a reader."""
        return 0
