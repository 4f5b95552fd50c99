"""Searching: the OpenSearch description that a collection's search link leads to."""

from flowtools.core.errors import ProtocolError
from flowtools.vizone.document import Element
from flowtools.vizone.service import template_of
from flowtools.vizone.template import Template, is_template

DESCRIPTION_TYPE = "application/opensearchdescription+xml"

_ATOM = "application/atom+xml"


def read_description(description: Element) -> Template:
    """Return the template of a search for a feed, of an OpenSearch description.

    Raises:
        ProtocolError: It has none.
    """
    found = [
        (each.get("type", "").partition(";")[0].strip().lower() == _ATOM, each)
        for each in description.iterchildren("{*}Url")
        if is_template(each.get("template", ""))
    ]
    if not found:
        raise ProtocolError(f"cannot search: '{description.base}' has no template")
    # The first that gives Atom; else the first at all.
    chosen = next((each for is_atom, each in found if is_atom), found[0][1])
    return template_of(chosen, chosen.get("template", ""))
