"""The built documentation site, as a reader and the search see it."""

import fcntl
import json
import re
import subprocess
import sys
from html import unescape
from importlib.metadata import version
from importlib.util import find_spec
from urllib.parse import unquote

import pytest

from tests.conftest import ROOT, environment
from tests.packages import SCRIPTS
from tests.running import SECONDS

PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r'<[a-z][^<>]*?\b(?:href|src)="?(?![a-z]+:|//)([^" >]+)')
LETTER_OR_WORD = re.compile(r"(?<![\w-])(--?[a-z][a-z0-9-]*)")
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="session")
def site(tmp_path_factory, worker_id):
    """The folder of the built site: one build for all processes of a test run."""
    if not find_spec("material") or not find_spec("mkdocstrings"):
        pytest.skip("needs MkDocs: make .venv/with-docs")
    shared = tmp_path_factory.getbasetemp()
    folder = (shared if worker_id == "master" else shared.parent) / "site"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "search" / "search_index.json").exists():
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
            env = environment(NO_MKDOCS_2_WARNING="1")
            done = subprocess.run(
                command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def found(site):
    """The titles in the search index, by the page that they lead to."""
    index = json.loads((site / "search" / "search_index.json").read_text())
    titles = {}
    for each in index["docs"]:
        page = each["location"].partition("#")[0]
        titles.setdefault(page, set()).add(re.sub(r"<[^>]+>", "", unescape(each["title"])))
    return titles


def test_the_site_has_every_page_and_no_broken_link(site):
    pages = {path: path.read_text() for path in site.rglob("*.html") if path.name != "404.html"}
    names = {str(path.relative_to(site)) for path in pages}
    manual = {f"man/{page.name}.html" for page in (ROOT / "man").iterdir()}
    assert names >= {"index.html", *manual, *(f"{page.stem}.html" for page in PAGES)}
    anchors = {path: set(re.findall(r'\bid="?([^" >]+)', text)) for path, text in pages.items()}
    lost = []
    for path, text in pages.items():
        for link in LINK.findall(text):
            name, _, anchor = map(unquote, link.partition("#"))
            target = (path.parent / name).resolve() if name else path
            if not target.exists() or (anchor and anchor not in anchors.get(target, ())):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert lost == []


def test_the_site_includes_the_readme_and_the_manual(site):
    assert "flow-sim --assets 10000 --rate 2 -- bash" in (site / "index.html").read_text()
    work = (site / "man" / "flow-work.1.html").read_text()
    assert re.search(r'<h2 id="EXIT_STATUS">', work)
    assert 'href="flowtools.7.html"' in work


def test_the_site_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="?(https?:[^" >]+)', path.read_text()
        )
        assert [url for url in fetched if "canonical" not in url] == []


def test_pictures_are_loaded_as_images(site):
    shown = set()
    for page in site.rglob("*.html"):
        for source in re.findall(r'<img[^>]+src="?([^" >]+)', page.read_text()):
            path = page.parent / unquote(source)
            assert path.suffix in (".svg", ".png"), f"{page.name}: {source}"
            assert path.is_file(), f"{page.name}: {source}"
            shown.add(path.name)
    assert "soak.svg" in shown
    assert (
        '<a class="picture" href="soak.svg"><img'
        in (site / "benchmarks" / "index.html").read_text()
    )


def test_a_command_in_a_table_can_be_pasted(site):
    text = (site / "benchmarks" / "index.html").read_text()
    assert "<code>flow-stdin | flow-work Noop</code>" in text
    for page in site.rglob("*.html"):
        if page.relative_to(site).parts[0] not in ("python", "flowtools"):
            cells = re.findall(r"<td[^>]*>.*?</td>", page.read_text(), re.DOTALL)
            assert [cell for cell in cells if r"\|" in cell] == [], page


@pytest.mark.parametrize("command", sorted(SCRIPTS))
def test_each_option_of_a_command_is_found_by_the_search(command, found):
    asked = [ROOT / "bin" / command, "--help"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    lines = re.findall(r"^ {1,6}(-.*?)(?:  |$)", said, re.MULTILINE)
    options = {option for line in lines for option in LETTER_OR_WORD.findall(line)}
    titles = found[f"man/{command}.1.html"]
    listed = {option for title in titles for option in LETTER_OR_WORD.findall(title)}
    everywhere = {
        option
        for title in found["man/flowtools.7.html"]
        for option in LETTER_OR_WORD.findall(title)
    }
    assert len(options) > 2
    assert options - listed - everywhere == set()


def test_the_search_ranks_user_pages_above_the_changelog(site):
    index = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    boosts = {each["location"].partition("#")[0]: each.get("boost", 1) for each in index}
    assert boosts["man/flow-work.1.html"] > boosts["brokers.html"] > boosts["CHANGELOG.html"]
    assert boosts["CHANGELOG.html"] < 0.1
    assert "flowtools/pool/work.py.html" not in boosts


def test_the_search_strips_the_dashes_of_an_option(site):
    page = (site / "index.html").read_text()
    assert re.search(r'<script src="?assets/search.js', page)
    assert "Object.defineProperty" in (site / "assets" / "search.js").read_text()


def test_a_word_of_a_manual_page_does_not_link_to_itself(site):
    for page in (site / "man").glob("*.html"):
        text = re.sub(r"<dt\b.*?</dt>", "", page.read_text(), flags=re.DOTALL)
        assert 'class="permalink"' not in text, page


def test_every_page_of_docs_is_in_the_navigation():
    named = re.findall(r": ([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert [page.name for page in PAGES if page.name not in named] == []


def test_the_site_shows_its_version_and_links_to_the_code(site):
    assert f"flowtools {version('flowtools')}</title>" in (site / "index.html").read_text()
    sources = (site / "source.html").read_text()
    for path in (ROOT / "flowtools").rglob("*.py"):
        assert f'href="{path.relative_to(ROOT)}.html"' in sources
    shown = (site / "flowtools" / "worker" / "contract.py.html").read_text()
    assert "Worker" in shown


def test_the_reference_includes_the_pages_generated_from_the_code(site):
    worker = (site / "python" / "flowtools.worker.html").read_text()
    assert 'id="flowtools.worker.Retry"' in worker
    for path in (ROOT / "docs" / "schemas").glob("*.json"):
        assert (site / "schemas" / f"{path.name}.html").is_file()
    assert "flowtools_lag_seconds" in (site / "metrics.html").read_text()
    statuses = (site / "exit-statuses.html").read_text()
    for status in ("69", "70", "76", "77", "78", "141"):
        assert re.search(rf"<dt[^>]*>(?:<[^>]+>)*{status}<", statuses)
