"""What became of the critical cases when they were asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevo.findings import PAGE, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE = "service"
"""What a finding that the service does not answer is about."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One case: the label expected, the label answered, or why it was not answered."""

    name: str
    expected: str
    answered: str
    version: str
    passed: bool
    problem: str = ""

    def finding(self) -> Finding:
        """What a case that failed says."""
        facts = {"expected": self.expected, "answered": self.answered, "version": self.version}
        more = {"problem": self.problem} if self.problem else {}
        return Finding(kind="cases", about=self.name, severity=PAGE, rows=1, facts={**facts, **more})


@dataclass(frozen=True, kw_only=True)
class Checked:
    """All cases as they were answered; with ``problem`` the service answered none."""

    asked: str
    """The service's URL, or ``package``."""
    version: str
    """The version that answered, empty when none did."""
    results: Sequence[Result] = ()
    problem: str = ""
    note: str = ""

    @property
    def failed(self) -> list[Result]:
        """The cases that were answered wrongly or not at all."""
        return [one for one in self.results if not one.passed]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failed and not self.problem

    def findings(self) -> list[Finding]:
        """What is wrong."""
        if self.problem:
            facts = {"problem": self.problem, "address": self.asked}
            return [
                Finding(
                    kind="failures", about=SERVICE, severity=PAGE, value=1.0, expected=0.0,
                    rows=max(len(self.results), 1), facts=facts,
                )
            ]  # fmt: skip
        return [one.finding() for one in self.failed]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "asked": self.asked,
            "version": self.version,
            "passed": self.passed,
            "problem": self.problem,
            "note": self.note,
            "cases": [vars(one) for one in self.results],
        }
