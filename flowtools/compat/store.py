"""Store by its old methods."""

from typing import Any

from flowtools.compat.instance import get_default_instance
from flowtools.core.described import Described
from flowtools.vizone.atom import Resource
from flowtools.vizone.store import Store as VizOneStore


class _Named(Resource):
    """An asset of which only the atom:id is known."""

    def __init__(self, atomid: str) -> None:
        self._id = atomid

    @property
    def id(self) -> str:
        """The atom:id."""
        return self._id


class Store(Described):
    """Values that Viz One keeps for an application; each is what JSON can say."""

    def __init__(self, appname: str, client: Any = None) -> None:
        """Keep values for the application `appname`.

        `client` is a Client of `compat` or of flowtools.vizone; None: the application's own.
        """
        client = client if client is not None else get_default_instance()
        self._store = VizOneStore(getattr(client, "one", client), appname or "")

    def get(self, key: str, atomid: str | None = None) -> Any:
        """Return the value of `key`; None if it is not set."""
        return self._store.get(key, _asset(atomid))

    def put(self, key: str, value: Any, atomid: str | None = None) -> Any:
        """Set the value of `key`, and return it."""
        self._store.put(key, value, _asset(atomid))
        return value

    def delete(self, key: str, atomid: str | None = None) -> None:
        """Forget `key`."""
        self._store.delete(key, _asset(atomid))


def _asset(atomid: str | None) -> _Named | None:
    return None if atomid is None else _Named(atomid)
