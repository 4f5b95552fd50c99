"""The service document by its old methods: collections by keyword, and what they lead to."""

from collections.abc import Mapping

from flowtools.compat.links import Link
from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.client import Client
from flowtools.vizone.service import Collection as Found
from flowtools.vizone.service import Template


class Resolve:
    """A template of addresses."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def make_url(
        self, key: str | Mapping[str, str], substitutions: Mapping[str, str] | None = None
    ) -> str:
        """Return the address for `key` and the values of other parameters, by name.

        Raises:
            ProtocolError: The template has no parameter, or more than one, for the key.
        """
        if isinstance(key, Mapping):
            return self._template.fill(key)
        return self._template.fill(substitutions or {}, main=key)


class Collection:
    """A collection of the service document.

    Attributes:
        endpoint: Where its entries are listed, and new ones are posted.
        search_link: Where its search is described; None where it has none.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self.endpoint = Link(found.href)
        self.search_link = None if found.search is None else Link(found.search)

    def get_resolve_by_id(self, id: str) -> Resolve:
        """Return the template with that id.

        Raises:
            ProtocolError: It has none.
        """
        if id not in self._found.templates:
            raise ProtocolError(f"cannot use '{self._found.href}': it has no template '{id}'")
        return Resolve(self._found.templates[id])


class ServiceDocument(Described):
    """What a Viz One offers; `client.servicedoc`."""

    def __init__(self, one: Client) -> None:
        self._one = one

    def get_collection_by_keyword(self, keyword: str) -> Collection:
        """Return the first collection with that keyword.

        Raises:
            ProtocolError: There is none.
            FlowError: The service document cannot be read.
        """
        for each in self._one.collections():
            if keyword.lower() in each.keywords:
                return Collection(each)
        raise ProtocolError(f"cannot use '{self._one.account.url}': it has no '{keyword}'")
