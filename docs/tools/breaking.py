"""A Worker that fails in several ways, for the picture of flow-failed."""

import time

from flowtools.worker import Reject


class Tag:
    """Fails for a third of the assets, each in one of several ways."""

    def start(self, event):
        """Return, hang, or reject the event, depending on the number of the asset."""
        number = int(event.subject.rpartition(":")[2]) // 100
        if number % 3:
            return
        if number % 7 == 0:
            time.sleep(10)
        if number % 2:
            raise Reject(f"asset {number} is not in the archive")
        if number % 5:
            raise Reject(f"HTTP 503 from the archive for item {number}")
        raise Reject(f"title of asset {number} is longer than 64 characters")
