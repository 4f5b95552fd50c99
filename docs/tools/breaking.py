"""A Worker of a bad day, for the picture of flow-failed."""

import time

from flowtools.worker import Reject


class Tag:
    """Fails for every third event, in one of several ways."""

    def start(self, event):
        """Fail, or not."""
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
