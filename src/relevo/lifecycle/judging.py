"""The steps that judge what was learned: evaluate, package, audit, judge, register, release."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from relevo import asof
from relevo import audit as audits
from relevo import evaluate as evaluate_
from relevo import examples as examples_
from relevo import judge as judge_
from relevo import pack as pack_
from relevo import profile as profile_
from relevo import register as register_
from relevo import train as train_
from relevo.decisions import fixed_threshold
from relevo.errors import LedgerError
from relevo.lifecycle import heldout
from relevo.lifecycle.walk import Outcome, Walk
from relevo.package import ModelPackage
from relevo.records import CHAMPION, Reason, Verdict
from relevo.split import judging_part
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from relevo.asof import Asked

SEED = 0


def evaluate(walk: Walk) -> Outcome:
    """Judge the best candidate on the held-out rows, beside baselines and the champion."""
    fit, held, train = walk.best, heldout.held_out(walk), walk.part("train")
    target, group = held.rows.target, held.rows.group
    found = evaluate_.evaluate(
        held.probability, target, held.threshold, fold=held.fold, group=group, seed=SEED
    )
    baselines = evaluate_.baselines(
        heldout.lessons(walk, held), target, metric=walk.definition.project.metric, group=group, seed=SEED
    )
    record = {
        "candidate": fit.candidate,
        "algorithm": fit.algorithm,
        "evaluation": found.to_json(),
        "baselines": {name: baseline.to_json() for name, baseline in baselines.items()},
        "champion": heldout.against_champion(walk, held),
        "reference": profile_.profile(
            train.features, train.columns, held.probability[0], walk.definition.project.monitor.pairs
        ),
        "data": _data(walk, train, held.rows),
        **heldout.kept(walk, held),
    }
    shown = {name: found.metrics[name].value for name in ("f1", "roc_auc", "pr_auc")}
    words = {"name": fit.candidate, "rows": len(target), **shown}
    walk.tell(
        t(
            "{name}: F1 {f1:.3f}, ROC-AUC {roc_auc:.3f}, PR-AUC {pr_auc:.3f} on {rows:,} held-out rows",
            **words,
        )
        if found.repeats == 1
        else t(
            "{name}: F1 {f1:.3f}, ROC-AUC {roc_auc:.3f}, PR-AUC {pr_auc:.3f} out of fold on {rows:,} rows, mean of"
            " {repeats} repeats",
            repeats=found.repeats,
            **words,
        )
    )
    champion = record["champion"]["version"] if record["champion"] else ""
    output: dict[str, Any] = {
        "blob": walk.keep(record), "candidate": fit.candidate, "metrics": shown, "champion": champion
    }  # fmt: skip
    return Outcome(
        output,
        rows_in=walk.examples.rows,
        rows_out=len(target),
        bytes_in=walk.bytes_of(walk.examples),
        bytes_out=len(walk.workspace.blobs.get(output["blob"])),
    )


def _data(walk: Walk, train: examples_.Examples, held: examples_.Examples) -> dict[str, Any]:
    found: dict[str, Any] = {
        "examples": walk.examples.id,
        "raw": walk.output("ingest")["snapshots"],
        "rows": len(train.target),
        "positive": int(train.target.sum()),
        "held_out_rows": len(held.target),
    }
    if walk.definition.examples.event_time is not None:
        found |= {
            "from": str(train.time.min()),
            "to": str(train.time.max()),
            "held_out_to": str(held.time.max()),
        }
    return found


def package(walk: Walk) -> Outcome:
    """Write the data-only package, with its metrics, reference, golden and background rows."""
    record = walk.blob(walk.output("evaluate")["blob"])
    definition, workspace = walk.definition, walk.workspace
    common: dict[str, Any] = {"data": record["data"], "metrics": record["evaluation"]}
    tables = walk.tables
    with workspace.scratch() as folder:
        draft, final = folder / "draft", folder / "final"
        draft.mkdir()
        final.mkdir()
        pack_.pack(definition, workspace.lake, tables, walk.best, draft, **common)
        draft_package = ModelPackage.load(draft)
        golden = pack_.golden_rows(draft_package, _to_ask(walk, draft_package))
        background = pack_.background_rows(draft_package, walk.drawn("train", pack_.BACKGROUND_ROWS))
        digest = pack_.pack(
            definition,
            workspace.lake,
            tables,
            walk.best,
            final,
            **common,
            reference=record["reference"],
            golden=golden,
            background=background,
        )
        size = sum(path.stat().st_size for path in final.rglob("*") if path.is_file())
        workspace.blobs.put_folder(final, digest)
    walk.tell(t("{digest}, {size:,} bytes", digest=digest[:12], size=size))
    return Outcome(
        {"digest": digest},
        rows_in=len(golden),
        rows_out=len(golden),
        bytes_in=len(walk.best.onnx),
        bytes_out=size,
    )


def _to_ask(walk: Walk, draft: ModelPackage) -> list[Asked]:
    """The critical cases, asked now, and held-out requests, each asked at its time."""
    held_out = walk.asked(judging_part(walk.definition.project.split), pack_.GOLDEN_ROWS)
    names = walk.definition.request.names
    cases = [{name: case.request[name] for name in names} for case in walk.definition.cases]
    with examples_.bound(walk.definition, walk.workspace.lake, walk.tables) as connection:
        now = _newest(walk.asked(judging_part(walk.definition.project.split), 1, newest=True))
        return asof.look_up(connection, draft, [*((case, now) for case in cases), *held_out])


def _newest(asked: Sequence[tuple[Any, datetime | None]]) -> datetime | None:
    return max((at for _, at in asked if at is not None), default=None)


def audit(walk: Walk) -> Outcome:
    """Prove that training, batch and online answer alike."""
    fit, project = walk.best, walk.definition.project
    candidate = next(c for c in project.candidates if c.name == fit.candidate)
    margin = train_.native(
        fit, candidate, project.tuning, lambda: walk.training_set(walk.part("train")), project.root
    )
    found = audits.audit(
        walk.definition,
        walk.workspace.lake,
        walk.tables,
        walk.examples,
        ModelPackage.load(walk.workspace.blobs.folder(walk.output("package")["digest"])),
        audits.Native(
            fit.encoders, margin, fit.calibration, fixed_threshold(project.decision, fit.threshold)
        ),
    )
    text = (
        t(
            "{rows:,} real and {edges:,} edge rows agree, largest difference {largest:.1e}",
            rows=found.rows,
            edges=found.edges,
            largest=found.largest,
        )
        if found.proven
        else t("{count} differences between training, batch and online", count=len(found.faults) + found.more)
    )
    walk.tell(text)
    return Outcome(
        {**asdict(found), "proven": found.proven},
        rows_in=found.rows + found.edges,
        rows_out=found.rows + found.edges - found.refused,
        bytes_in=walk.bytes_of(walk.examples),
    )


def judge(walk: Walk) -> Outcome:
    """Ask the gate."""
    definition = walk.definition
    record = walk.blob(walk.output("evaluate")["blob"])
    folder = walk.workspace.blobs.folder(walk.output("package")["digest"])
    verdict = judge_.judge(
        definition.project.gate,
        definition.project.metric,
        evaluate_.Evaluation.from_json(record["evaluation"]),
        {name: evaluate_.Evaluation.from_json(row) for name, row in record["baselines"].items()},
        _paired(record["champion"]),
        _cases(walk, ModelPackage.load(folder)),
    )
    proof = walk.output("audit")
    parity = Reason(
        check="parity",
        passed=proof["proven"],
        text=t(
            "Training, batch and online agree on {rows:,} real and {edges:,} edge rows.",
            rows=proof["rows"],
            edges=proof["edges"],
        )
        if proof["proven"]
        else t("Training, batch and online differ: {fault}", fault=proof["faults"][0]),
        figures={"rows": proof["rows"], "edges": proof["edges"], "largest": proof["largest"]},
    )
    if record["champion"] and "incomparable" in record["champion"]:
        verdict = replace(verdict, reasons=tuple(map(_incomparable(record["champion"]), verdict.reasons)))
    verdict = replace(
        verdict, accepted=verdict.accepted and parity.passed, reasons=(parity, *verdict.reasons)
    )
    for reason in verdict.reasons:
        walk.tell(f"{'✓' if reason.passed else '✗'} {reason.text}")
    return Outcome({"verdict": asdict(verdict)}, rows_in=len(definition.cases))


def _incomparable(champion: Any) -> Callable[[Reason], Reason]:
    """Say, in place of there being no champion, why the one there is cannot be asked."""
    text = t(
        "The champion {version} cannot be asked about these rows, so the two are not compared: {problem}",
        version=champion["version"],
        problem=champion["incomparable"],
    )
    return lambda reason: replace(reason, text=text) if reason.check == "champion" else reason


def _paired(record: Any) -> evaluate_.Paired | None:
    return evaluate_.Paired.from_json(record["paired"]) if record and "paired" in record else None


def _cases(walk: Walk, package_: ModelPackage) -> list[judge_.CaseResult]:
    definition = walk.definition
    if not definition.cases:
        return []
    with examples_.bound(definition, walk.workspace.lake, walk.tables) as connection:
        now = _newest(walk.asked(judging_part(walk.definition.project.split), 1, newest=True))
        asked = asof.look_up(connection, package_, [(case.request, now) for case in definition.cases])
    rows = [package_.features(one.request, one.histories) for one in asked]
    decisions = (package_.score(rows) >= package_.threshold).tolist()
    labels = package_.labels
    return [
        judge_.CaseResult(case.name, labels[case.expected], labels[decision], decision == case.expected)
        for case, decision in zip(definition.cases, decisions, strict=True)
    ]


def verdict_of(output: Any) -> Verdict:
    """Read a verdict from the ``judge`` step's output."""
    reasons = tuple(Reason(**reason) for reason in output["verdict"]["reasons"])
    return Verdict(accepted=output["verdict"]["accepted"], reasons=reasons)


def register(walk: Walk) -> Outcome:
    """Give the package its version, accepted or refused."""
    folder = walk.workspace.blobs.folder(walk.output("package")["digest"])
    verdict = verdict_of(walk.output("judge"))
    version = register_.register(walk.workspace, folder, verdict=verdict, run=walk.run.id)
    walk.tell(f"{version.version}: {version.change}")
    return Outcome({"version": version.version, "status": version.status, "change": version.change})


def release(walk: Walk) -> Outcome:
    """Move ``champion`` to the version, if the gate accepted it; from the one that it was compared with alone."""
    ledger, name = walk.workspace.ledger, walk.definition.name
    version, who = walk.output("register")["version"], walk.who
    moves = ledger.releases(name, CHAMPION)
    if any(one.version == version and one.who == who for one in moves):  # and killed before it was recorded
        walk.tell(t("champion: {version}, moved before", version=version))
        return Outcome({"released": True, "version": version})
    champion = ledger.champion(name)
    before = champion.version if champion else ""
    if not verdict_of(walk.output("judge")).accepted or before == version:
        walk.tell(t("champion stays {version}", version=before or "-"))
        return Outcome({"released": False, "version": version})
    released = None
    if walk.output("evaluate").get("champion", before) == before:
        newest = moves[-1].number if moves else 0
        why = t("The gate accepted it.")
        released = ledger.release_after(newest, name, CHAMPION, version, who=who, why=why, act="promote")
    if released is None:
        raise LedgerError(
            t(
                "The champion moved since {version} was compared with it. Run again, or repeat {step} and what"
                " follows it in this run: it is compared with the new one.",
                version=version,
                step="evaluate",
            )
        )
    walk.tell(t("champion: {previous} → {version}", previous=before or "-", version=version))
    return Outcome({"released": True, "version": version})
