"""The part of a story that is about making: a run, its data, its candidates, the gate, and the version."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from relevo.texts import t
from relevo.why import words
from relevo.why.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relevo.records import Run, Step, Trial
    from relevo.why.chain import Chain
    from relevo.why.known import Details, Known

FILES = 5
"""Files of a table that are named, the newest."""
TRAIN = "train:"


def runs(known: Known, details: Details, chain: Chain, *, costs: bool) -> Iterator[Event]:
    """The runs: how they began and ended, and what was made of what in those that the story is about.

    With ``costs`` their steps are told with what they took.
    """
    for identity in sorted(chain.runs):
        run, steps = known.run[identity], details.steps.get(identity, ())
        refs = {"run": identity}
        yield Event(at=run.started_at, kind="run", text=_begun(known, run), facts=_plan(run), refs=refs)
        if identity in chain.told:
            yield from _data(details, run, steps)
            yield from _tried(details, run, steps)
            yield from _steps(run, steps) if costs else ()
            yield from _judged(run, steps)
        if run.finished_at:
            yield Event(
                at=run.finished_at,
                kind="run",
                text=t("Run {run} ends. {how}", run=identity, how=words.ended(run)),
                facts={"status": run.status, "said": run.message, **_cost(steps)},
                refs={**refs, "version": run.version},
            )


def _begun(known: Known, run: Run) -> str:
    parts = [t("Run {run} begins.", run=run.id)]
    decision = known.decision.get(str(run.plan.get("because") or ""))
    if decision is not None:
        parts.append(t("Because: {why}", why=words.decided(decision)))
    if run.plan.get("window"):
        parts.append(t("It learns from the last {window} only.", window=run.plan["window"]))
    if run.plan.get("without"):
        parts.append(t("Pieces of data withheld from it: {count}.", count=len(run.plan["without"])))
    return " ".join(parts)


def _plan(run: Run) -> dict[str, Any]:
    return {name: run.plan.get(name) for name in ("because", "window", "without", "sets", "driver")}


def _cost(steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "cpu_seconds": sum(step.cpu_seconds for step in steps),
        "peak_rss_bytes": max((step.peak_rss_bytes for step in steps), default=0),
    }


def _data(details: Details, run: Run, steps: Sequence[Step]) -> Iterator[Event]:
    step = next((one for one in steps if one.name == "ingest" and one.status != "failed"), None)
    for table, identity in sorted(step.output.get("snapshots", {}).items()) if step is not None else ():
        snapshot = details.snapshots.get(identity)
        if snapshot is None:
            continue
        files = [path for path, _ in snapshot.files]
        named = ", ".join(files[-FILES:]) or "-"
        figures = {"table": table, "rows": snapshot.rows, "count": len(files)}
        yield Event(
            at=step.started_at if step is not None else run.started_at,
            kind="data",
            text=t(
                "Data: {table}, {rows:,} rows. Files: {count} ({named}).",
                **figures,
                named=named if len(files) <= FILES else f"…, {named}",
            ),
            facts={"table": snapshot.table, "version": snapshot.version, "rows": snapshot.rows,
                   "files": [list(one) for one in snapshot.files]},
            refs={"run": run.id, "snapshot": identity},
        )  # fmt: skip


def _tried(details: Details, run: Run, steps: Sequence[Step]) -> Iterator[Event]:
    trials: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in details.trials.get(run.id, ()):
        trials[trial.candidate].append(trial)
    for step in steps:
        if not step.name.startswith(TRAIN) or step.status == "failed":
            continue
        name = step.name.removeprefix(TRAIN)
        figures = {key: step.output.get(key) for key in ("score", "training_score", "gap", "penalised")}
        count = len(trials[name])
        said = {"name": name, "score": _number(figures["score"]), "gap": _number(figures["gap"])}
        text = (
            t("Candidate {name}: the fit that was made before is taken; it scores {score}.", **said)
            if step.status == "reused"
            else t(
                "Candidate {name}: {count} settings tried; the best scores {score}, {gap} less than on what it learned"
                " from.",
                **said,
                count=count,
            )
        )
        yield Event(
            at=step.started_at,
            kind="candidate",
            text=text,
            facts={"trials": count, **figures},
            refs={"run": run.id},
        )


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float | int) else "-"


def _steps(run: Run, steps: Sequence[Step]) -> Iterator[Event]:
    for step in steps:
        figures = {
            "name": step.name,
            "wall": step.wall_seconds,
            "cpu": step.cpu_seconds,
            "peak": words.size(step.peak_rss_bytes),
            "rows": step.rows_out,
        }
        told = {
            "done": t(
                "Step {name}: {wall:.1f} s, {cpu:.1f} s of processor time, {peak} at most; {rows:,} rows.",
                **figures,
            ),
            "reused": t("Step {name}: the same was done before.", **figures),
            "failed": t("Step {name} failed: {error}", **figures, error=step.error or "-"),
        }
        yield Event(
            at=step.started_at,
            kind="step",
            text=told.get(step.status, step.status),
            facts={"step": step.name, "status": step.status, "wall_seconds": step.wall_seconds,
                   "cpu_seconds": step.cpu_seconds, "peak_rss_bytes": step.peak_rss_bytes, "rows_in": step.rows_in,
                   "rows_out": step.rows_out, "bytes_in": step.bytes_in, "bytes_out": step.bytes_out},
            refs={"run": run.id},
        )  # fmt: skip


def _judged(run: Run, steps: Sequence[Step]) -> Iterator[Event]:
    chosen = next(
        (one for one in reversed(steps) if one.name == "evaluate" and "candidate" in one.output), None
    )
    if chosen is not None:
        metrics = chosen.output.get("metrics", {})
        shown = ", ".join(f"{name} {_number(value)}" for name, value in sorted(metrics.items()))
        yield Event(
            at=chosen.started_at,
            kind="candidate",
            text=t(
                "{name} is chosen: {metrics} on rows that were held out.",
                name=chosen.output["candidate"],
                metrics=shown,
            ),
            facts=dict(chosen.output),
            refs={"run": run.id},
        )
    asked = next((one for one in reversed(steps) if one.name == "judge" and "verdict" in one.output), None)
    if asked is None:
        return
    verdict = asked.output["verdict"]
    text = t("The gate accepts it.") if verdict["accepted"] else t("The gate refuses it.")
    yield Event(
        at=asked.started_at,
        kind="verdict",
        text=text,
        facts={"accepted": verdict["accepted"]},
        refs={"run": run.id},
    )
    for reason in verdict["reasons"]:
        mark = "✓" if reason["passed"] else "✗"
        yield Event(
            at=asked.started_at,
            kind="verdict",
            text=f"{mark} {reason['text']}",
            facts=reason,
            refs={"run": run.id},
        )


def versions(known: Known, chain: Chain) -> Iterator[Event]:
    """The versions that were registered."""
    for number in sorted(chain.versions):
        version = known.version[number]
        figures = {"version": number, "algorithm": version.algorithm, "change": t(version.change)}
        yield Event(
            at=version.created_at,
            kind="version",
            text=t("Version {version} ({algorithm}) is registered: {change}", **figures)
            if version.status == "accepted"
            else t("Version {version} ({algorithm}) is registered as refused: {change}", **figures),
            facts={"status": version.status, "algorithm": version.algorithm, "digest": version.digest,
                   "metrics": version.metrics.get("metrics", {})},
            refs={"version": number, "run": version.run},
        )  # fmt: skip
