"""An examination: makes checks in order, collects a finding for each, and sums them up."""

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
        fix: What to do.
    """

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


class Hint(Doubt):
    """Raised by a check: something is fine here, but could be better, as with more servers."""


class Untried(Exception):
    """Raised by a check that is not made because it would do harm.

    Attributes:
        fix: How to make sure otherwise.
    """

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Its name.
        verdict: "ok", "hint" (well, and could be better), "warning" (works, and should not stay
            so), "failed" or "skipped".
        text: Description of the result, in one line.
        fix: What to do about it; empty where there is nothing to do.
    """

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


class Examination:
    """Makes checks and reports each finding at once.

    Attributes:
        findings: All so far.
        status: The exit status of the first check that failed; if none has, FAILED where it is
            strict and has warned, else DONE.
    """

    def __init__(self, tell: Callable[[Finding], None], *, strict: bool = False) -> None:
        """Give each finding to `tell`; `strict`: a warning makes the status FAILED."""
        self.findings: list[Finding] = []
        self.status = Status.DONE
        self._tell = tell
        self._strict = strict

    def check(self, name: str, look: Callable[[], tuple[str, T]], fix: Fix) -> T | None:
        """Make the check `name`; return what it found out, or None where it failed.

        Args:
            name: What is checked.
            look: Makes the check; returns the text of the finding and a value. Raises a FlowError
                that says what is wrong, a Doubt, or Untried.
            fix: What to do where it fails; it may depend on what is wrong.
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
            if self.status in (Status.DONE, Status.FAILED):
                self.status = error.status
            advice = fix if isinstance(fix, str) else fix(error)
            self.add(Finding(name, "failed", str(error), advice))
            return None
        self.add(Finding(name, "ok", text))
        return value

    def skip(self, names: tuple[str, ...], reason: str) -> None:
        """Say that these checks cannot be made."""
        for name in names:
            self.add(Finding(name, "skipped", reason))

    def add(self, finding: Finding) -> None:
        """Take a finding."""
        self.findings.append(finding)
        if finding.verdict == "warning" and self._strict and self.status == Status.DONE:
            self.status = Status.FAILED
        self._tell(finding)

    def summary(self) -> str:
        """Return a summary of all findings, in one line."""
        counts = {
            verdict: sum(each.verdict == verdict for each in self.findings)
            for verdict in ("failed", "warning", "hint", "skipped", "ok")
        }
        said = [f"{number} {verdict}" for verdict, number in counts.items() if number]
        return ", ".join(said)
