"""The commands in docs/, run as written, and the files that the pages link to."""

import re
import signal

import pytest
from coilmq.util.frames import Frame

from tests.conftest import ROOT
from tests.documents import examples, on_the_stand_in, unfenced
from tests.stomp_servers import Coil

PAGES = sorted((ROOT / "docs").glob("*.md"))
# Operating needs a pipeline with failures, other tools need kcat and cron; the other pages
# show their output.
ELSEWHERE = {
    "operating.md": "test_operating.py",
    "other-tools.md": "test_readme.py",
    "tutorial.md": "test_tutorial.py",
    "cookbook.md": "test_cookbook.py",
}
EXAMPLES = [(page, each) for page in PAGES if page.name not in ELSEWHERE for each in examples(page)]
ENDLESS = {
    "One pipeline: flow-listen-stomp": 3,
    "A listener on two servers: flow-listen-assets": 3,
}
"""Endless examples, and the number of lines after which Control-C is pressed."""


# Of the other pages, these two have commands that take minutes or need root: only their
# spelling is checked.
NOT_RUN = {
    "CONTRIBUTING.md": r"make [a-z-]+",
    "benchmarks/README.md": r"make [a-z-]+|benchmarks/run [a-z]+|benchmarks/[a-z_]+",
}


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
def test_each_command_in_docs_runs_as_written(example, place, queue):
    lines = next((n for name, n in ENDLESS.items() if str(example).startswith(name)), None)
    status, out, err = on_the_stand_in(example.text, place, lines=lines, QUEUE=queue)
    assert (status, err) == (128 + signal.SIGINT if lines else 0, "")
    assert len(out.splitlines()) >= (lines or 0)


def test_pages_with_their_own_tests_exist():
    assert [name for name in ELSEWHERE.values() if not (ROOT / "tests" / name).exists()] == []


def test_every_listed_endless_example_exists():
    assert [n for n in ENDLESS if not any(str(e).startswith(n) for _, e in EXAMPLES)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_in_a_tested_block(page):
    assert unfenced(page) == []


@pytest.mark.parametrize(("name", "pattern"), NOT_RUN.items(), ids=NOT_RUN)
def test_commands_that_are_not_run_exist(name, pattern):
    commands = set(re.findall(pattern, (ROOT / name).read_text()))
    assert commands
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    there = {f"make {target}" for target in targets}
    there |= {f"benchmarks/run {path.stem}" for path in (ROOT / "benchmarks/pool").glob("*.py")}
    there |= {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").iterdir()}
    assert sorted(commands - there) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_linked_file_exists(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_of_the_project_exists(page):
    folders = "benchmarks|bin|contrib|docs|examples|flowtools|man|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def sections_of(page):
    """The titles of the sections of a manual page."""
    return re.findall(r'^\.S[hs] "?(.*?)"?$', page.read_text(), re.MULTILINE)


MANUAL = sorted((ROOT / "man").iterdir())
TEXTS = [
    *PAGES,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *MANUAL,
]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_every_named_section_of_a_manual_page_exists(page):
    text = page.read_text()
    if page in MANUAL:
        named = re.findall(
            r'\.Xr (\S+) (\d) ,\n(?:under\n)?\.Dq "?(.*?)"?(?: [.,;)]+)*$', text, re.MULTILINE
        )
    else:
        flat = re.sub(r"\s+", " ", text)
        named = re.findall(r'(flow[a-z-]*)\((\d)\)(?:\]\([^)]*\))?, "([^"]+)"', flat)
        named += re.findall(r"(flow[a-z-]*)\((\d)\)(?:\]\([^)]*\))?, under ([A-Z]+)", flat)
    missing = [
        each for each in named if each[2] not in sections_of(ROOT / "man" / ".".join(each[:2]))
    ]
    assert missing == []
