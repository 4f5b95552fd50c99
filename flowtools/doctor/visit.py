"""A run of flow-doctor: chooses the checks and prints their findings."""

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from textwrap import wrap

from flowtools.core.errors import Status
from flowtools.core.lines import LineWriter
from flowtools.core.log import quieten
from flowtools.doctor.examination import Examination, Finding
from flowtools.doctor.machine import examine_machine
from flowtools.doctor.sharing import examine_hosts
from flowtools.doctor.stomp import examine_broker
from flowtools.doctor.vizone import Patient, examine_vizone
from flowtools.process.console import form
from flowtools.process.message import one_line
from flowtools.process.signals import stopped_by_signals
from flowtools.stomp.url import parse_url

_STYLES = {
    "ok": "\x1b[32m",
    "hint": "\x1b[36m",
    "warning": "\x1b[33m",
    "failed": "\x1b[1;31m",
    "skipped": "\x1b[2m",
}
_INDENT = 35

_NARROW = 60
"""Width of a terminal, in cells, below which the text goes on a line of its own."""


def visit(patient: Patient, stomp_url: str | None, *, strict: bool) -> Status:
    """Examine a broker or a Viz One, and write the findings to standard output.

    With -q only warnings and failures are written. With --log-format json each finding is a JSON
    object. Both leave out the summary.

    Args:
        patient: The Viz One to examine; only its broker settings count if there is a `stomp_url`.
        stomp_url: Address of a broker to examine instead; None: examine Viz One.
        strict: Whether a warning makes the exit status 1.

    Returns:
        The exit status of the first check that failed, or DONE.

    Raises:
        UsageError: The URL is malformed.
        ReaderGone: The reader of standard output has closed the pipe.
        FlowError: Standard output cannot be written.
        Signalled: A signal asked for the end.
    """
    url = parse_url(stomp_url) if stomp_url else None
    # The findings report what the code of the connection would also log.
    quieten("flowtools.broker", logging.ERROR)
    with stopped_by_signals() as stop:
        is_quiet, is_json = form().verbosity < 0, form().log_format == "json"
        tell = _tell_as_json if is_json else _tell
        examination = Examination(_unless_well(tell) if is_quiet else tell, strict=strict)
        examine_machine(examination)
        if url is not None:
            examine_hosts(examination, url)
            examine_broker(examination, url, patient.settings, stop, patient.expiry_days)
        else:
            examine_vizone(examination, patient, stop)
        if not (is_quiet or is_json):
            _write(f"\n{examination.summary()}\n")
        return examination.status


def _tell(finding: Finding) -> None:
    verdict = f"{finding.verdict:<9}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        verdict = f"{_STYLES[finding.verdict]}{verdict}\x1b[0m"
    # On a narrow terminal the text goes below the name of the check.
    width = _width()
    indent = _INDENT if width is None or width >= _NARROW else 4
    head = f"{verdict} {finding.check:<24}"
    body = _broken(one_line(finding.text), indent, width)
    _write(f"{head} {body}" if indent == _INDENT else f"{head.rstrip()}\n{'':{indent}}{body}")
    if finding.fix:
        _write(f"{'':{indent}}-> {_broken(one_line(finding.fix), indent + 3, width)}")


def _width() -> int | None:
    """Return the width of the terminal in cells; None if standard output is not a terminal."""
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def _broken(text: str, indent: int, width: int | None) -> str:
    """Return `text` broken between words into lines, all but the first of them indented.

    Without a terminal (no `width`) it stays one line, so that grep finds it whole.
    """
    if width is None:
        return f"{text}\n"
    room = max(width - indent, 20)
    lines = wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return f"\n{'':{indent}}".join(lines) + "\n"


def _tell_as_json(finding: Finding) -> None:
    _write(json.dumps(asdict(finding)) + "\n")


def _unless_well(tell: Callable[[Finding], None]) -> Callable[[Finding], None]:
    """Return a function that reports only warnings and failures to `tell`."""

    def tell_of_trouble(finding: Finding) -> None:
        # A skipped check follows from a failure that has been reported.
        if finding.verdict in ("warning", "failed"):
            tell(finding)

    return tell_of_trouble


def _write(text: str) -> None:
    LineWriter(sys.stdout.fileno()).write(text.encode())
