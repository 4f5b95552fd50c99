"""Transfer plugins, for tests that start flow-run."""

import os
import sys
import time

from flowtools import compat
from flowtools.transferplugin import TransferPlugin
from tests.sources import note


class Copy(TransferPlugin):
    """Reports a hundred steps as fast as possible."""

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


class Exits(TransferPlugin):
    def start(self, data):
        self.use(data)
        self.update_progress(3)
        sys.exit(int(os.environ["STATUS"]))


class Goes(TransferPlugin):
    """A transfer that never ends, in many steps."""

    def start(self, data):
        self.use(data)
        self.update_progress(7)
        note("going")
        try:
            self.go_on()
        finally:
            note("let go")

    def go_on(self):
        while True:
            time.sleep(0.01)


class Hangs(Goes):
    """Waits for a silent peer in a call that no exception can interrupt."""

    def go_on(self):
        time.sleep(1000)


class HangsAndCleans(Hangs):
    def clean_up(self):
        note("clean_up")


class OldGoes(compat.TransferPlugin):
    def start(self, plugin_data):
        self.use(plugin_data)
        self.update_progress(7)
        note("going")
        while True:
            time.sleep(0.01)


class OldHangs(compat.TransferPlugin):
    def start(self, plugin_data):
        self.use(plugin_data)
        self.update_progress(7)
        note("going")
        time.sleep(1000)


class Swallows(Goes):
    """Catches every exception and continues."""

    def go_on(self):
        try:
            super().go_on()
        except BaseException:
            note("swallowed")


class Lingers(Goes):
    """Needs a moment to finish after the stop."""

    def go_on(self):
        while not os.path.exists("enough"):  # noqa: PTH110
            time.sleep(0.01)
        self.update_progress(100)


class Early(TransferPlugin):
    def start(self, data):
        for call in (lambda: self.update_progress(1), self.get_progress, lambda: self.fail("no")):
            try:
                call()
            except RuntimeError as error:
                note(error)


class Odd(TransferPlugin):
    PROGRESS_SECONDS = 0

    def start(self, data):
        self.use(data)
        for each in (float("inf"), float("nan"), -1, -float("inf"), 101.5):
            self.update_progress(each)


class SecondTime(TransferPlugin):
    tries = 0

    def start(self, data):
        self.use(data)
        self.tries += 1
        if self.tries == 1:
            self.update_progress(7)
            raise OSError("not yet")


class HangsAtFirst(SecondTime):
    def start(self, data):
        self.use(data)
        self.tries += 1
        if self.tries == 1:
            time.sleep(1000)
        self.fail("once more")
