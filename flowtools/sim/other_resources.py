"""Handlers for dictionaries, metadata forms, and the store for values of programs."""

from threading import Lock

from flowtools.sim import documents, form_documents
from flowtools.sim.asking import NAME, Refusal, Reply, Request, Routes
from flowtools.sim.form_documents import DICTIONARIES, FORM
from flowtools.sim.vocabulary import GoneError
from flowtools.sim.xml import serialise
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE
from flowtools.vizone.model import MODEL_TYPE
from flowtools.vizone.store import VALUE_TYPE

MOST_VALUES = 100_000
"""Maximum number of values in the store."""

Key = tuple[str, str, str, str | None]
"""Names a value: its user, application, key, and asset if it belongs to one."""


class OtherResources:
    """The handlers for what is neither asset nor file, and the stored values. Thread-safe."""

    def __init__(self, base: str) -> None:
        """Begin with an empty store; links start with the URL `base`."""
        self._base = base
        self._lock = Lock()
        self._values: dict[Key, bytes] = {}

    def routes(self) -> Routes:
        """Return the routes of these handlers."""
        dictionary = f"{documents.DICTIONARIES_PATH}/~{NAME}"
        value = {"GET": self._value, "PUT": self._put_value, "DELETE": self._delete_value}
        return [
            (dictionary, {"GET": self._dictionary}),
            (f"/api/metadata/thesaurus/~{NAME}", {"GET": self._dictionary}),
            (f"{dictionary}/{NAME}", {"GET": self._term}),
            ("/api/metadata/form", {"GET": self._forms}),
            (f"/api/metadata/form/{FORM}/r1", {"GET": self._model}),
            (f"{documents.STORE_PATH}/{NAME}/{NAME}", value),
        ]

    def _dictionary(self, request: Request, name: str) -> Reply:
        if name not in DICTIONARIES:
            raise GoneError(f"there is no dictionary {name}")
        return Reply(form_documents.dictionary(name, self._base), FEED_TYPE)

    def _term(self, request: Request, name: str, key: str) -> Reply:
        if key not in DICTIONARIES.get(name, {}):
            raise GoneError(f"there is no term {key}")
        return Reply(serialise(form_documents.term(name, key, self._base)), ENTRY_TYPE)

    def _forms(self, request: Request) -> Reply:
        if request.query.get("qType") != "ASSET.Item":
            raise Refusal(400, "expected qType=ASSET.Item")
        return Reply(form_documents.forms(self._base), FEED_TYPE)

    def _model(self, request: Request) -> Reply:
        return Reply(form_documents.model(), MODEL_TYPE)

    def _value(self, request: Request, application: str, key: str) -> Reply:
        with self._lock:
            found = self._values.get(_key(request, application, key))
        if found is None:
            raise GoneError("there is no such value")
        return Reply(found, VALUE_TYPE)

    def _put_value(self, request: Request, application: str, key: str) -> Reply:
        name = _key(request, application, key)
        with self._lock:
            if name not in self._values and len(self._values) >= MOST_VALUES:
                raise Refusal(507, "the store is full")
            self._values[name] = request.body
        return Reply(status=204)

    def _delete_value(self, request: Request, application: str, key: str) -> Reply:
        with self._lock:
            if self._values.pop(_key(request, application, key), None) is None:
                raise GoneError("there is no such value")
        return Reply(status=204)


def _key(request: Request, application: str, key: str) -> Key:
    return request.user, application, key, request.query.get("asset")
