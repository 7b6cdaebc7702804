"""What MLflow is to hold of a run, as plain data made of the ledger's facts: the run, its candidates, their trials."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from relevo.errors import RelevoError
from relevo.tracking import plots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relevo.records import ModelVersion, Run, Step, Trial
    from relevo.workspace import Workspace

PART, RUN = "relevo.part", "relevo.run"
"""Tags: which part of a Relevo run an MLflow run is, and of which. Together they tell it from every other."""
PARENT, NOTE, NAME = "mlflow.parentRunId", "mlflow.note.content", "mlflow.runName"
_TRAIN = "train:"
_RUNNING, _FINISHED, _FAILED, _KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"
_COSTS = ("wall_seconds", "cpu_seconds", "peak_rss_mib", "rows_in", "rows_out", "bytes_in", "bytes_out")
_MIB = 1 << 20


@dataclass(frozen=True)
class Metric:
    """A figure; ``at`` are milliseconds since 1970, ``step`` its place in a series."""

    name: str
    value: float
    at: int
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Document:
    """An MLflow run as it is to be. Two makings of the same facts are equal, so it may be sent again.

    ``params`` are those that are known for good, unless steps are done again.
    """

    part: str
    name: str
    status: str
    started: int
    ended: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by their paths among the run's artifacts."""
    children: tuple[Document, ...] = ()


def document(workspace: Workspace, run: Run) -> Document:
    """Make the document of a run."""
    ledger = workspace.ledger
    steps = _newest(ledger.steps(run.id))
    version = ledger.version(run.project, run.version) if run.version else None
    made_here = version is not None and version.run == run.id
    record = _evaluation(workspace, steps)
    ended = run.status != "running"
    at = _ms(run.finished_at or (steps[-1].started_at if steps else run.started_at))
    parts = [step for step in steps if step.name.startswith(_TRAIN)]
    chosen = str(record.get("candidate", ""))
    settings: Mapping[str, Any] = next(
        (_fit(s).get("settings", {}) for s in parts if s.name == _TRAIN + chosen), {}
    )
    return Document(
        part="run",
        name=f"{run.started_at[:16].replace('T', ' ')} {run.version if made_here else run.status}",
        status=_status(run.status),
        started=_ms(run.started_at),
        ended=at if ended else None,
        tags=_tags(run, version if made_here else None, chosen),
        params=_params(run, record, settings) if ended else _params(run, {}, {}),
        metrics=(*_held_out(record, at), *_costs(run, steps)),
        files=_files(run, record, steps, version if made_here else None),
        children=tuple(
            _candidate(run, step, ledger.trials(run.id), step.name == _TRAIN + chosen) for step in parts
        ),
    )


def _newest(steps: Iterable[Step]) -> list[Step]:
    """The last record of each step: one that failed may have been done again."""
    found = {step.name: step for step in steps}
    return list(found.values())


def _evaluation(workspace: Workspace, steps: Sequence[Step]) -> dict[str, Any]:
    """The evaluation's record; empty when the run did not come so far, or the record is gone."""
    blob = next((step.output.get("blob") for step in steps if step.name == "evaluate"), None)
    if blob is None:
        return {}
    try:
        found: dict[str, Any] = json.loads(workspace.blobs.get(str(blob)))
    except (RelevoError, ValueError):  # the rest is told all the same
        return {}
    return found


def _tags(run: Run, version: ModelVersion | None, chosen: str) -> dict[str, str]:
    tags = {
        RUN: run.id,
        PART: "run",
        "relevo.project": run.project,
        "relevo.status": run.status,
        "relevo.driver": str(run.plan.get("driver", "")),
        "relevo.because": str(run.plan.get("because", "")),
        "relevo.candidate": chosen,
        "relevo.version": run.version,
        NOTE: run.message,
    }
    if version is not None:
        failed = [reason.text for reason in version.verdict.reasons if not reason.passed]
        tags |= {
            "relevo.digest": version.digest,
            "relevo.decision": version.status,
            "relevo.change": version.change,
            "relevo.reasons": "; ".join(failed),
        }
    return {name: value for name, value in tags.items() if value}


def _params(run: Run, record: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    data = record.get("data", {})
    found = {
        "definition": str(run.plan.get("definition", ""))[:16],
        "window": str(run.plan.get("window", "")),
        "algorithm": str(record.get("algorithm", "")),
        "candidate": str(record.get("candidate", "")),
        **{name: str(data.get(name, "")) for name in ("rows", "positive", "held_out_rows", "from", "to")},
        **{f"settings.{name}": _text(value) for name, value in settings.items()},
    }
    return {_named(name): value for name, value in found.items() if value}


def _held_out(record: Mapping[str, Any], at: int) -> list[Metric]:
    """The chosen candidate on the held-out rows, with intervals; what needs no model; the champion beside it."""
    if not record:
        return []
    found = [*_intervals("held_out", record["evaluation"], at)]
    found += [Metric("held_out/threshold", record["evaluation"]["threshold"], at)]
    for name, baseline in record["baselines"].items():
        found += [
            Metric(f"baseline/{_named(name)}/{metric}", said["value"], at)
            for metric, said in baseline["metrics"].items()
            if _finite(said.get("value"))
        ]
    paired = (record.get("champion") or {}).get("paired")
    if paired:
        gain = paired["difference"]
        figures = {"champion": paired["champion"], "challenger": paired["challenger"]}
        figures |= {f"difference{end}": gain[name] for name, end in _ENDS}
        found += [
            Metric(f"against_champion/{paired['metric']}_{name}", value, at)
            for name, value in figures.items()
            if _finite(value)
        ]
    return found


_ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))


def _intervals(prefix: str, evaluation: Mapping[str, Any], at: int) -> Iterable[Metric]:
    for name, said in evaluation["metrics"].items():
        for part, end in _ENDS:
            if _finite((said or {}).get(part)):
                yield Metric(f"{prefix}/{name}{end}", float(said[part]), at)


def _costs(run: Run, steps: Sequence[Step]) -> Iterable[Metric]:
    """What each step cost, among MLflow's system metrics; ``step`` is its place in the plan."""
    order = {one["name"]: place for place, one in enumerate(run.plan.get("steps", ()))}
    for step in steps:
        if step.status != "done":
            continue
        at = _ms(step.started_at) + round(step.wall_seconds * 1000)
        for name in _COSTS:
            value = step.peak_rss_bytes / _MIB if name == "peak_rss_mib" else float(getattr(step, name))
            yield Metric(f"system/{_named(step.name)}/{name}", value, at, order.get(step.name, 0))


def _files(
    run: Run, record: Mapping[str, Any], steps: Sequence[Step], version: ModelVersion | None
) -> dict[str, str]:
    if run.status == "running":
        return {}
    costs = [
        {"step": s.name, "status": s.status, **{n: _cost(s, n) for n in _COSTS}, "error": s.error}
        for s in steps
    ]
    found = {"steps.json": json.dumps(costs, indent=1)}
    if record:
        found |= {f"plots/{name}.svg": text for name, text in plots.of(record).items()}
    if version is not None:
        lines = [f"- {'✓' if reason.passed else '✗'} {reason.text}" for reason in version.verdict.reasons]
        head = f"# {version.version}: {version.status}\n\n{version.change}\n\n"
        found["verdict.md"] = head + "\n".join(lines) + "\n"
    return found


def _cost(step: Step, name: str) -> float:
    return round(step.peak_rss_bytes / _MIB, 1) if name == "peak_rss_mib" else getattr(step, name)


def _candidate(run: Run, step: Step, trials: Sequence[Trial], chosen: bool) -> Document:  # noqa: FBT001 - a fact
    name = step.name.removeprefix(_TRAIN)
    own = [trial for trial in trials if trial.candidate == name] if step.status == "done" else []
    fit, begin = _fit(step), _ms(step.started_at)
    end = begin + round(step.wall_seconds * 1000)
    scores = {
        "validation/penalised": step.output.get("penalised"),
        f"validation/{fit.get('metric', 'score')}": step.output.get("score"),
        f"training/{fit.get('metric', 'score')}": step.output.get("training_score"),
        "threshold": fit.get("threshold"),
    }
    children, at = [], begin
    for trial in own:
        children.append(_trial(run, trial, at, str(fit.get("metric", "score"))))
        at += round(trial.seconds * 1000)
    return Document(
        part=f"candidate:{name}",
        name=name,
        status=_FAILED if step.status == "failed" else _FINISHED,
        started=begin,
        ended=end,
        tags={
            RUN: run.id,
            PART: f"candidate:{name}",
            "relevo.project": run.project,
            "relevo.candidate": name,
            "relevo.status": step.status,
            "relevo.chosen": "yes" if chosen else "no",
            **({NOTE: step.error} if step.error else {}),
        },
        params={} if step.status == "failed" else _fitted(name, fit),
        metrics=_figures(scores, end),
        children=tuple(children),
    )


def _fitted(name: str, fit: Mapping[str, Any]) -> dict[str, str]:
    return {
        "algorithm": str(fit.get("algorithm", "")) or name,
        **{_named(f"settings.{key}"): _text(value) for key, value in fit.get("settings", {}).items()},
    }


def _trial(run: Run, trial: Trial, begin: int, metric: str) -> Document:
    end = begin + round(trial.seconds * 1000)
    figures = {
        f"validation/{metric}": trial.score,
        f"training/{metric}": trial.training_score,
        "seconds": trial.seconds,
    }
    part = f"trial:{trial.candidate}:{trial.number}"
    return Document(
        part=part,
        name=f"{trial.candidate} {trial.number + 1}",
        status=_KILLED if trial.state == "pruned" else _FINISHED,
        started=begin,
        ended=end,
        tags={
            RUN: run.id,
            PART: part,
            "relevo.project": run.project,
            "relevo.candidate": trial.candidate,
            "relevo.trial": str(trial.number),
            "relevo.state": trial.state,
        },
        params={_named(key): _text(value) for key, value in trial.settings.items()},
        metrics=_figures(figures, end),
    )


def _figures(values: Mapping[str, Any], at: int) -> tuple[Metric, ...]:
    return tuple(Metric(name, float(value), at) for name, value in values.items() if _finite(value))


def _fit(step: Step) -> Mapping[str, Any]:
    found = step.output.get("fit", {})
    return found if isinstance(found, dict) else {}


def _status(status: str) -> str:
    return {"running": _RUNNING, "failed": _FAILED}.get(status, _FINISHED)


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _named(name: str) -> str:
    """A name as MLflow takes it for metrics and parameters: letters, digits, and a few signs."""
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)[:200]
