"""flow-sim with faults, a pipeline that has to cope with them, and the expected result.

The listener keeps a state file, so that changes missed by a cut connection are replayed.
The Worker writes to each asset over HTTP, and notes which state of the asset it has seen.
"""

import secrets
import time
from contextlib import suppress
from pathlib import Path

from flowtools.errors import UnreachableError
from flowtools.vizone import Account, Client
from tests.brokers.pipeline import Pipeline
from tests.brokers.server import free_ports, until_open

FAULTS = "5xx=0.05,slow=0.1,drop=0.01,conflict=0.1"

RATE = 4.0
"""Changes per second."""

WORKER = '''\
"""Tags each asset, as examples/tag.py does, and notes which state of it that was."""

import os

from examples.tag import Tag


class Note(Tag):
    def configure(self, config):
        super().configure(config)
        self._file = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def start(self, event):
        super().start(event)
        deleted = event.type == "flow.asset.deleted"
        state = "deleted" if deleted else event["updated"]
        os.write(self._file, f"{event.subject} {state}\\n".encode())
'''


class BadDay:
    """flow-sim, and `flow-listen-assets | flow-work` against it."""

    def __init__(self, folder, seconds, seed):
        """Prepare changes for `seconds` seconds, in `folder`."""
        folder.mkdir()
        self._folder = folder
        (folder / "bad_day.py").write_text(WORKER)
        (folder / "seen").touch()
        (folder / "password").write_text(secrets.token_urlsafe(12))
        http, stomp = free_ports(2)
        self._http = http
        self._url = f"http://127.0.0.1:{http}"
        self.total = max(1, int(seconds * RATE))
        self.sim = Pipeline(
            f"flow-sim --assets {self.total} --rate {RATE} --seed {seed} --faults {FAULTS}"
            f" --password-file password --http 127.0.0.1:{http} --stomp 127.0.0.1:{stomp}",
            folder,
            "sim",
        )
        root = Path(__file__).resolve().parents[2]
        self.pipeline = Pipeline(
            "flow-listen-assets --state state --ack worker --prefetch 50 --heart-beat 1,1"
            " | flow-work -j 8 --timeout 20 --retries 20 --backoff 0.1 bad_day:Note",
            folder,
            VIZONE_URL=self._url,
            VIZONE_USER="admin",
            VIZONE_PASSWORD=(folder / "password").read_text(),
            PYTHONPATH=str(root),
        )

    def __enter__(self):
        self.sim.start()
        until_open(self._http)
        self.pipeline.start()
        return self

    def __exit__(self, *_):
        self.pipeline.kill_all()
        self.sim.kill_all()

    def tend(self):
        """Start the pipeline again if it has ended."""
        self.pipeline.tend()

    def processes(self):
        """Return the process ids of the running commands, by name."""
        found = {f"{name} (assets)": pid for name, pid in self.pipeline.processes().items()}
        return found | self.sim.processes()

    def missing(self, seconds):
        """Wait up to `seconds` until every asset's last state was seen; return those not seen."""
        deadline = time.monotonic() + seconds
        while (left := self._unseen()) and time.monotonic() < deadline:
            self.tend()
            time.sleep(1)
        return left

    def seen(self):
        """Return how many events the Worker has done; repeated ones count each time."""
        return len((self._folder / "seen").read_bytes().splitlines())

    def _unseen(self):
        seen = set((self._folder / "seen").read_text().splitlines())
        return sorted(self._last_states() - seen)

    def _last_states(self):
        account = Account(self._url, "admin", (self._folder / "password").read_text())
        while True:
            states = set()
            with suppress(UnreachableError), Client(account) as client:
                for page in client.assets.newest():
                    states |= {f"{each.id} {each.updated}" for each in page.entries}
                    states |= {f"{each.ref} deleted" for each in page.tombstones}
                return states
