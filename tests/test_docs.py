"""The commands in docs/, run as they stand there, and the files that it links to."""

import re
import signal

import pytest
from coilmq.util.frames import Frame

from tests.conftest import ROOT
from tests.documents import examples, on_the_stand_in, unfenced
from tests.stomp_servers import Coil

PAGES = sorted((ROOT / "docs").glob("*.md"))
EXAMPLES = [(page, each) for page in PAGES for each in examples(page)]
ENDLESS = {"One pipeline: flow-listen-stomp": 3}
"""What goes on until it is stopped, and the lines after which Control-C is pressed."""


@pytest.fixture
def place(tmp_path):
    """A directory with the README's Worker, and the examples of a checkout."""
    (worker,) = examples(ROOT / "README.md", "python")
    (tmp_path / "mymod.py").write_text(worker.text)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.fixture
def queue():
    """The URL of a queue with three messages."""
    broker = Coil()
    for number in range(3):
        headers = {"message-id": str(number), "destination": "/queue/a"}
        broker.store.enqueue("/queue/a", Frame("MESSAGE", headers, b'{"n":1}'))
    yield broker.url()
    broker.stop()


@pytest.mark.parametrize("example", [each for _, each in EXAMPLES], ids=str)
def test_a_command_runs_as_it_stands(example, place, queue):
    lines = next((n for name, n in ENDLESS.items() if str(example).startswith(name)), None)
    status, out, err = on_the_stand_in(example.text, place, lines=lines, QUEUE=queue)
    assert (status, err) == (128 + signal.SIGINT if lines else 0, "")
    assert len(out.splitlines()) >= (lines or 0)


def test_every_example_that_is_endless_is_there():
    assert [n for n in ENDLESS if not any(str(e).startswith(n) for _, e in EXAMPLES)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_stands_where_no_test_runs_it(page):
    assert unfenced(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_it_links_to_is_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
