"""The service document with its old methods: collections by keyword, and their templates."""

from collections.abc import Mapping

from flowtools.compat.links import Link
from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.client import Client
from flowtools.vizone.service import Collection as Found
from flowtools.vizone.service import Template


class Resolve:
    """A resolve template: makes an address from a key."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def make_url(
        self, key: str | Mapping[str, str], substitutions: Mapping[str, str] | None = None
    ) -> str:
        """Return the address for `key`.

        Args:
            key: Value of the main parameter; or the values of all parameters by name.
            substitutions: Values of the other parameters by name.

        Raises:
            ProtocolError: The template has no parameter, or more than one, for the key.
        """
        if isinstance(key, Mapping):
            return self._template.fill(key)
        # The name of the main parameter is not public: it is the one for which no value is given.
        return self._template.fill(substitutions or {}, main=key)


class Collection:
    """A collection of the service document.

    Attributes:
        endpoint: Link at which entries are listed, and new ones are posted.
        search_link: Link to the description of its search; None if it has none.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self.endpoint = Link(found.href)
        self.search_link = None if found.search is None else Link(found.search)

    def get_resolve_by_id(self, id: str) -> Resolve:
        """Return the template with this id.

        Raises:
            ProtocolError: The collection has no such template.
        """
        if id not in self._found.templates:
            raise ProtocolError(f"cannot use '{self._found.href}': it has no template '{id}'")
        return Resolve(self._found.templates[id])


class ServiceDocument(Described):
    """The service document, which lists what a Viz One offers; see `client.servicedoc`."""

    def __init__(self, one: Client) -> None:
        self._one = one

    def get_collection_by_keyword(self, keyword: str) -> Collection:
        """Return the first collection with this keyword.

        Raises:
            ProtocolError: There is no such collection.
            FlowError: The service document cannot be read.
        """
        for each in self._one.collections():
            if keyword.lower() in each.keywords:
                return Collection(each)
        raise ProtocolError(f"cannot use '{self._one.account.url}': it has no '{keyword}'")
