"""Poll an HTTP page: an event each time that it has changed.

flow-source examples.sources.poll_page:PollPage --set page.url=https://example.com/rundown
"""

import threading

import httpx

from flowtools.event import Event, digest


class PollPage:
    """Asks for a page every so many seconds; says nothing while it stays the same."""

    def configure(self, config):
        self.url = config["page"]["url"]
        self.seconds = config.getfloat("page", "seconds", fallback=30.0)
        self.ending = threading.Event()

    def __iter__(self):
        known = None
        with httpx.Client(timeout=20, follow_redirects=True) as client:
            while not self.ending.is_set():
                try:
                    text = client.get(self.url).raise_for_status().text
                except httpx.HTTPError as error:
                    print(f"{self.url}: {error}")  # To stderr; the next time may be better.
                else:
                    if text != known:
                        known = text
                        # The same page is the same event, whoever asks for it, and when.
                        id = digest(self.url, text)
                        yield Event("page.changed", {"text": text}, source=self.url, id=id)
                self.ending.wait(self.seconds)

    def stop(self):
        self.ending.set()
