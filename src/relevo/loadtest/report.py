"""A load test's report: one JSON document, and the words that the page and the terminal share."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import __version__
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.loadtest.measured import Limits, Outcome
    from relevo.loadtest.target import Target

FORMAT = 1
_SECRETS = ("--key", "--header")
_GIB = 1 << 30


@dataclass(frozen=True)
class Report:
    """What was asked and what was found; ``kind`` is closed, capacity or open."""

    kind: str
    target: Target
    outcome: Outcome
    limits: Limits
    started_at: str
    command: str
    service: Mapping[str, Any] | None = None
    """What the service said of its processor time and memory; None when it said nothing."""

    @property
    def missed(self) -> list[str]:
        """Limits that were not kept; of a search, those that not even one user kept."""
        if self.kind != "capacity":
            return self.outcome.figures.misses(self.limits)
        found = self.outcome.facts["capacity"]
        return [] if found["users"] or found["interrupted"] else ["capacity"]

    def plain(self) -> dict[str, Any]:
        """The report for JSON, in which what is not a number is null."""
        outcome, limits = self.outcome, self.limits
        found: dict[str, Any] = _finite(
            {
                "format": FORMAT,
                "kind": self.kind,
                "url": self.target.url,
                "path": self.target.path,
                "started_at": self.started_at,
                "command": self.command,
                "machine": machine(),
                "service": self.service,
                "seconds": outcome.seconds,
                "interrupted": outcome.interrupted,
                "figures": outcome.figures.plain(),
                "limits": {
                    "p95_ms": None if limits.p95 is None else limits.p95 * 1000,
                    "errors": limits.errors,
                    "missed": self.missed,
                },
                "generator": {"busy": outcome.busy},
                "notes": list(outcome.notes),
                **outcome.facts,
                "course": outcome.course(),
            }
        )
        return found


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command(words: Sequence[str]) -> str:
    """The command line as it was typed, without the key and without what headers hold."""
    shown, hide = [], False
    for word in words:
        name, sign, _ = word.partition("=")
        if hide:
            shown.append("…")
        else:
            shown.append(f"{name}=…" if sign and name in _SECRETS else word)
        hide = not hide and word in _SECRETS
    return " ".join(f"'{word}'" if " " in word else word for word in shown)


def machine() -> dict[str, Any]:
    """What the generator ran on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": allowed,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "python": platform.python_version(),
        "relevo": __version__,
    }


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def verdict(report: Report) -> str:
    """One sentence: what was found, and whether it is within the limits."""
    outcome, found = report.outcome, report.outcome.figures
    if report.kind == "capacity":
        return _capacity(outcome.facts["capacity"])
    said = t(
        "{requests:,} requests, {rate:,.1f} a second; p95 {p95:,.2f} ms; {share:.3%} failed.",
        requests=found.requests,
        rate=found.rate,
        p95=found.p95,
        share=found.failed_share,
    )
    if report.limits == (None, None):
        return said
    kept = t("The limits were kept.") if not report.missed else t("The limits were missed.")
    return f"{said} {kept}"


def _capacity(found: Mapping[str, Any]) -> str:
    if not found["users"] and found["interrupted"]:
        return t("The search was interrupted before any number of users was found.")
    if not found["users"]:
        return t("Not even one user is answered within the limits.")
    said = t("{users:,} users are answered within the limits.", users=found["users"])
    if found["lower_bound"]:
        said = t("At least {users:,} users are answered within the limits.", users=found["users"])
    return said if found["confirmed"] else said + " " + t("This was not confirmed a second time.")
