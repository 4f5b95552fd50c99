"""Dictionaries: the keys that a metadata field may hold, each with its label; cached.

A Worker looks up a term for each event, and dictionaries seldom change. So a dictionary is read
once in SECONDS. Threads that miss it at the same time each read it, because a lock held during a
request would make the readers of every other dictionary wait.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal
from urllib.parse import quote, unquote, urljoin

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Entry
from flowtools.vizone.atompub import AtomPub

SECONDS = 300.0
"""Seconds for which a dictionary is cached."""

MOST = 64
"""Maximum number of cached dictionaries; the ones used last are kept."""

MOST_TERMS = 100_000
"""Maximum number of terms of a dictionary."""


@dataclass(frozen=True)
class Term:
    """A key of a dictionary.

    Attributes:
        key: The value of a metadata field.
        label: The text that people see.
        href: Address of the term's entry; "" if it has none.
        id: The atom:id of the term's entry; "" if it has none.
    """

    key: str
    label: str
    href: str
    id: str

    @property
    def origin(self) -> tuple[str, str]:
        """The pair (href, id), as Payload.set takes it for the origin of a value."""
        return self.href, self.id


class Dictionaries(Described):
    """The dictionaries by name, as `client.dictionaries`. Any thread may call it."""

    FACTS = ("_kind", "_client")

    def __init__(
        self,
        client: AtomPub,
        clock: Callable[[], float] = time.monotonic,
        *,
        kind: Literal["dictionary", "thesaurus"] = "dictionary",
    ) -> None:
        self._client = client
        self._kind = kind
        self._clock = clock
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[float, dict[str, Term]]] = OrderedDict()

    def terms(self, name: str) -> dict[str, Term]:
        """Return the terms of the dictionary `name`, by key; the answer may be SECONDS old.

        Raises:
            NotFoundError: There is no such dictionary.
            ProtocolError: The dictionary has more than MOST_TERMS terms.
        """
        with self._lock:
            read_at, terms = self._kept.get(name, (0.0, None))
            if terms is not None and self._clock() - read_at < SECONDS:
                self._kept.move_to_end(name)
                return dict(terms)
        terms = self._read(name)
        with self._lock:
            self._kept[name] = (self._clock(), terms)
            self._kept.move_to_end(name)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return dict(terms)

    def term(self, name: str, key: str) -> Term | None:
        """Return the term with `key` of the dictionary `name`; None if it has no such term."""
        return self.terms(name).get(key)

    def forget(self) -> None:
        """Empty the cache, so that every dictionary is read again when it is next used."""
        with self._lock:
            self._kept.clear()

    def _read(self, name: str) -> dict[str, Term]:
        found: dict[str, Term] = {}
        for page in self._client.pages(self._address(name)):
            for entry in page.entries:
                term = _term(entry)
                found[term.key] = term
            if len(found) > MOST_TERMS:
                raise ProtocolError(f"cannot read {self._kind} '{name}': over {MOST_TERMS} terms")
        return found

    def _address(self, name: str) -> str:
        for each in self._client.collections():
            if self._kind in each.keywords:
                for template in each.templates.values():
                    return template.fill({}, main=name)
        # The service document has no template for dictionaries. Public clients use this address.
        address = f"api/metadata/{self._kind}/~{quote(name, safe='')}"
        return urljoin(self._client.service_url, address)


def _term(entry: Entry) -> Term:
    # Which element holds the key is not public; the ids in public traces end with it.
    last = unquote((entry.id or "").rpartition(":")[2])
    key = entry.identifier or last or entry.title or ""
    return Term(key, entry.title or key, entry.self_link or "", entry.id or "")
