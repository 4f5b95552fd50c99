"""Dictionaries: the keys that a metadata field may hold, each with its label; cached."""

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
"""Seconds that a dictionary is remembered."""

MOST = 64
"""Dictionaries that are remembered, those asked for last."""

MOST_TERMS = 100_000
"""Terms that a dictionary may have."""


@dataclass(frozen=True)
class Term:
    """A key of a dictionary.

    Attributes:
        key: What a field holds.
        label: What people read.
        href: Its address.
        id: Its atom:id.
    """

    key: str
    label: str
    href: str
    id: str

    @property
    def origin(self) -> tuple[str, str]:
        """What Payload.set takes as the origin of a value."""
        return self.href, self.id


class Dictionaries(Described):
    """The dictionaries, by name; `client.dictionaries`. Any thread may ask."""

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
        """Return the terms of the dictionary `name` by key, as they were SECONDS ago or later.

        Raises:
            NotFoundError: There is no such dictionary.
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
        """Return the term with `key` of the dictionary `name`, if it has one."""
        return self.terms(name).get(key)

    def forget(self) -> None:
        """Read every dictionary afresh when it is asked for next."""
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
        # No link to it is public; this address is.
        base = self._client.account.url.removesuffix("/thirdparty") + "/"
        return urljoin(base, f"api/metadata/{self._kind}/~{quote(name, safe='')}")


def _term(entry: Entry) -> Term:
    last = unquote((entry.id or "").rpartition(":")[2])
    key = entry.identifier or last or entry.title or ""
    return Term(key, entry.title or key, entry.self_link or "", entry.id or "")
