"""Store with its old methods: values that Viz One keeps for an application."""

from typing import Any

from flowtools.compat.instance import get_default_instance
from flowtools.core.described import Described
from flowtools.vizone.atom import Resource
from flowtools.vizone.store import Store as VizOneStore


class _Named(Resource):
    """Stands for an asset of which only the atom:id is known; the old methods pass just that."""

    def __init__(self, atomid: str) -> None:
        self._id = atomid

    @property
    def id(self) -> str:
        """The atom:id."""
        return self._id


class Store(Described):
    """Values that Viz One keeps for a user and an application; each is a JSON value."""

    def __init__(self, appname: str, client: Any = None) -> None:
        """Use the store of an application.

        Args:
            appname: Name of the application, such as flow_importer.
            client: Client of flowtools.compat or of flowtools.vizone; None: the default client.
        """
        client = client if client is not None else get_default_instance()
        self._store = VizOneStore(getattr(client, "one", client), appname or "")

    def get(self, key: str, atomid: str | None = None) -> Any:
        """Return the value of `key`, or of `key` for one asset; None if it is not set."""
        return self._store.get(key, _asset(atomid))

    def put(self, key: str, value: Any, atomid: str | None = None) -> Any:
        """Set the value of `key`, or of `key` for one asset; return the value."""
        self._store.put(key, value, _asset(atomid))
        return value

    def delete(self, key: str, atomid: str | None = None) -> None:
        """Delete the value of `key`, or of `key` for one asset."""
        self._store.delete(key, _asset(atomid))


def _asset(atomid: str | None) -> _Named | None:
    return None if atomid is None else _Named(atomid)
