"""Complete pipelines under faults everywhere, while they are stopped and started.

FLOWTOOLS_SHOW is the number of changes, such as 2000; without it there are fewer.
"""

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from flowtools.sim.faults import Rates
from flowtools.vizone.document import parse
from flowtools.vizone.metadata import Payload
from tests.conftest import environment
from tests.vizone_servers import stand_in

ROOT = Path(__file__).parents[1]
SIZE = int(os.environ.get("FLOWTOOLS_SHOW", "120"))
RATE = max(40.0, SIZE / 20)
SECONDS = 90 + SIZE / 10
FAULTS = Rates.parse("5xx=0.05,slow=0.1,drop=0.01,conflict=0.1")
TAG = "flow-work examples.tag:Tag -j 16 --retries 5"


class Pipeline:
    """A shell line in its own process group."""

    def __init__(self, server, line, folder):
        self._folder = folder
        self._lives, held = os.pipe()
        with (folder / "errors").open("ab") as errors:
            self._shell = subprocess.Popen(
                ["bash", "-c", line],
                cwd=ROOT,
                env=environment(**server.environment()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[held],
                start_new_session=True,
            )
        os.close(held)

    def until(self, reached):
        """Wait until `reached()` is true; fail if it takes too long or the pipeline has ended."""
        ends_at = time.monotonic() + SECONDS
        while not reached():
            said = (self._folder / "errors").read_text()[-2000:]
            assert self._shell.poll() is None, f"the pipeline has ended: {said}"
            assert time.monotonic() < ends_at, f"not reached in time: {said}"
            time.sleep(0.05)

    def stop(self, signum, *, only=None):
        """Send a signal to all processes, or to the one called `only`; wait for all to end."""
        if only is None:
            os.killpg(self._shell.pid, signum)
        else:
            self.until(lambda: self._named(only))
            os.kill(self._named(only)[0], signum)
        self._shell.wait(SECONDS)
        os.read(self._lives, 1)  # Nothing is written: at the end of file all have ended.

    def close(self):
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait(60)
        os.close(self._lives)

    def _named(self, name):
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                ours = os.getpgid(int(each.name)) == self._shell.pid
                if ours and f"/{name}\0" in (each / "cmdline").read_text():
                    found.append(int(each.name))
        return found


@contextmanager
def running(server, line, folder):
    pipeline = Pipeline(server, line, folder)
    try:
        yield pipeline
    finally:
        pipeline.close()


def stop_and_start(server, line, folder, done, count, finished, only=None):
    """Run `line` four times, stopping it after each quarter of `count`."""
    for quarter, signum in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL), 1):
        with running(server, line, folder) as pipeline:
            pipeline.until(lambda at=count * quarter / 4: done() >= at)
            pipeline.stop(signum, only=only)
    with running(server, line, folder) as pipeline:
        pipeline.until(finished)


def is_tagged(asset):
    words = Payload(parse(asset.payload, name="it"))["asset.keywords"] or ""
    return "flowtools" in words.split()


@pytest.mark.parametrize(
    ("options", "only"),
    [
        # Whatever is killed, unfinished changes are requested again.
        ("--ack worker", None),
        # Only the listener may be stopped: events in the pipe are still processed.
        ("", "flow-listen-assets"),
    ],
)
def test_every_asset_gets_its_tag_despite_faults_and_kills(tmp_path, options, only):
    with stand_in(assets=SIZE, rate=RATE, faults=FAULTS) as server:
        line = f"flow-listen-assets --state {tmp_path}/s {options} | {TAG}"

        def steps():
            return server.steps_done

        def finished():
            return steps() == SIZE and all(map(is_tagged, server.catalogue.assets()))

        stop_and_start(server, line, tmp_path, steps, SIZE, finished, only)
        assert len(server.catalogue.assets()) > SIZE / 4


def test_every_file_becomes_the_media_of_one_asset_despite_faults_and_kills(tmp_path):
    files = SIZE // 4
    with stand_in(files=files, rate=RATE / 4, faults=FAULTS) as server:
        line = (
            f"flow-listen-files xmlimport --state {tmp_path}/s --ack worker --settle 0.5"
            " | flow-work examples.import_files:ImportFiles -j 16 --retries 5"
        )

        def online():
            return sum(asset.status == "online" for asset in server.catalogue.assets())

        stop_and_start(server, line, tmp_path, online, files, lambda: online() >= files)
        there = {file.name: file.content for file in server.catalogue.storages.files("xmlimport")}
        assert {asset.title: asset.content for asset in server.catalogue.assets()} == there
        assert len(server.catalogue.assets()) == files
