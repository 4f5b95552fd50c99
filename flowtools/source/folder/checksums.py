"""Compare files with the checksum files beside them, in a thread of its own (background.py).

One thread verifies the reports one after the other. A verdict is about the file as it was read. If
the file has changed meanwhile, the watcher ignores the verdict, since the file is found and
verified again.
"""

import hashlib
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.source.folder.background import Background
from flowtools.source.folder.report import Report

ENDINGS = {"md5": (".md5",), "xxh64": (".xxh64", ".xxh", ".xxhash")}
"""Endings of the checksum files of each algorithm."""

_DIGITS = {"md5": 32, "xxh64": 16}
_BLOCK = 1 << 20
_LONGEST = 65536
"""Maximum number of bytes that are read of a checksum file."""


class Verdict(NamedTuple):
    """The result for a report: `error` says why its file is refused; None if it matches."""

    report: Report
    error: str | None


class Checksums(Background[Report, Verdict]):
    """Compares the files of reports with the checksum files that came along."""

    def __init__(self, algorithm: str, path: str) -> None:
        """Prepare to verify files in the folder `path` with "md5" or "xxh64".

        Raises:
            ConfigurationError: The package for it is not installed.
        """
        self._algorithm = algorithm
        self._path = path
        self._make = _maker(algorithm)
        super().__init__("checksums", self._verify, finishes=False)

    def _verify(self, report: Report) -> Verdict:
        try:
            return Verdict(report, self._error(report))
        except OSError as failure:
            reason = (failure.strerror or "").lower()
            return Verdict(report, f"it cannot be read: {reason}")

    def _error(self, report: Report) -> str | None:
        sidecars = [name for name, _ in report.members[1:]]
        name = next(each for each in sidecars if each.lower().endswith(ENDINGS[self._algorithm]))
        with open(f"{self._path}/{name}", "rb") as file:  # noqa: PTH123  any bytes
            said = _said(file.read(_LONGEST), _DIGITS[self._algorithm])
        if said is None:
            return f"'{name}' has no {self._algorithm} checksum"
        found = self._read(f"{self._path}/{report.name}")
        if found is None or found == said:
            return None
        return f"its {self._algorithm} is {found}, and '{name}' says {said}"

    def _read(self, path: str) -> str | None:
        """Return the checksum of a file; None if the thread has to end."""
        checksum = self._make()
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while block := file.read(_BLOCK):
                # Without this a stop would wait for minutes.
                if self.is_ending:
                    return None
                checksum.update(block)
        return str(checksum.hexdigest())


def _said(content: bytes, digits: int) -> str | None:
    """Return the first checksum in `content`: of md5sum(1), with or without --tag, or alone.

    None: there is none.
    """
    # Any bytes are valid Latin-1: the file names beside the checksum may be in any encoding.
    found = re.search(
        rf"(?<![0-9a-fA-F])[0-9a-fA-F]{{{digits}}}(?![0-9a-fA-F])", content.decode("latin-1")
    )
    return found[0].lower() if found else None


def _maker(algorithm: str) -> Callable[[], Any]:
    if algorithm == "md5":
        return lambda: hashlib.md5(usedforsecurity=False)
    try:
        import xxhash
    except ModuleNotFoundError:
        raise ConfigurationError(
            "--verify xxh64 needs the package 'xxhash'; install it with"
            " pip install 'flowtools[xxhash]'"
        ) from None
    return lambda: xxhash.xxh64()


def refuse_unless(algorithm: str, templates: list[str]) -> None:
    """Raise UsageError unless one of the sidecars can be a checksum file of `algorithm`."""
    endings = ENDINGS[algorithm]
    if not any(each.lower().endswith(endings) for each in templates):
        raise UsageError(
            f"--verify {algorithm} needs a --sidecar that ends with {' or '.join(endings)}"
        )
