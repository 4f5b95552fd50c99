"""Poll a web page: an event each time its content has changed.

flow-source examples.sources.poll_page:PollPage --set page.url=https://example.com/rundown
"""

import threading

import httpx

from flowtools.event import Event, digest


class PollPage:
    """Requests a page at regular intervals, and yields an event if its content differs."""

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
                    print(
                        f"{self.url}: {error}"
                    )  # print goes to stderr. The next request may succeed.
                else:
                    if text != known:
                        known = text
                        # The id is made of the content, so that the same content is the same
                        # event in every process and after a restart.
                        id = digest(self.url, text)
                        yield Event("page.changed", {"text": text}, source=self.url, id=id)
                self.ending.wait(self.seconds)

    def stop(self):
        self.ending.set()
