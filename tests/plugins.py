"""Transfer plugins, for tests that start flow-run."""

import os
import time

from flowtools.transferplugin import TransferPlugin
from tests.sources import note


class Copy(TransferPlugin):
    """Reports a hundred steps, as fast as it can."""

    PROGRESS_SECONDS = float(os.environ.get("PAUSE", "1"))

    def start(self, data):
        self.use(data)
        note(f"{self.source} {self.destination} {self.asset.title} {self.client.account.user}")
        note(f"{self.settings['plugin.suffix']} {self.asset.payload['asset.title']}")
        for per_cent in range(int(os.environ.get("UNTIL", "100")) + 1):
            self.update_progress(per_cent)


class Fails(TransferPlugin):
    def start(self, data):
        self.use(data)
        self.update_progress(7)
        try:
            self.fail("the tape is \x01 torn")
        except Exception:
            note("swallowed")
        note("went on")


class Crashes(TransferPlugin):
    def start(self, data):
        self.use(data)
        raise OSError("no such tape")


class Lenient(TransferPlugin):
    def start(self, data):
        self.use(data, require_asset=False, require_source=False, require_destination=False)
        note(f"{self.source} {self.asset and self.asset.title}")
        note(str(self.get_progress()))


class Slow(TransferPlugin):
    def start(self, data):
        self.use(data)
        time.sleep(1.5)
        self.update_progress(100)


class Child(Fails):
    def start(self, data):
        super().start(data)
        note("never here")
