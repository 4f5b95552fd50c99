"""The service document: collections by keyword, their search links and resolve templates."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Link, links_of
from flowtools.vizone.document import Element, address, text
from flowtools.vizone.namespaces import APP, ATOM, VDF
from flowtools.vizone.template import Template, is_template


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
