"""Read a paged HTTP API, and after any interruption continue with the first item not yet done.

    flow-source --ack worker examples.sources.paged_items:PagedItems \\
        --set items.url=https://example.com/items --set items.state=/var/lib/items.state |
        flow-work mymod:Rundown -j 8

A page is {"items": [{"id": 7, ...}, ...]}, the oldest first; `?after=7` asks for later items.
"""

import threading

import httpx

from flowtools.event import Event
from flowtools.source.cursor import Cursor


class PagedItems:
    """Yields an event for each item of each page; after the last page it waits for more items."""

    def configure(self, config):
        self.url = config["items"]["url"]
        self.seconds = config.getfloat("items", "seconds", fallback=30.0)
        self.cursor = Cursor(config["items"]["state"], of=self.url)
        self.ending = threading.Event()

    def __iter__(self):
        last = self.cursor.position
        with httpx.Client(timeout=20, follow_redirects=True) as client:
            while not self.ending.is_set():
                items = self.page(client, last)
                for item in items:
                    last = item["id"]
                    event = Event("item.added", item, source=self.url, id=str(last))
                    # The cursor moves past an item only when it and all before it are done.
                    yield self.cursor.begin(event, last)
                if not items:
                    self.ending.wait(self.seconds)

    def page(self, client, last):
        try:
            query = {} if last is None else {"after": last}
            return client.get(self.url, params=query).raise_for_status().json()["items"]
        except httpx.HTTPError as error:
            print(f"{self.url}: {error}")  # print goes to stderr. The next request may succeed.
            return []

    def done(self, event, ok):
        self.cursor.done(event)

    def stop(self):
        self.ending.set()

    def clean_up(self):
        self.cursor.close()
