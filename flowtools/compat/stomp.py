"""The connection that NeedsStomp gives: handlers for STOMP addresses."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from flowtools.compat.message import Message
from flowtools.core.errors import FlowError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.wait import Stop, Wake
from flowtools.source.stomp import GenericStompListener
from flowtools.stomp.message import Message as Received
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import BrokerURL, parse_url

_log = get_log("flowtools.app")


class Stomp:
    """Registers handlers; each has a connection, and a daemon thread that calls it."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings or Settings(
            user=os.environ.get("FLOW_USER"), password=os.environ.get("FLOW_PASSWORD")
        )

    def register_handler(self, stomp_url: str, handler: Callable[[Message], Any]) -> None:
        """Call `handler` with each message of a destination.

        A message is acknowledged once the handler has returned; if it raises, the message
        is moved to the dead-letter destination.
        """
        url = parse_url(stomp_url)
        threading.Thread(target=self._listen, args=(url, handler), daemon=True).start()

    def _listen(self, url: BrokerURL, handler: Callable[[Message], Any]) -> None:
        def handled(message: Received) -> Sequence[Event]:
            handler(Message(dict(message.headers), message.body))
            return ()

        try:
            source = GenericStompListener(url, self._settings, to_events=handled)
            source.run(_Nowhere(), Stop())
        except FlowError as error:
            _log.error("%s", error)


class _Nowhere:
    """An outlet for a source without events."""

    def __init__(self) -> None:
        self._never = Wake()

    def emit(self, event: Event) -> None:
        """Take nothing."""

    def flush(self) -> None:
        """Nothing to do."""

    def fileno(self) -> int:
        """Return something to poll."""
        return self._never.fileno()

    def unread(self) -> int:
        """Return 0."""
        return 0
