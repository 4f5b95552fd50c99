"""The documentation site from what there is: a hook of MkDocs, see mkdocs.yml.

The README is the first page, the manual pages are rendered by mandoc, and whatever file of
the project a page links to is a page of its own, so that no text is there twice and no link
leads out of the site. A file keeps its path below the site, with two exceptions: docs/x.md is
x.md, and the README is index.md.
"""

import posixpath
import re
import subprocess
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()(?![a-z]+:)([^)#\s]+)?(#[^)\s]*)?(\))")
FENCED = re.compile(r"^(?:```.*?^```$|(?:    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".sh": "sh", ".ini": "ini", ".xml": "xml", ".json": "json"}
MANUAL = "Manual pages"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation with the manual pages."""
    pages = sorted((ROOT / "man").iterdir(), key=lambda page: (page.suffix, page.name))
    for entry in config.nav or []:
        if MANUAL in entry:
            entry[MANUAL] = [
                {f"{page.stem}({page.suffix[1:]})": f"man/{page.name}.md"} for page in pages
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, or the navigation names."""
    wanted = [*paths(config.nav), *(path for file in files for path in linked(tree_path(file)))]
    while wanted:
        path = wanted.pop()
        place = site_path(path)
        if files.get_file_from_path(place) or path.startswith("docs/"):
            continue
        files.append(File.generated(config, place, content=content(path)))
        wanted += linked(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let each link lead to where its file is in the site."""
    here = tree_path(page.file)
    if (ROOT / here).suffix != ".md":
        return markdown

    def moved(found: re.Match[str]) -> str:
        opened, path, anchor, closed = found.groups("")
        if path:
            target = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(here), path)))
            path = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
        return opened + path + anchor + closed

    return outside_of_code(LINK, moved, markdown)


def site_path(path: str) -> str:
    """Return where the project's file or folder `path` is in the site."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"{path}/index.md"
    return path if path.endswith(".md") else f"{path}.md"


def tree_path(file: File) -> str:
    """Return the path in the project of what `file` shows."""
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
    """Return the files of the project that the Markdown file `path` links to."""
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
            raise PluginError(f"{path} links to '{each}', which is not there")
    return found


def outside_of_code(pattern: re.Pattern[str], replacement: Any, text: str) -> str:
    """Return `text` with `pattern` replaced in what is no code block."""
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
    language = LANGUAGES.get(whole.suffix, "text")
    return f"# {path}\n\n````{language}\n{whole.read_text()}````\n"


def names(folder: Path) -> list[str]:
    """Return what is in `folder`, without what running it has left."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(str(path.relative_to(folder)) for path in found)


def manual(page: Path) -> str:
    """Return a manual page: its headings in Markdown, for the table of contents, the rest HTML."""
    command = ["mandoc", "-T", "html", "-O", "fragment,man=%N.%S.html", str(page)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    text = re.sub(r"<table class=\"(?:head|foot)\">.*?</table>", "", text, flags=re.DOTALL)
    text = re.sub(r"</?section[^>]*>|<div class=\"manual-text\">|</div>\s*\Z", "", text)
    # mandoc's own ids collide with those of headings; only terms keep theirs.
    text = re.sub(
        r"<h([12]) class=\"S[hs]\" id=\"([^\"]+)\">(.*?)</h\1>",
        lambda found: f"\n\n{'#' * (int(found[1]) + 1)} {plain(found[3])} {{ #{found[2]} }}\n\n",
        text,
        flags=re.DOTALL,
    )
    ours = {f"{each.name}.html" for each in page.parent.iterdir()}
    text = re.sub(
        r"(<a class=\"Xr\") href=\"([^\"]+)\"",
        lambda found: found[0] if found[2] in ours else found[1],
        text,
    )
    return f"# {page.stem}({page.suffix[1:]})\n\n{text}\n"


def plain(html: str) -> str:
    """Return the text of a heading."""
    return " ".join(re.sub(r"<[^>]+>", "", html).split())
