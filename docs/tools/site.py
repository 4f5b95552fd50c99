"""The hooks of MkDocs that make the documentation site from the files of the project.

`make docs` runs MkDocs, which calls the functions on_... in the order in which they stand here (see
mkdocs.yml). The README is the first page, mandoc renders the manual pages, and every file of the
project that a page links to becomes a page, too. So no text has to be copied for the site, and no
link leads out of it. A page has the path of its file, with two exceptions: docs/x.md becomes x.md,
and the README becomes index.md.
"""

import json
import posixpath
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import reference_pages as reference
from manual_html import manual, terms
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()(?![a-z]+:)([^)#\s]+)?(#[^)\s]*)?(\))")
TABLE_ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
FENCED = re.compile(r"^(?:```.*?^```$|(?:    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".sh": "sh", ".ini": "ini", ".xml": "xml", ".json": "json"}
PICTURES = (".svg", ".png")
IMAGE = re.compile(r'<img [^>]*src="([^"]+\.svg)"[^>]*>')
CODE = re.compile(r"`[^`\n]+`")
BOOSTS = {
    "index.md": 2.0,
    "man/": 2.0,
    "CHANGELOG.md": 0.02,
    "benchmarks/": 0.1,
    "architecture.md": 0.2,
    "conformance.md": 0.1,
    "CONTRIBUTING.md": 0.2,
    "python/": 0.3,
    "schemas/": 0.5,
}
"""Weights of pages in the search, by the beginning of their path. The first one that fits counts;
other pages have the weight 1."""
MADE = {
    "schemas/index.md": reference.event_schemas,
    "metrics.md": reference.metrics,
    "exit-statuses.md": reference.exit_statuses,
    "source.md": reference.sources,
}
"""Pages that are made from the code, and the function that makes each."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version, and fill the lists of the navigation that come from the code."""
    config.site_name = f"flowtools {version('flowtools')}"
    pages = sorted((ROOT / "man").iterdir(), key=lambda page: (page.suffix, page.name))
    lists = {
        "Manual pages": {
            f"{page.stem}({page.suffix[1:]})": f"man/{page.name}.md" for page in pages
        },
        "Python API": {name: f"python/{name}.md" for name in reference.public_modules()},
        "Event types": {"All event types": "schemas/index.md"}
        | {path.stem: f"schemas/{path.name}.md" for path in schemas()},
    }
    config.nav = filled(config.nav, lists)
    return config


def filled(nav: Any, lists: dict[str, dict[str, str]]) -> Any:
    """Return `nav` with each of `lists` in the place that has its title."""
    if isinstance(nav, list):
        return [filled(entry, lists) for entry in nav]
    if not isinstance(nav, dict):
        return nav
    return {
        title: [{name: path} for name, path in lists[title].items()]
        if title in lists
        else filled(below, lists)
        for title, below in nav.items()
    }


def schemas() -> list[Path]:
    """Return the JSON Schemas of the events."""
    return sorted((ROOT / "docs" / "schemas").glob("*.json"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and a page for each file outside docs/ that a page links to."""
    made = {place: make() for place, make in MADE.items()}
    made |= {
        f"python/{name}.md": reference.python_module(name) for name in reference.public_modules()
    }
    made |= {f"schemas/{path.name}.md": reference.event_schema(path) for path in schemas()}
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    for name in ("search.js", "site.css"):
        script = File.generated(
            config, f"assets/{name}", abs_src_path=str(ROOT / "docs" / "tools" / name)
        )
        files.append(script)
    # A page that is added may link to further files, so the list grows while it is worked off.
    wanted = [
        *paths(config.nav),
        *(path for file in files for path in linked(tree_path(file))),
        *(str(path.relative_to(ROOT)) for path in reference.source_files()),
    ]
    while wanted:
        path = wanted.pop()
        place = site_path(path)
        if files.get_file_from_path(place) or (path.startswith("docs/") and is_page(path)):
            continue
        if path.endswith(PICTURES):
            files.append(File(path, str(ROOT), config.site_dir, use_directory_urls=False))
            continue
        files.append(File.generated(config, place, content=content(path)))
        wanted += linked(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite each link to the path of its file in the site, and set the page's search weight."""
    here = tree_path(page.file)
    weigh(page)
    if (ROOT / here).suffix != ".md":
        return markdown

    def moved(found: re.Match[str]) -> str:
        opened, path, anchor, closed = found.groups("")
        if path:
            target = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(here), path)))
            path = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
        return opened + path + anchor + closed

    return outside_of_code(TABLE_ROW, unescaped, outside_of_code(LINK, moved, markdown))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link each picture to itself, so that a click shows it alone, where it can be enlarged."""
    return IMAGE.sub(r'<a class="picture" href="\1">\g<0></a>', html)


def unescaped(row: re.Match[str]) -> str:
    r"""Return a table row with `\|` in code replaced by `|`: MkDocs, unlike GitHub, shows both."""
    return CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0])


def weigh(page: Page) -> None:
    """Set the page's search weight: pages for users come first, source files are not found."""
    path = page.file.src_uri
    if path.endswith(tuple(f"{suffix}.md" for suffix in LANGUAGES)) and path[:8] != "schemas/":
        page.meta["search"] = {"exclude": True}
        return
    boost = next((boost for prefix, boost in BOOSTS.items() if path.startswith(prefix)), 1.0)
    page.meta["search"] = {"boost": boost}


def on_post_build(config: MkDocsConfig) -> None:
    """Add each term of the manual pages to the search: options, files, metrics."""
    # MkDocs makes an entry for each heading, and options are terms of a list below one heading.
    path = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(path.read_text())
    for page in sorted((ROOT / "man").iterdir()):
        for term in terms(manual(page)):
            location = f"man/{page.name}.html#{term.anchor}"
            entry = {"location": location, "title": term.title, "text": term.text, "boost": 2.0}
            index["docs"].append(entry)
    path.write_text(json.dumps(index, separators=(",", ":")))


def site_path(path: str) -> str:
    """Return the path in the site of the project's file or folder `path`."""
    if path == "README.md":
        return "index.md"
    if path == "docs/schemas":
        return "schemas/index.md"
    if path.startswith("docs/"):
        path = path.removeprefix("docs/")
        return path if is_page(path) else f"{path}.md"
    if (ROOT / path).is_dir():
        return f"{path}/index.md"
    return path if path.endswith((".md", *PICTURES)) else f"{path}.md"


def is_page(path: str) -> bool:
    """Return whether MkDocs finds a file below docs/ by itself."""
    return path.endswith((".md", ".json", *PICTURES))


def tree_path(file: File) -> str:
    """Return the path in the project of the file that the page `file` shows."""
    path = file.src_uri
    if path == "index.md":
        return "README.md"
    if (ROOT / "docs" / path).exists():
        return f"docs/{path}"
    return path if (ROOT / path).exists() else path.removesuffix("/index.md").removesuffix(".md")


def paths(nav: Any) -> list[str]:
    """Return the files of the project that the navigation names."""
    if isinstance(nav, str):
        name = "README.md" if nav == "index.md" else nav
        return [name if (ROOT / name).exists() else name.removesuffix(".md")]
    if isinstance(nav, dict):
        nav = list(nav.values())
    return [path for entry in nav or [] for path in paths(entry)]


def linked(path: str) -> list[str]:
    """Return the files of the project that the Markdown file `path` links to.

    Raises:
        PluginError: It links to a file that does not exist.
    """
    if not path.endswith(".md") or not (ROOT / path).is_file():
        return []
    found: list[str] = []

    def note(link: re.Match[str]) -> str:
        if link[2]:
            found.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2])))
        return link[0]

    outside_of_code(LINK, note, (ROOT / path).read_text())
    for each in found:
        if not (ROOT / each).exists():
            raise PluginError(f"{path} links to '{each}', which does not exist")
    return found


def outside_of_code(pattern: re.Pattern[str], replacement: Any, text: str) -> str:
    """Return `text` with `pattern` replaced everywhere except in code blocks."""
    done, at = [], 0
    for block in FENCED.finditer(text):
        done += [pattern.sub(replacement, text[at : block.start()]), block[0]]
        at = block.end()
    return "".join([*done, pattern.sub(replacement, text[at:])])


def content(path: str) -> str:
    """Return the page for a file or folder of the project."""
    whole = ROOT / path
    if whole.is_dir():
        return f"# {path}\n\n" + "".join(f"- `{name}`\n" for name in names(whole))
    if whole.suffix == ".md":
        return whole.read_text()
    if path.startswith("man/"):
        return manual(whole)
    # Four backticks, because the file may contain a fence of three.
    language = LANGUAGES.get(whole.suffix, "text")
    return f"# {path}\n\n````{language}\n{whole.read_text()}````\n"


def names(folder: Path) -> list[str]:
    """Return the files in `folder`, except compiled ones."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(str(path.relative_to(folder)) for path in found)
