"""What a server offers: the collections of its service document, their searches and templates.

A template is a URL as in OpenSearch: `{name}`, `{name?}`, `{prefix:name}`. A parameter of a
query that is not given is dropped from it together with its name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Link, links_of
from flowtools.vizone.document import Element, address, text
from flowtools.vizone.namespaces import APP, ATOM, OPENSEARCH, PREFIXES, VDF

DESCRIPTION_TYPE = "application/opensearchdescription+xml"

_ATOM_TYPE = "application/atom+xml"

_PARAMETER = re.compile(r"\{([^{}?]+)(\??)\}")

Name = tuple[str, str]
"""A parameter: its namespace, and its local name."""


@dataclass(frozen=True)
class Template:
    """A URL with parameters.

    Attributes:
        text: What the document says.
        prefixes: What the prefixes in it stand for.
    """

    text: str
    prefixes: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[Name]:
        """Its parameters, each a namespace and a local name, in their order."""
        return [self._resolve(found[1]) for found in _PARAMETER.finditer(self.text)]

    def has(self, name: str) -> bool:
        """Return whether it has the parameter `name`, such as "count" or "vizsort:sort"."""
        return _usual(name) in self.names

    def fill(self, values: Mapping[str, str], main: str | None = None) -> str:
        """Return the URL with `values`, percent-encoded, in the places of their parameters.

        Args:
            values: By name, such as "count" or "vizsort:sort", with the usual prefixes.
            main: The value of the one parameter that is left over, whatever its name.

        Raises:
            ProtocolError: A value of the path is missing, or `main` has no place, or two.
        """
        given = {_usual(name): value for name, value in values.items()}
        if main is not None:
            given[self._left_over(given)] = main
        path, mark, query = self.text.partition("?") if "?}" not in self.text else self._split()
        parts = [self._part(part, given) for part in query.split("&")] if mark else []
        kept = [part for part in parts if part]
        return self._path(path, given) + ("?" + "&".join(kept) if kept else "")

    def _split(self) -> tuple[str, str, str]:
        # A "?" that ends a parameter starts no query.
        for found in re.finditer(r"\?", self.text):
            if self.text[found.end() : found.end() + 1] != "}":
                return self.text[: found.start()], "?", self.text[found.end() :]
        return self.text, "", ""

    def _left_over(self, given: Mapping[Name, str]) -> Name:
        left = list(dict.fromkeys(name for name in self.names if name not in given))
        if len(left) != 1:
            raise ProtocolError(
                f"cannot use the template '{self.text}': expected one parameter for the key"
            )
        return left[0]

    def _path(self, path: str, given: Mapping[Name, str]) -> str:
        def value(found: re.Match[str]) -> str:
            said = given.get(self._resolve(found[1]))
            if said is None and not found[2]:
                raise ProtocolError(
                    f"cannot use the template '{self.text}': there is no value for '{found[1]}'"
                )
            return _quoted(said or "")

        return _PARAMETER.sub(value, path)

    def _part(self, part: str, given: Mapping[Name, str]) -> str:
        for found in _PARAMETER.finditer(part):
            if given.get(self._resolve(found[1])) is None:
                return ""
        return _PARAMETER.sub(lambda found: _quoted(given[self._resolve(found[1])]), part)

    def _resolve(self, name: str) -> Name:
        prefix, colon, local = name.strip().rpartition(":")
        if not colon:
            return "", local
        known = dict(self.prefixes)
        # A prefix that the document does not declare means what it usually does.
        return _plain(known.get(prefix) or PREFIXES.get(prefix, prefix)), local


def _usual(name: str) -> Name:
    prefix, colon, local = name.rpartition(":")
    return _plain(PREFIXES.get(prefix, prefix) if colon else ""), local


def _plain(namespace: str) -> str:
    """Return what a name without a prefix has instead of OpenSearch's namespace."""
    # Some write it without the slash at its end.
    return "" if namespace.rstrip("/") == OPENSEARCH.rstrip("/") else namespace


def _quoted(value: str) -> str:
    # A bare dot segment would be taken for a step up when the URL is resolved.
    return value.replace(".", "%2E") if value in (".", "..") else quote(value, safe="")


def is_template(text: str) -> bool:
    """Return whether `text` is a template with a place to fill, leading to the web or relative."""
    try:
        scheme = urlsplit(text.partition("{")[0]).scheme
    except ValueError:
        return False
    return bool(_PARAMETER.search(text)) and scheme in ("", "http", "https")


@dataclass(frozen=True)
class Collection:
    """A collection of the service document.

    Attributes:
        href: Its address.
        keywords: Its keywords, in lower case.
        links: Its links, `search` among them.
        templates: Its resolve templates by their id.
    """

    href: str
    keywords: frozenset[str]
    links: tuple[Link, ...] = ()
    templates: dict[str, Template] = field(default_factory=dict)

    @property
    def search(self) -> str | None:
        """The address of its OpenSearch description, if it has one."""
        return next((link.href for link in self.links if link.rel == "search"), None)


def read_service(service: Element) -> list[Collection]:
    """Return the collections of a service document, in their order.

    Raises:
        ProtocolError: It is no service document.
    """
    if service.tag != f"{{{APP}}}service":
        raise ProtocolError(f"cannot read '{service.base}': it is no service document")
    return [
        Collection(
            href,
            frozenset(_keywords(each)),
            tuple(links_of(each)),
            dict(_templates(each)),
        )
        for each in service.iter(f"{{{APP}}}collection")
        if (href := address(each, each.get("href"))) is not None
    ]


def _keywords(collection: Element) -> Iterator[str]:
    for category in collection.iter(f"{{{ATOM}}}category"):
        if category.get("scheme") == VDF and category.get("term"):
            yield category.get("term", "").lower()


def _templates(collection: Element) -> Iterator[tuple[str, Template]]:
    # How a resolve template is written is not public: take any child that has an id and,
    # as an attribute or as its text, a URL with a parameter in it.
    for each in collection.iterchildren("{*}*"):
        id = each.get("id") or each.get("name") or each.get("title")
        candidates = [each.get("template"), each.get("href"), text(each)]
        found = next((said for said in candidates if said and is_template(said)), None)
        if id and found:
            yield id, template_of(each, found)


def template_of(element: Element, said: str) -> Template:
    """Return the template `said` in `element`, whose namespaces and base URL it uses."""
    prefixes = tuple((name, uri) for name, uri in element.nsmap.items() if name)
    # Only what stands before the first parameter is certain to be a URL.
    head, brace, tail = said.partition("{")
    return Template((address(element, head) or element.base or "") + brace + tail, prefixes)


def read_description(description: Element) -> Template:
    """Return the template of a search for a feed, of an OpenSearch description.

    Raises:
        ProtocolError: It has none.
    """
    found = [
        (each.get("type", "").partition(";")[0].strip().lower() == _ATOM_TYPE, each)
        for each in description.iterchildren("{*}Url")
        if is_template(each.get("template", ""))
    ]
    if not found:
        raise ProtocolError(f"cannot search: '{description.base}' has no template")
    # The first that gives Atom; else the first at all.
    chosen = next((each for is_atom, each in found if is_atom), found[0][1])
    return template_of(chosen, chosen.get("template", ""))
