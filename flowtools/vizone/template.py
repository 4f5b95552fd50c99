"""URL templates as in OpenSearch: `{name}`, `{name?}`, `{prefix:name}`.

A parameter of a query that is not given is dropped from it together with its name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from flowtools.core.errors import ProtocolError
from flowtools.vizone.namespaces import OPENSEARCH, PREFIXES

_PARAMETER = re.compile(r"\{([^{}?]+)(\??)\}")

Name = tuple[str, str]
"""A parameter: its namespace, and its local name."""


@dataclass(frozen=True)
class Template:
    """A URL with parameters.

    Attributes:
        text: What the document says.
        prefixes: What the prefixes in it stand for.
    """

    text: str
    prefixes: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[Name]:
        """Its parameters, each a namespace and a local name, in their order."""
        return [self._resolve(found[1]) for found in _PARAMETER.finditer(self.text)]

    def has(self, name: str) -> bool:
        """Return whether it has the parameter `name`, such as "count" or "vizsort:sort"."""
        return _usual(name) in self.names

    def fill(self, values: Mapping[str, str], main: str | None = None) -> str:
        """Return the URL with `values`, percent-encoded, in the places of their parameters.

        Args:
            values: By name, such as "count" or "vizsort:sort", with the usual prefixes.
            main: The value of the one parameter that is left over, whatever its name.

        Raises:
            ProtocolError: A value of the path is missing, or `main` has no place, or two.
        """
        given = {_usual(name): value for name, value in values.items()}
        if main is not None:
            given[self._left_over(given)] = main
        path, mark, query = self.text.partition("?") if "?}" not in self.text else self._split()
        parts = [self._part(part, given) for part in query.split("&")] if mark else []
        kept = [part for part in parts if part]
        return self._path(path, given) + ("?" + "&".join(kept) if kept else "")

    def _split(self) -> tuple[str, str, str]:
        # A "?" that ends a parameter starts no query.
        for found in re.finditer(r"\?", self.text):
            if self.text[found.end() : found.end() + 1] != "}":
                return self.text[: found.start()], "?", self.text[found.end() :]
        return self.text, "", ""

    def _left_over(self, given: Mapping[Name, str]) -> Name:
        left = list(dict.fromkeys(name for name in self.names if name not in given))
        if len(left) != 1:
            raise ProtocolError(
                f"cannot use the template '{self.text}': expected one parameter for the key"
            )
        return left[0]

    def _path(self, path: str, given: Mapping[Name, str]) -> str:
        def value(found: re.Match[str]) -> str:
            said = given.get(self._resolve(found[1]))
            if said is None and not found[2]:
                raise ProtocolError(
                    f"cannot use the template '{self.text}': there is no value for '{found[1]}'"
                )
            return _quoted(said or "")

        return _PARAMETER.sub(value, path)

    def _part(self, part: str, given: Mapping[Name, str]) -> str:
        for found in _PARAMETER.finditer(part):
            if given.get(self._resolve(found[1])) is None:
                return ""
        return _PARAMETER.sub(lambda found: _quoted(given[self._resolve(found[1])]), part)

    def _resolve(self, name: str) -> Name:
        prefix, colon, local = name.strip().rpartition(":")
        if not colon:
            return "", local
        known = dict(self.prefixes)
        # A prefix that the document does not declare means what it usually does.
        return _plain(known.get(prefix) or PREFIXES.get(prefix, prefix)), local


def _usual(name: str) -> Name:
    prefix, colon, local = name.rpartition(":")
    return _plain(PREFIXES.get(prefix, prefix) if colon else ""), local


def _plain(namespace: str) -> str:
    """Return what a name without a prefix has instead of OpenSearch's namespace."""
    # Some write it without the slash at its end.
    return "" if namespace.rstrip("/") == OPENSEARCH.rstrip("/") else namespace


def _quoted(value: str) -> str:
    # A bare dot segment would be taken for a step up when the URL is resolved.
    return value.replace(".", "%2E") if value in (".", "..") else quote(value, safe="")


def is_template(text: str) -> bool:
    """Return whether `text` is a template with a place to fill, leading to the web or relative."""
    try:
        scheme = urlsplit(text.partition("{")[0]).scheme
    except ValueError:
        return False
    return bool(_PARAMETER.search(text)) and scheme in ("", "http", "https")
