"""Compare files with the checksum files beside them, in a thread of its own.

Reading a file of a hundred gigabytes takes minutes. So one thread, which `Checksums` starts and
`close` joins, verifies the reports one after the other; `fetch` returns its verdicts. The queue is
no longer than the number of files that have arrived and are not reported yet.
"""

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, NamedTuple

from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.core.tracing import start_thread
from flowtools.core.wait import Wake
from flowtools.source.folder.report import Report

ENDINGS = {"md5": (".md5",), "xxh64": (".xxh64", ".xxh", ".xxhash")}
"""Endings of the checksum files of each algorithm."""

_DIGITS = {"md5": 32, "xxh64": 16}
_BLOCK = 1 << 20
_LONGEST = 65536
"""Maximum number of bytes that are read of a checksum file."""


class Verdict(NamedTuple):
    """The result for a report: `error` says why its file is refused; None if it is right."""

    report: Report
    error: str | None


class Checksums:
    """Compares files with the checksum files that came along.

    Its file descriptor becomes readable when there is a verdict to fetch.
    """

    def __init__(self, algorithm: str, path: str) -> None:
        """Prepare to verify files in the folder `path` with "md5" or "xxh64".

        Raises:
            ConfigurationError: The package for it is not installed.
        """
        self._algorithm = algorithm
        self._path = path
        self._make = _maker(algorithm)
        self._waiting: deque[Report] = deque()
        self._verdicts: deque[Verdict] = deque()
        self._change = Condition()
        self._ending = False
        self._wake = Wake()
        self._thread = Thread(target=self._run, name="checksums", daemon=True)
        start_thread(self._thread)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is a verdict."""
        return self._wake.fileno()

    def put(self, report: Report) -> None:
        """Verify the file of `report` when its turn comes."""
        with self._change:
            self._waiting.append(report)
            self._change.notify()

    def fetch(self) -> list[Verdict]:
        """Return the verdicts that have been found."""
        self._wake.clear()
        with self._change:
            found = list(self._verdicts)
            self._verdicts.clear()
        return found

    def close(self) -> None:
        """End the thread; reports that it has not read stay unverified."""
        with self._change:
            self._ending = True
            self._change.notify()
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._ending:
                    self._change.wait()
                if self._ending:
                    return
                report = self._waiting.popleft()
            try:
                error = self._error(report)
            except OSError as failure:
                error = f"it cannot be read: {(failure.strerror or '').lower()}"
            with self._change:
                self._verdicts.append(Verdict(report, error))
            self._wake.ring()

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
                if self._ending:
                    return None
                checksum.update(block)
        return str(checksum.hexdigest())


def _said(content: bytes, digits: int) -> str | None:
    """Return the checksum in a file of md5sum(1), in one of its form --tag, or in a bare one."""
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
