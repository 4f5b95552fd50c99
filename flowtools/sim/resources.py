"""Finds the handler for a request by its path and method; knows nothing of HTTP itself."""

import re
from urllib.parse import unquote

from flowtools.sim.asking import Refusal, Reply, Request, Routes

__all__ = ["Refusal", "Reply", "Request", "Resources"]


class Resources:
    """All routes of one stand-in. Thread-safe: it never changes."""

    def __init__(self, *routes: Routes) -> None:
        """Take the routes of all handlers; the first that matches a path counts."""
        self._routes = [(re.compile(path), methods) for each in routes for path, methods in each]

    def answer(self, request: Request) -> Reply:
        """Return the reply of the handler for `request`.

        Raises:
            Refusal: There is no such path or method, or the handler refuses the request.
            GoneError: The request is for something that does not exist.
            StaleError: The request has an outdated etag.
            TakenError: The present state does not allow the change.
            ProtocolError: The body is malformed.
        """
        for pattern, methods in self._routes:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            if request.method not in methods:
                raise Refusal(405, f"{request.method} is not allowed here")
            # Decoded only now: a name may contain an encoded slash.
            parts = [unquote(part) for part in found.groups()]
            return methods[request.method](request, *parts)
        raise Refusal(404, "there is nothing at this address")
