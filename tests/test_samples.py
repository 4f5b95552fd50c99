"""The sample line in each source's manual page has the keys of the events it writes."""

import json
import re

import pytest
from coilmq.util.frames import Frame

from tests.conftest import ROOT
from tests.stomp_servers import Coil

SAMPLE = re.compile(
    r"wrapped here for reading.*?^\.Bd -literal.*?^(.*?)^\.Ed$", re.DOTALL | re.MULTILINE
)
SOURCE = "class Rundown:\n    def __iter__(self):\n        yield {'story': 12, 'slug': 'STRIKE'}\n"

WRITES = {
    "flow-listen-assets": "flow-sim --assets 50 -- flow-listen-assets --include created --count 1",
    "flow-listen-files": "flow-sim --files 9 -- flow-listen-files xmlimport --skip-empty --count 1",
    "flow-listen-stomp": 'flow-listen-stomp "$QUEUE" --count 1',
    "flow-interval": "flow-interval 60 --count 1",
    "flow-stdin": "echo 'one line' | flow-stdin",
    "flow-watch": "mkdir in; echo x >in/evening.mxf; flow-watch in --existing --count 1",
    "flow-source": "flow-source feed:Rundown",
}


def shown(name):
    (text,) = SAMPLE.findall((ROOT / "man" / f"{name}.1").read_text())
    return json.loads(text.replace("\\e", "\\"))


def keys(value, name=""):
    """The paths of all keys; those of headers are the broker's."""
    if not isinstance(value, dict) or name == "headers":
        return []
    return [(key, keys(each, key)) for key, each in value.items()]


@pytest.fixture
def queue():
    """The URL of a queue with a message."""
    broker = Coil()
    headers = {"message-id": "1", "destination": "/queue/a", "content-type": "application/json"}
    broker.store.enqueue("/queue/a", Frame("MESSAGE", headers, b'{"clip":7}'))
    yield broker.url()
    broker.stop()


@pytest.mark.parametrize("name", WRITES)
def test_the_sample_line_has_the_keys_that_the_source_writes(name, shell, tmp_path, queue):
    (tmp_path / "feed.py").write_text(SOURCE)
    status, out, err = shell(WRITES[name], QUEUE=queue)
    assert (status, err) == (0, "")
    written = json.loads(out.splitlines()[0])
    assert keys(shown(name)) == keys(written)
    assert shown(name)["type"].rpartition(".")[0] == written["type"].rpartition(".")[0]


def test_every_source_has_a_sample_line():
    sources = {path.stem for path in (ROOT / "man").glob("flow-listen-*.1")}
    assert sources | {"flow-interval", "flow-stdin", "flow-watch", "flow-source"} == set(WRITES)
