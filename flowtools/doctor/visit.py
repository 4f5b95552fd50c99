"""A visit to the doctor: which checks, and how their findings are told."""

import logging
import os
import sys

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

_STYLES = {"ok": "\x1b[32m", "warning": "\x1b[33m", "failed": "\x1b[1;31m", "skipped": "\x1b[2m"}
_INDENT = 35


def visit(patient: Patient, stomp_url: str | None) -> Status:
    """Examine the broker at `stomp_url`, or Viz One; write the findings to standard output.

    With -q only those that are not well are written, and no summary.

    Returns the exit status of the first check that failed.

    Raises:
        UsageError: The URL has another form.
        ReaderGone: Nobody reads the findings.
        FlowError: They cannot be written.
        Signalled: A signal asked for the end.
    """
    url = parse_url(stomp_url) if stomp_url else None
    # What the connection itself has to say is said by the findings.
    quieten("flowtools.broker", logging.ERROR)
    with stopped_by_signals() as stop:
        is_quiet = form().verbosity < 0
        examination = Examination(_tell_what_is_not_well if is_quiet else _tell)
        examine_machine(examination)
        if url is not None:
            examine_hosts(examination, url)
            examine_broker(examination, url, patient.settings, stop)
        else:
            examine_vizone(examination, patient, stop)
        if not is_quiet:
            _write(f"\n{examination.summary()}\n")
        return examination.status


def _tell(finding: Finding) -> None:
    verdict = f"{finding.verdict:<9}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        verdict = f"{_STYLES[finding.verdict]}{verdict}\x1b[0m"
    _write(f"{verdict} {finding.check:<24} {one_line(finding.text)}\n")
    if finding.fix:
        _write(f"{'':{_INDENT}}-> {one_line(finding.fix)}\n")


def _tell_what_is_not_well(finding: Finding) -> None:
    # What was skipped follows from what failed.
    if finding.verdict in ("warning", "failed"):
        _tell(finding)


def _write(text: str) -> None:
    LineWriter(sys.stdout.fileno()).write(text.encode())
