"""Handlers for series, seasons, programs, folders and item sets, and for their members.

How a real server removes and arranges members is not public. Here a member has a `delete` link
of its own, and an item set (aggregate-asset) has the list of ids in its content.
"""

from dataclasses import dataclass, field
from threading import Lock

from flowtools.sim.asking import NUMBER, Refusal, Reply, Request, Routes, integer
from flowtools.sim.documents import EPOCH
from flowtools.sim.documents import GROUP_KINDS as KINDS
from flowtools.sim.documents import GROUPS_PATH as PATH
from flowtools.sim.vocabulary import GoneError, StaleError, now
from flowtools.sim.xml import add, link, root, serialise
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE, as_entry
from flowtools.vizone.document import Element, parse
from flowtools.vizone.groups import Group, set_listed
from flowtools.vizone.namespaces import ATOM, DCTERMS, OPENSEARCH

FIRST_NUMBER = 210161124000000031

_KIND = f"({'|'.join(KINDS)})"


@dataclass
class _Held:
    kind: str
    number: str
    title: str
    identifier: str | None
    updated: str
    ids: list[str] = field(default_factory=list)
    revision: int = 1

    @property
    def urn(self) -> str:
        return f"urn:vme:default:{self.kind}:{self.number}"

    @property
    def etag(self) -> str:
        return f'"{self.number}-{self.revision}"'


class GroupResources:
    """The handlers for collections, and the collections themselves. Thread-safe."""

    def __init__(self, base: str) -> None:
        """Begin without a collection; links start with the URL `base`."""
        self._base = base + PATH
        self._lock = Lock()
        self._held: dict[str, _Held] = {}
        self._made = 0

    def routes(self) -> Routes:
        """Return the routes of these handlers."""
        one = f"{PATH}/{_KIND}/{NUMBER}"
        return [
            (f"{PATH}/{_KIND}", {"GET": self._feed, "POST": self._create}),
            (one, {"GET": self._get, "PUT": self._put, "DELETE": self._delete}),
            (f"{one}/members", {"GET": self._members, "POST": self._add}),
            (f"{one}/members/{NUMBER}", {"DELETE": self._remove}),
        ]

    def _feed(self, request: Request, kind: str) -> Reply:
        with self._lock:
            found = [each for each in self._held.values() if each.kind == kind]
        return self._page(request, f"{self._base}/{kind}", [self._entry(each) for each in found])

    def _create(self, request: Request, kind: str) -> Reply:
        entry = as_entry(parse(request.body, name="the entry"), "the entry")
        if entry.title is None:
            raise Refusal(400, "a collection needs a title")
        with self._lock:
            # Not by the length of `_held`: after a deletion a number would be used again.
            number = str(FIRST_NUMBER + 100 * self._made)
            self._made += 1
            held = _Held(kind, number, entry.title, entry.identifier, now())
            self._held[number] = held
            return self._shown(held, 201)

    def _get(self, request: Request, kind: str, number: str) -> Reply:
        with self._lock:
            return self._shown(self._one(kind, number))

    def _put(self, request: Request, kind: str, number: str) -> Reply:
        entry = Group(as_entry(parse(request.body, name="the entry"), "the entry").element)
        with self._lock:
            held = self._one(kind, number)
            if request.etag not in (None, "*", held.etag):
                raise StaleError(f"the etag is {held.etag} now")
            held.title = entry.title or held.title
            # The others get members by a POST to their add-last link; what is not listed in the
            # entry must not be lost by a PUT of the entry.
            if kind == "aggregate-asset":
                held.ids = entry.listed
            self._touch(held)
            return self._shown(held)

    def _delete(self, request: Request, kind: str, number: str) -> Reply:
        with self._lock:
            self._one(kind, number)
            del self._held[number]
        return Reply(status=204)

    def _members(self, request: Request, kind: str, number: str) -> Reply:
        with self._lock:
            held = self._one(kind, number)
            entries = []
            here = f"{self._base}/{kind}/{number}/members"
            for place, urn in enumerate(held.ids):
                entry = root(ATOM, "entry")
                add(entry, ATOM, "id", urn)
                add(entry, ATOM, "title", urn.rpartition(":")[2])
                add(entry, ATOM, "updated", held.updated)
                link(entry, "delete", f"{here}/{place}")
                entries.append(entry)
        return self._page(request, here, entries, {"add-last": here})

    def _add(self, request: Request, kind: str, number: str) -> Reply:
        ids = request.body.decode("utf-8", "replace").split()
        if not ids or not all(each.startswith("urn:") for each in ids):
            raise Refusal(400, "expected a uri-list of atom ids")
        with self._lock:
            held = self._one(kind, number)
            held.ids += ids
            self._touch(held)
        return Reply(status=204)

    def _remove(self, request: Request, kind: str, number: str, place: str) -> Reply:
        with self._lock:
            held = self._one(kind, number)
            if int(place) >= len(held.ids):
                raise GoneError(f"there is no member {place}")
            del held.ids[int(place)]
            self._touch(held)
        return Reply(status=204)

    def _one(self, kind: str, number: str) -> _Held:
        held = self._held.get(number)
        if held is None or held.kind != kind:
            raise GoneError(f"there is no {kind} {number}")
        return held

    @staticmethod
    def _touch(held: _Held) -> None:
        held.updated, held.revision = now(), held.revision + 1

    def _shown(self, held: _Held, status: int = 200) -> Reply:
        return Reply(serialise(self._entry(held)), ENTRY_TYPE, status, {"ETag": held.etag})

    def _entry(self, held: _Held) -> Element:
        here = f"{self._base}/{held.kind}/{held.number}"
        entry = root(ATOM, "entry")
        add(entry, ATOM, "id", held.urn)
        add(entry, ATOM, "title", held.title)
        add(entry, ATOM, "updated", held.updated)
        if held.identifier:
            add(entry, DCTERMS, "identifier", held.identifier)
        link(entry, "self", here, ENTRY_TYPE)
        link(entry, "edit", here, ENTRY_TYPE)
        if held.kind == "aggregate-asset":
            set_listed(entry, held.ids)
        else:
            link(entry, "down", f"{here}/members", FEED_TYPE)
        return entry

    def _page(
        self,
        request: Request,
        here: str,
        entries: list[Element],
        links: dict[str, str] | None = None,
    ) -> Reply:
        start = integer(request.query, "start", 1, 1, 10**9)
        num = integer(request.query, "num", 25, 1, 1000)
        document = root(ATOM, "feed")
        add(document, ATOM, "id", f"urn:vme:default:search:{here.rpartition('/')[2]}")
        add(document, ATOM, "title", "Collection")
        add(document, ATOM, "updated", EPOCH)
        add(document, OPENSEARCH, "totalResults", str(len(entries)))
        add(document, OPENSEARCH, "startIndex", str(start))
        add(document, OPENSEARCH, "itemsPerPage", str(num))
        link(document, "self", f"{here}?start={start}&num={num}")
        if start - 1 + num < len(entries):
            link(document, "next", f"{here}?start={start + num}&num={num}")
        for rel, href in (links or {}).items():
            link(document, rel, href)
        document.extend(entries[start - 1 : start - 1 + num])
        return Reply(serialise(document), FEED_TYPE)
