"""A ledger with a story in it: a first version, a broken file, a loss, a run because of it, and its rollback.

Alerts, decisions and moves are made by the code that makes them, at rehearsed times; figures are made up.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relevo import alerting, clock
from relevo.channels import AlertSettings
from relevo.findings import PAGE, WARN, Finding
from relevo.ids import uuid7
from relevo.monitoring import Retrain
from relevo.records import ModelVersion, Reason, Run, Snapshot, Step, Trial, Verdict, Window, now
from relevo.renewal.decide import FRESH, ROLL_BACK, Situation, decide
from relevo.texts import speaking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.ledger import Ledger
    from relevo.records import Decision

PROJECT = "flights"
SETTINGS = AlertSettings(
    language="en",
    webhooks={"ops": {"url": "https://ops.example/hook", "secret": "x" * 32}},  # type: ignore[dict-item]
)
VERDICT = Verdict(
    accepted=True, reasons=(Reason(check="rows", passed=True, text="900 held-out rows judge."),)
)
NULLS = Finding(kind="nulls", about="payer_code", severity=WARN, value=0.6, expected=0.02, rows=900, p=1e-9)
LOSS = Finding(
    kind="loss",
    about="roc_auc",
    severity=PAGE,
    value=0.61,
    expected=0.7,
    low=0.58,
    high=0.64,
    rows=1200,
    p=1e-5,
)
TRIAL = {"metric": "roc_auc", "fresh": 0.55, "before": 0.68, "worse": 0.999, "rows": 800}


@contextmanager
def at(moment: str) -> Iterator[None]:
    """Let the clock show a moment (UTC), and go on from there."""
    before = clock.pace
    start = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    clock.pace = clock.Pace(start, 1.0, time.time())
    try:
        yield
    finally:
        clock.pace = before


@dataclass(frozen=True)
class Tale:
    """What the records are known by."""

    first: str
    second: str
    broken: int
    lost: int
    nulls: str
    loss: str
    withheld: str
    retrained: str
    rolled_back: str


def told(ledger: Ledger) -> Tale:
    """Write the story: everything happens in November 2026."""
    with speaking("en"):
        with at("2026-11-02T06:00:00"):
            first = a_run(ledger, "1.0.0")
        with at("2026-11-10T06:05:00"):
            broken = a_window(
                ledger, "files", "batch", "data/9.csv", [NULLS], pieces={"ab" * 8: "data/9.csv"}
            )
            nulls = alerting.raise_findings(
                ledger, PROJECT, [NULLS], window=broken.number, settings=SETTINGS
            )[0]
            withheld = _decide(ledger, [broken], "1.0.0")
        with at("2026-11-10T09:00:00"):
            ledger.alerts.acknowledge(PROJECT, nulls.id, who="ana@desk", text="I ask the hospital")
            _carry(ledger)
        with at("2026-11-11T06:05:00"):
            alerting.resolve(ledger, PROJECT, nulls.id, who="ana@desk", text="mended", settings=SETTINGS)
            _carry(ledger, fail="503 Busy")
        with at("2026-11-12T00:05:00"):
            lost = a_window(ledger, "arrivals", "day", "2026-11-11", [LOSS])
            loss = alerting.raise_findings(ledger, PROJECT, [LOSS], window=lost.number, settings=SETTINGS)[0]
            retrained = _decide(ledger, [lost], "1.0.0")
        with at("2026-11-12T00:10:00"):
            second = a_run(ledger, "1.1.0", because=retrained.id)
        with at("2026-11-14T00:10:00"):
            rolled_back = _roll_back(ledger)
    return Tale(
        first.id, second.id, broken.number, lost.number, nulls.id, loss.id, withheld.id, retrained.id, rolled_back.id
    )  # fmt: skip


def a_run(ledger: Ledger, version: str, *, because: str = "", **step: Any) -> Run:
    """A run that releases a version: its steps, a trial, its data; ``step`` says more of each step."""
    run = Run(
        id=uuid7(),
        project=PROJECT,
        status="running",
        started_at=now(),
        plan={"because": because, "window": "180d"},
    )
    ledger.start_run(run)
    snapshot = Snapshot(
        id=(version.replace(".", "") * 64)[:64], table="raw/departures", version=3, rows=3000,
        files=tuple((f"data/{n}.csv", f"{n:064d}") for n in range(7)),
    )  # fmt: skip
    ledger.save_snapshot(snapshot, project=PROJECT)
    outputs: dict[str, dict[str, Any]] = {
        "ingest": {"snapshots": {"departures": snapshot.id}},
        "train:logistic": {"score": 0.34, "training_score": 0.39, "gap": 0.05, "penalised": 0.33},
        "evaluate": {"candidate": "logistic", "metrics": {"roc_auc": 0.7}},
        "release": {"released": True, "version": version},
        "judge": {"verdict": {"accepted": True, "reasons": [vars(reason) for reason in VERDICT.reasons]}},
    }
    for name, output in outputs.items():
        ledger.save_step(
            replace(
                Step(run=run.id, name=name, inputs="a" * 64, status="done", output=output, started_at=now(),
                     wall_seconds=2.0, cpu_seconds=1.5, peak_rss_bytes=300 << 20, rows_in=3000, rows_out=2900),
                **step,
            )
        )  # fmt: skip
    ledger.save_trials(
        [
            Trial(run=run.id, candidate="logistic", number=number, settings={}, state="complete", score=0.3,
                  training_score=0.4, seconds=1.0)
            for number in range(3)
        ]
    )  # fmt: skip
    ledger.add_version(
        ModelVersion(
            project=PROJECT, version=version, digest=(version.replace(".", "") * 64)[:64], run=run.id,
            status="accepted", algorithm="logistic", verdict=VERDICT, change="The first version.", created_at=now(),
            metrics={"metrics": {"roc_auc": {"value": 0.7, "low": 0.66, "high": 0.74}}},
        )
    )  # fmt: skip
    ledger.release(
        PROJECT, "champion", version, who=f"run {run.id}", why="The gate accepted it.", act="promote"
    )
    return ledger.finish_run(
        run.id, status="released", version=version, message=f"Version {version} is now champion."
    )


def a_window(
    ledger: Ledger,
    source: str,
    unit: str,
    name: str,
    findings: list[Finding],
    *,
    pieces: dict[str, str] | None = None,
    figures: dict[str, Any] | None = None,
    rows: int = 1200,
    began: str = "",
    ended: str = "",
    version: str = "1.0.0",
) -> Window:
    """Record a window that was looked at now."""
    more = {"pieces": list(pieces), "names": pieces} if pieces else {}
    return ledger.watch.add_window(
        Window(
            project=PROJECT, source=source, unit=unit, name=name, began_at=began or now(), ended_at=ended or now(),
            version=version, rows=rows, inputs=uuid7(), figures={"rows": rows, **(figures or {}), **more},
            findings=tuple(one.to_json() for one in findings), made_at=now(),
        )
    )  # fmt: skip


def _decide(ledger: Ledger, windows: list[Window], version: str) -> Decision:
    situation = Situation(project=PROJECT, version=version, at=now())
    (found,) = decide(windows, Retrain(), situation)
    return ledger.watch.decide(found)


def _roll_back(ledger: Ledger) -> Decision:
    from relevo.records import Decision

    standing = ledger.standing(PROJECT, "champion")
    assert standing is not None
    decision = ledger.watch.decide(
        Decision(
            id="f" * 32, project=PROJECT, at=now(), cause=FRESH, action=ROLL_BACK, text="It does worse.",
            evidence={"release": standing.number, "to": "1.0.0", "trial": TRIAL}, version="1.1.0",
        )
    )  # fmt: skip
    ledger.end(
        standing, who="relevo", why=decision.text, to="1.0.0", facts={"decision": decision.id, "trial": TRIAL}
    )
    return decision


def _carry(ledger: Ledger, *, fail: str = "") -> None:
    """Carry what waits, or give it up with this error."""
    from datetime import timedelta

    minute = timedelta(minutes=1)
    while claimed := ledger.outbox.claim(PROJECT, "webhooks.ops", lease=minute, farthest=minute):
        if fail:
            ledger.outbox.fail(claimed, fail)
        else:
            ledger.outbox.sent(claimed)
