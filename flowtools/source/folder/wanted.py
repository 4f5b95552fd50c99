"""Which files of a folder are wanted, by shell patterns.

All patterns of one kind are one regular expression, made when it is first needed: each name
is matched once against it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

_SIX = "[A-Za-z0-9]" * 6

TEMPORARY = ("*.part", "*.filepart", "*.tmp", "*.crdownload", ".~*", ".*.swp", f".*.{_SIX}")
"""Names that programs give to a file while they transfer it: FTP clients and browsers, WinSCP,
office programs, Vim, and rsync, which adds six random letters to the name."""

NONE = "none"
"""In a list of temporary names: clears those before it, and the default ones."""


class Patterns:
    """Shell patterns that a file's path may match.

    A pattern with a slash is matched with the path below the folder, any other with the
    file's name. As in a shell, only a pattern that begins with a dot matches a name that does.
    """

    def __init__(self, patterns: Iterable[str], *, ignore_case: bool = False) -> None:
        flags = re.IGNORECASE if ignore_case else 0
        given = list(patterns)
        names = [each for each in given if "/" not in each]
        self._path = _one_of([each for each in given if "/" in each], flags)
        self._visible = _one_of(names, flags)
        # `*` does not match `.bashrc`, and `.*` does, as in a shell.
        self._hidden = _one_of([each for each in names if each.startswith(".")], flags)

    def match(self, path: str) -> bool:
        """Return whether the path below the folder, or its last part, matches one of them."""
        name = path.rpartition("/")[2]
        by_name = self._hidden if name.startswith(".") else self._visible
        return (by_name is not None and by_name.match(name) is not None) or (
            self._path is not None and self._path.match(path) is not None
        )


def _one_of(patterns: Sequence[str], flags: int) -> "re.Pattern[str] | None":
    if not patterns:
        return None
    return re.compile("|".join(map(translate, patterns)), flags)


@dataclass(frozen=True)
class Wanted:
    """Which files are of interest.

    Attributes:
        match: Patterns of the files that are wanted; empty: all but hidden ones.
        ignore: Patterns of files that are not wanted although they match.
        recursive: Whether files in sub-folders are wanted.
        skip_empty: Whether a file is not reported while its size is 0.
        ignore_case: Whether `*.mxf` matches CLIP.MXF.
        temporary: Patterns, in addition to TEMPORARY, of the names of files that are being
            transferred; NONE clears those before it.
        never: Paths of flow-watch's own files and folders, which are never looked at.
        beside: Patterns of sidecars, which are wanted because another file waits for them.
    """

    match: Sequence[str] = ()
    ignore: Sequence[str] = ()
    recursive: bool = False
    skip_empty: bool = False
    ignore_case: bool = False
    temporary: Sequence[str] = ()
    never: frozenset[str] = frozenset()
    beside: Sequence[str] = ()

    def __contains__(self, name: str) -> bool:
        return (
            (self._match.match(name) or self._beside.match(name))
            and not self._ignore.match(name)
            and not self._temporary.match(name)
            and name not in self.never
        )

    def may_become(self, name: str) -> bool:
        """Return whether `name` is temporary, so that its file is likely to be renamed."""
        return self._temporary.match(name) and not self._ignore.match(name)

    def counts(self, name: str) -> bool:
        """Return whether the file `name` is wanted, or will be once it is renamed."""
        return name in self or self.may_become(name)

    def enters(self, name: str) -> bool:
        """Return whether the files in the sub-folder `name` are wanted at all."""
        return (
            self.recursive
            and not name.rpartition("/")[2].startswith(".")
            and not self._temporary.match(name)
            and name not in self.never
        )

    @cached_property
    def _match(self) -> Patterns:
        return Patterns(self.match or ("*",), ignore_case=self.ignore_case)

    @cached_property
    def _ignore(self) -> Patterns:
        return Patterns(self.ignore, ignore_case=self.ignore_case)

    @cached_property
    def _beside(self) -> Patterns:
        return Patterns(self.beside, ignore_case=self.ignore_case)

    @cached_property
    def _temporary(self) -> Patterns:
        patterns: list[str] = list(TEMPORARY)
        for each in self.temporary:
            if each == NONE:
                patterns.clear()
            else:
                patterns.append(each)
        return Patterns(patterns, ignore_case=True)


@dataclass(frozen=True)
class SettleTimes:
    """The settle times: seconds that a file must be unchanged before it counts as whole.

    Attributes:
        seconds: Settle time of files that match no pattern of `by_pattern`.
        by_pattern: Pairs of a pattern and a settle time; the first that matches counts.
        ignore_case: Whether `*.mxf` matches CLIP.MXF.
    """

    seconds: float
    by_pattern: Sequence[tuple[str, float]] = ()
    ignore_case: bool = False

    def of(self, name: str) -> float:
        """Return the settle time of the file `name`, in seconds."""
        for pattern, seconds in self._compiled:
            if pattern.match(name):
                return seconds
        return self.seconds

    @cached_property
    def _compiled(self) -> list[tuple[Patterns, float]]:
        return [
            (Patterns([pattern], ignore_case=self.ignore_case), seconds)
            for pattern, seconds in self.by_pattern
        ]
