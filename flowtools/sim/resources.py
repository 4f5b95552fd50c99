"""What the stand-in serves: all its resources, by path and method, apart from HTTP itself."""

import re
from urllib.parse import unquote

from flowtools.sim.asking import Refusal, Reply, Request, Routes

__all__ = ["Refusal", "Reply", "Request", "Resources"]


class Resources:
    """The resources of one stand-in; any thread may call."""

    def __init__(self, *routes: Routes) -> None:
        """Serve these."""
        self._routes = [(re.compile(path), methods) for each in routes for path, methods in each]

    def answer(self, request: Request) -> Reply:
        """Return the answer to `request`.

        Raises:
            Refusal: It cannot be done.
            GoneError: It is about something that is not there.
            StaleError: Its etag is not the present one.
            TakenError: It cannot be done to what is there.
            ProtocolError: Its body makes no sense.
        """
        for pattern, methods in self._routes:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            if request.method not in methods:
                raise Refusal(405, f"there is no {request.method} here")
            parts = [unquote(part) for part in found.groups()]
            return methods[request.method](request, *parts)
        raise Refusal(404, "there is nothing here")
