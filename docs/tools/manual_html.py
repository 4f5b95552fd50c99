"""Manual pages as pages of the site: mandoc renders them, and their terms become searchable.

MkDocs expects a page in Markdown. So the headings of a manual page are turned into Markdown, from
which MkDocs makes the table of contents, and the rest stays HTML. A term is an option, a file or
a metric in a list of definitions. mandoc also marks words in running text as link targets, each of
which links to itself; those marks are removed, because such a link leads nowhere.
"""

import re
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

TERM = re.compile(r"<dt id=\"([^\"]+)\">(.*?)</dt>(.*?)(?=<dt|</?dl|\n## |\n### )", re.DOTALL)
SELF_LINK = re.compile(r"<a class=\"permalink\" href=\"[^\"]*\">(.*?)</a>", re.DOTALL)
ELSEWHERE = re.compile(
    r"<a class=\"Sx\" href=\"(#[^\"]+)\">([^<]*)</a>(\s+in\s+)<a class=\"Xr\" href=\"([^\"]+)\">"
)
OPENED = re.compile(r"<(?!dt\b)(\w+)([^>]*?) id=\"[^\"]*\"")


@dataclass(frozen=True)
class Term:
    """A term that a list of a manual page defines, such as an option.

    Attributes:
        anchor: The fragment of its URL, without `#`.
        title: The text of the term, such as "--retries N".
        text: The beginning of its description.
    """

    anchor: str
    title: str
    text: str


def manual(page: Path) -> str:
    """Return the Markdown page of the manual page `page`."""
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
    text = anchored(text)
    # For "section X in page(7)" mandoc links to a section X of this page. Link to the other page.
    text = ELSEWHERE.sub(r'<a href="\4\1">\2</a>\3<a class="Xr" href="\4">', text)
    ours = {f"{each.name}.html" for each in page.parent.iterdir()}
    text = re.sub(
        r"(<a class=\"Xr\") href=\"([^\"]+)\"",
        lambda found: found[0] if found[2] in ours else found[1],
        text,
    )
    return f"# {page.stem}({page.suffix[1:]})\n\n{text}\n"


def anchored(text: str) -> str:
    """Return `text` with anchors at its terms only.

    mandoc numbers a name that occurs again, as in `#timeout~2`. If it is the first term of that
    name, its anchor becomes `#timeout`.
    """
    text = OPENED.sub(r"<\1\2", text)
    parts = re.split(r"(<dt id=.*?</dt>)", text, flags=re.DOTALL)
    parts[::2] = [SELF_LINK.sub(r"\1", part) for part in parts[::2]]
    seen: set[str] = set()
    for at in range(1, len(parts), 2):
        _, marked, term = parts[at].split('"', 2)
        name = marked.partition("~")[0]
        name = marked if name in seen else name
        seen.add(name)
        term = SELF_LINK.sub(r"\1", term.removesuffix("</dt>").removeprefix(">"))
        link = f'<a class="permalink" href="#{name}">'
        first, opened, rest = term.partition("</code>")
        parts[at] = f'<dt id="{name}">{link}{first}{opened}</a>{rest}</dt>'
    return "".join(parts)


def terms(text: str) -> list[Term]:
    """Return the terms of a page that `manual` has made."""
    return [Term(name, plain(what), plain(more)) for name, what, more in TERM.findall(text)]


def section(text: str, name: str) -> str:
    """Return the text below the heading `name` of a page that `manual` has made."""
    _, _, rest = text.partition(f"{{ #{name} }}")
    return rest.partition("\n## ")[0].strip()


def plain(html: str) -> str:
    """Return the text of some HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
