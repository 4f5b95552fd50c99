"""An examination: makes checks in order, collects a finding for each, and sums them up.

A check is a function. What it returns or raises decides the verdict: a return is "ok", a Hint
"hint", a Doubt "warning", Untried "skipped", and a FlowError "failed". Any other exception is a
fault of flow-doctor and is not caught here. A check that depends on one that failed is not made;
its caller reports it with `skip`, so that a run also lists what it could not check.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from flowtools.core.errors import FlowError, Status

T = TypeVar("T")

Fix = str | Callable[[FlowError], str]

Verdict = Literal["ok", "hint", "warning", "failed", "skipped"]


class Doubt(Exception):
    """Raised by a check: something works now, but should be changed.

    Attributes:
        fix: Advice what to change.
    """

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


class Hint(Doubt):
    """Raised by a check: nothing is wrong, but something could be better."""


class Untried(Exception):
    """Raised by a check that is not made because it would do harm.

    Attributes:
        fix: Advice how to find out otherwise.
    """

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Name of the check.
        verdict: "ok", "hint" (works, could be better), "warning" (works, should be changed),
            "failed" or "skipped".
        text: Description of the result, in one line.
        fix: Advice what to do; empty if there is nothing to do.
    """

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


class Examination:
    """Makes checks and reports each finding at once.

    Attributes:
        findings: All findings so far.
        status: Exit status of the first check that failed. If no check has failed: FAILED if it is
            strict and there was a warning, otherwise DONE.
    """

    def __init__(self, tell: Callable[[Finding], None], *, strict: bool = False) -> None:
        """Begin without findings.

        Args:
            tell: Called with each finding as soon as it is made.
            strict: Whether a warning makes the status FAILED.
        """
        self.findings: list[Finding] = []
        self.status = Status.DONE
        self._tell = tell
        self._strict = strict

    def check(self, name: str, look: Callable[[], tuple[str, T]], fix: Fix) -> T | None:
        """Make a check; return the value that it found, or None if the verdict is not "ok".

        Args:
            name: Name of the check.
            look: Function that makes the check. It returns the text of the finding and a value, or
                raises a FlowError that says what is wrong, a Doubt, or Untried.
            fix: Advice for a check that failed, or a function that gives the advice for an error.
        """
        try:
            text, value = look()
        except Doubt as doubt:
            verdict: Verdict = "hint" if isinstance(doubt, Hint) else "warning"
            self.add(Finding(name, verdict, str(doubt), doubt.fix))
            return None
        except Untried as reason:
            self.add(Finding(name, "skipped", str(reason), reason.fix))
            return None
        except FlowError as error:
            # The first failure counts: the later ones often follow from it.
            if self.status in (Status.DONE, Status.FAILED):
                self.status = error.status
            advice = fix if isinstance(fix, str) else fix(error)
            self.add(Finding(name, "failed", str(error), advice))
            return None
        self.add(Finding(name, "ok", text))
        return value

    def skip(self, names: tuple[str, ...], reason: str) -> None:
        """Report that these checks cannot be made, because of `reason`."""
        for name in names:
            self.add(Finding(name, "skipped", reason))

    def add(self, finding: Finding) -> None:
        """Add a finding and report it."""
        self.findings.append(finding)
        if finding.verdict == "warning" and self._strict and self.status == Status.DONE:
            self.status = Status.FAILED
        self._tell(finding)

    def summary(self) -> str:
        """Return the number of findings with each verdict, in one line."""
        counts = {
            verdict: sum(each.verdict == verdict for each in self.findings)
            for verdict in ("failed", "warning", "hint", "skipped", "ok")
        }
        said = [f"{number} {verdict}" for verdict, number in counts.items() if number]
        return ", ".join(said)
