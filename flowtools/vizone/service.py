"""What a server offers: the collections of its service document, their searches and templates.

A template is a URL with parameters as in OpenSearch: `{name}`, `{name?}` (optional) or
`{prefix:name}`, whose prefix stands for a namespace. A part of the query (`NAME={name}`) whose
parameter has no value is left out of the URL.
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
"""A parameter of a template: its namespace ("" for OpenSearch's own) and its local name."""


@dataclass(frozen=True)
class Template:
    """A URL with parameters.

    Attributes:
        text: The template as it is in the document.
        prefixes: Pairs of prefix and namespace that the document declares.
    """

    text: str
    prefixes: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[Name]:
        """The parameters, in the order of the template."""
        return [self._resolve(found[1]) for found in _PARAMETER.finditer(self.text)]

    def has(self, name: str) -> bool:
        """Return whether the template has the parameter `name` ("count", "vizsort:sort")."""
        return _usual(name) in self.names

    def fill(self, values: Mapping[str, str], main: str | None = None) -> str:
        """Return the URL with `values`, percent-encoded, in place of the parameters.

        Args:
            values: Values by parameter name ("count", "vizsort:sort"), with the usual prefixes.
            main: Value of the one parameter that is not in `values`, whatever its name. No public
                trace shows the name of the key's parameter.

        Raises:
            ProtocolError: A parameter of the path has no value, or `main` fits no parameter or
                more than one.
        """
        given = {_usual(name): value for name, value in values.items()}
        if main is not None:
            given[self._left_over(given)] = main
        path, mark, query = self.text.partition("?") if "?}" not in self.text else self._split()
        parts = [self._part(part, given) for part in query.split("&")] if mark else []
        kept = [part for part in parts if part]
        return self._path(path, given) + ("?" + "&".join(kept) if kept else "")

    def _split(self) -> tuple[str, str, str]:
        # The "?" of an optional parameter, as in "{name?}", does not start the query.
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
        # A prefix that the document does not declare has its usual meaning.
        return _plain(known.get(prefix) or PREFIXES.get(prefix, prefix)), local


def _usual(name: str) -> Name:
    prefix, colon, local = name.rpartition(":")
    return _plain(PREFIXES.get(prefix, prefix) if colon else ""), local


def _plain(namespace: str) -> str:
    """Return `namespace`, or "" for OpenSearch's, which a name without a prefix belongs to."""
    # Some documents write that namespace without the final slash.
    return "" if namespace.rstrip("/") == OPENSEARCH.rstrip("/") else namespace


def _quoted(value: str) -> str:
    # "." or ".." as a path segment would be removed when the URL is resolved (RFC 3986, 5.2.4), and
    # the request would go to another address. `quote` leaves dots as they are.
    return value.replace(".", "%2E") if value in (".", "..") else quote(value, safe="")


def is_template(text: str) -> bool:
    """Return whether `text` has a parameter and is an http(s) or a relative address."""
    try:
        scheme = urlsplit(text.partition("{")[0]).scheme
    except ValueError:
        return False
    return bool(_PARAMETER.search(text)) and scheme in ("", "http", "https")


@dataclass(frozen=True)
class Collection:
    """A collection of the service document.

    Attributes:
        href: Address of the collection's feed, to which new entries are posted.
        keywords: Keywords that name the collection, in lower case.
        links: Links of the collection, such as `search`.
        templates: Resolve templates by their id.
    """

    href: str
    keywords: frozenset[str]
    links: tuple[Link, ...] = ()
    templates: dict[str, Template] = field(default_factory=dict)

    @property
    def search(self) -> str | None:
        """Address of the OpenSearch description; None without one."""
        return next((link.href for link in self.links if link.rel == "search"), None)


def read_service(service: Element) -> list[Collection]:
    """Return the collections of a service document, in document order.

    Raises:
        ProtocolError: The document is not a service document.
    """
    if service.tag != f"{{{APP}}}service":
        raise ProtocolError(f"cannot read '{service.base}': not a service document")
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
    # How a resolve template is written is not public. So any child counts that has an id and a URL
    # with a parameter, in an attribute or as its text.
    for each in collection.iterchildren("{*}*"):
        id = each.get("id") or each.get("name") or each.get("title")
        candidates = [each.get("template"), each.get("href"), text(each)]
        found = next((said for said in candidates if said and is_template(said)), None)
        if id and found:
            yield id, template_of(each, found)


def template_of(element: Element, said: str) -> Template:
    """Return the template `said`, with the namespaces and the base URL of `element`."""
    prefixes = tuple((name, uri) for name, uri in element.nsmap.items() if name)
    # Only the part before the first parameter can be resolved as a URL.
    head, brace, tail = said.partition("{")
    return Template((address(element, head) or element.base or "") + brace + tail, prefixes)


def read_description(description: Element) -> Template:
    """Return the search template of an OpenSearch description, if possible one that gives a feed.

    Raises:
        ProtocolError: The description has no template.
    """
    found = [
        (each.get("type", "").partition(";")[0].strip().lower() == _ATOM_TYPE, each)
        for each in description.iterchildren("{*}Url")
        if is_template(each.get("template", ""))
    ]
    if not found:
        raise ProtocolError(f"cannot search: '{description.base}' has no template")
    # Descriptions often also have templates for web pages.
    chosen = next((each for is_atom, each in found if is_atom), found[0][1])
    return template_of(chosen, chosen.get("template", ""))
