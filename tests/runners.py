"""Workers with a SOURCE of their own; for tests that start flow-run."""

import os
import time
from pathlib import Path

from flowtools.source.asset import AssetEntryListener
from flowtools.source.interval import Interval
from flowtools.source.local import STDIN
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.stomp import GenericStompListener
from flowtools.source.watch import HotFolder
from flowtools.stomp.settings import Settings as BrokerSettings
from flowtools.stomp.url import parse_url
from flowtools.vizone.account import Account
from tests import sources
from tests.sources import note


class Job:
    """Notes the body of each message; the body may tell it to fail, wait for a file, or hang."""

    SOURCE = GenericStompListener

    def start(self, event):
        body = event["body"]
        note(body)
        if body == "bad":
            raise ValueError("bad")
        if body.startswith("wait"):
            while not Path("go").exists() and not event.cancelled():
                time.sleep(0.01)
            note(f"{body} over")
        if body == "ackto":
            note(event.ackto)
        return body

    def clean_up(self):
        note("clean_up")


class MadeJob(Job):
    SOURCE = GenericStompListener(
        parse_url(os.environ.get("BROKER", "stomp://127.0.0.1:1/?destination=a")), BrokerSettings()
    )


class Quiet(Job):
    def start(self, event):
        super().start(event)


class Tick:
    SOURCE = Interval

    def start(self, event):
        note(event["number"])


class ThreeTicks(Tick):
    SOURCE = Interval(0.01, count=3)


class EndlessTicks(Tick):
    SOURCE = Interval(0.01)


class MadeFolder:
    """Its directory is in the current one."""

    SOURCE = HotFolder("in", existing=True, settle=0)

    def start(self, event):
        note(event["name"])


class Folder:
    SOURCE = HotFolder

    def start(self, event):
        note(event["name"])


class Line:
    SOURCE = STDIN

    def start(self, event):
        return event.data


class MadeLine(Line):
    SOURCE = STDIN("null")


class Asset:
    SOURCE = AssetEntryListener
    NEEDS = ("client", "store")

    def start(self, event):
        self.store.put("last", event["title"])
        note(f"{self.client.account.user} {self.store.application} {self.store.get('last')}")


class MadeAsset:
    SOURCE = AssetEntryListener(
        Account(
            *(os.environ.get(f"VIZONE_{key}", "http://x") for key in ("URL", "USER", "PASSWORD"))
        )
    )

    def start(self, event):
        note(event["title"])


class File:
    SOURCE = UnmanagedFilesListener

    def start(self, event):
        note(event["name"])


class Settings:
    """Notes its configuration and its working directory."""

    SOURCE = Interval(0.01, count=1)

    def configure(self, config):
        for section in config.sections():
            for key, value in config.items(section):
                note(f"{section}.{key}={value}")

    def start(self, event):
        note(f"in {Path.cwd().name}")


class Needy:
    NEEDS = "stor"
    SOURCE = Tick.SOURCE

    def start(self, event):
        pass


class Slow:
    """Twenty values at once, each of which takes a while."""

    class SOURCE:
        def __iter__(self):
            yield from range(20)
            note("given")
            time.sleep(1000)

    def start(self, event):
        time.sleep(0.02)
        note(f"done {event.data}")


class Hangs(Slow):
    def start(self, event):
        note(f"hangs {event.data}")
        time.sleep(1000)


class OnRaises:
    SOURCE = sources.Raises

    def start(self, event):
        note(event.data)


class OnGarbage(OnRaises):
    SOURCE = sources.Garbage


class OnFlood:
    SOURCE = sources.Flood

    def start(self, event):
        time.sleep(0.001)


class OnMany:
    SOURCE = sources.Many

    def start(self, event):
        if event.data[1] % 2:
            raise ValueError("odd")


class WithOptions:
    """A Source that takes the options of its section, as the old ones did."""

    class SOURCE:
        def __init__(self, first, second_one="2"):
            self.values = (first, second_one)

        def __iter__(self):
            return iter(self.values)

    def start(self, event):
        note(event.data)


class Lettered:
    SOURCE = "tests.sources:Three"

    def start(self, event):
        pass


class Numbered(Lettered):
    SOURCE = 42


class NoSource:
    def start(self, event):
        pass


class Environment:
    SOURCE = Interval(0.01, count=1)

    def start(self, event):
        note(os.environ.get("WORD", "-"))


class Stuck:
    """Never finishes an event, whatever is raised in it."""

    SOURCE = sources.Flood

    def start(self, event):
        note("stuck")
        sources.hang()


class OnSilent:
    SOURCE = sources.Silent

    def start(self, event):
        note(event.data)
