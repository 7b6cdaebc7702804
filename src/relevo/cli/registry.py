"""``status``, ``versions``, ``history``, ``promote`` and ``rollback``: reading and moving what is recorded."""

from __future__ import annotations

from dataclasses import asdict
from json import loads
from typing import TYPE_CHECKING, Any

import orjson

from relevo import lifecycle, lookups, outcomes
from relevo.cli import mirror, trying
from relevo.cli.output import document, say, table
from relevo.cli.trying import opened, who
from relevo.collect import collect_all
from relevo.errors import PackageError
from relevo.nulls import Counts, differing
from relevo.package import manifest as manifests
from relevo.package.model import MANIFEST
from relevo.records import WITHDRAW
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relevo.records import ModelVersion, Release, Step
    from relevo.workspace import Workspace

MIB = 1 << 20
CHAMPION = "champion"
RUNS = 20
"""Runs in which a count of nulls is looked for."""
SHOWN = 12
"""Shares of nulls that are shown of a column: the first and the newest."""


def _figure(metrics: Any, name: str) -> str:
    found = metrics.get("metrics", {}).get(name)
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else ""


def status(folder: Path, *, json: bool) -> None:
    """Show the champion, the last run, the data and the predictions."""
    workspace, name = opened(folder)
    collect_all(workspace)
    champion = workspace.ledger.champion(name)
    runs = workspace.ledger.runs(name, limit=1)
    steps = workspace.ledger.steps(runs[0].id) if runs else []
    data = _data(workspace, name)
    nulls = _nulls(workspace, name)
    predictions = _predictions(workspace, name)
    reviews = outcomes.read(workspace.lake, name)
    histories = _histories(workspace, champion)
    tried = trying.described(workspace, name)
    if json:
        document(
            {
                "project": name,
                "champion": asdict(champion) if champion else None,
                "run": asdict(runs[0]) if runs else None,
                "steps": [asdict(step) for step in steps],
                "data": data,
                "nulls": {
                    table: {"pieces": [asdict(piece) for piece in pieces], "differing": differing(pieces)}
                    for table, pieces in nulls.items()
                },
                "histories": histories,
                "challenger": tried,
                "predictions": predictions,
                "reviews": reviews,
            }
        )
        return
    say(t("Project {name}", name=name))
    say(t("Champion: {version}", version=_described(champion) if champion else "-"))
    for line in trying.lines(tried):
        say(line)
    if data:
        table((t("table"), t("rows"), t("in quarantine")), [list(row.values()) for row in data])
    for name_, pieces in nulls.items():
        _tell_nulls(name_, differing(pieces))
    if histories:
        _looked_up(histories)
    if predictions:
        columns = (t("version"), t("predictions"), t("positive"), t("last"))
        table(columns, [list(row.values()) for row in predictions])
    for found in reviews:
        say(outcomes.told(found))
    if runs:
        say(
            t(
                "Last run: {run}, {status}. {message}",
                run=runs[0].id,
                status=runs[0].status,
                message=runs[0].message,
            )
        )
        _steps(steps)
    if hint := mirror.hint():
        say(hint)


def _described(version: ModelVersion) -> str:
    f1, roc_auc = (_figure(version.metrics, name) for name in ("f1", "roc_auc"))
    return f"{version.version} ({version.algorithm}), F1 {f1}, ROC-AUC {roc_auc}"


def _steps(steps: list[Step]) -> None:
    columns = (
        t("step"),
        t("status"),
        t("seconds"),
        "CPU s",
        "MiB",
        t("rows in"),
        t("rows out"),
        t("bytes in"),
        t("bytes out"),
    )
    rows = [
        (
            s.name,
            s.status,
            f"{s.wall_seconds:.2f}",
            f"{s.cpu_seconds:.2f}",
            f"{s.peak_rss_bytes / MIB:.0f}",
            s.rows_in,
            s.rows_out,
            s.bytes_in,
            s.bytes_out,
        )
        for s in steps
    ]
    table(columns, rows)


def _data(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    found = []
    for place in workspace.lake.names():
        snapshot = workspace.ledger.newest_snapshot(place, project=name)
        if snapshot is not None:
            found.append({"table": place, "rows": snapshot.rows, "quarantined": snapshot.quarantined})
    return found


def _nulls(workspace: Workspace, name: str) -> dict[str, list[Counts]]:
    """By table, what the newest run that cleaned counted."""
    for run in workspace.ledger.runs(name, limit=RUNS):
        for step in reversed(workspace.ledger.steps(run.id)):
            if step.name == "clean" and "nulls" in step.output:
                found = loads(workspace.blobs.get(step.output["nulls"]))
                return {table: [Counts(**piece) for piece in pieces] for table, pieces in found.items()}
    return {}


def _tell_nulls(table_: str, shares: Mapping[str, Sequence[float]]) -> None:
    if not shares:
        return
    say(t("Nulls in {table} that differ from batch to batch:", table=table_))
    width = max(map(len, shares))
    for column, found in shares.items():
        texts = [f"{share * 100:.0f} %" for share in found]
        if len(texts) > SHOWN:
            texts = [texts[0], "…", *texts[-SHOWN + 1 :]]
        say(f"  {column.ljust(width)}  {' → '.join(texts)}")


def _histories(workspace: Workspace, champion: ModelVersion | None) -> list[dict[str, Any]]:
    """What the champion looks up; a history whose keyed file was never made has its name alone."""
    if champion is None:
        return []
    try:
        manifest = (workspace.blobs.folder(champion.digest) / MANIFEST).read_bytes()
    except PackageError:  # it is gone; whoever wants to answer by it says so
        return []
    histories = manifests.parse(orjson.loads(manifest)).histories
    newest = lookups.known(workspace.ledger, champion.project, histories)
    return [
        lookups.described(made) if made else {"name": history["name"]}
        for history, made in zip(histories, newest, strict=True)
    ]


def _looked_up(histories: list[dict[str, Any]]) -> None:
    columns = (t("history"), t("rows"), t("newest known at"), t("hours old"), t("digest"))
    rows = []
    for one in histories:
        age = one.get("age_seconds")
        hours = "-" if age is None else f"{age / 3600:.1f}"
        digest = str(one.get("digest", ""))[: lookups.SHORT]
        rows.append((one["name"], one.get("rows", "-"), one.get("newest_known_at") or "-", hours, digest))
    table(columns, rows)


def _predictions(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    if not workspace.lake.exists("predictions"):
        return []
    connection = workspace.lake.connect()
    try:
        workspace.lake.bind(connection, "predictions", as_="predictions")
        query = """select version, count(*), count(*) filter (decision), max("at")::varchar
                   from predictions where project = ? group by version order by max("at") desc"""
        rows = connection.execute(query, [name]).fetchall()
    finally:
        connection.close()
    return [dict(zip(("version", "predictions", "positive", "last"), row, strict=True)) for row in rows]


def versions(folder: Path, *, json: bool) -> None:
    """List the registered versions, newest first."""
    workspace, name = opened(folder)
    champion = workspace.ledger.champion(name)
    found = workspace.ledger.versions(name)
    if json:
        document([asdict(version) for version in found])
        return
    columns = (t("version"), t("status"), t("algorithm"), "F1", "ROC-AUC", t("made"), t("why"))
    table(
        columns,
        [
            (
                f"{v.version}{' *' if champion and v.version == champion.version else ''}",
                v.status,
                v.algorithm,
                _figure(v.metrics, "f1"),
                _figure(v.metrics, "roc_auc"),
                v.created_at[:19],
                v.change,
            )
            for v in found
        ],
    )


def history(folder: Path, *, json: bool) -> None:
    """List every release; raises ``LedgerError`` when the chain does not verify."""
    workspace, name = opened(folder)
    found = workspace.ledger.releases(name)
    workspace.ledger.verify(name)
    if json:
        document({"verified": True, "releases": [asdict(release) for release in found]})
        return
    columns = ("#", t("time"), t("act"), t("alias"), t("from"), t("to"), t("who"), t("why"), t("hash"))
    rows = [
        (
            r.number,
            r.released_at[:23],
            r.act,
            r.alias,
            r.previous,
            "-" if r.act == WITHDRAW else r.version,
            r.who,
            r.why,
            r.hash[:12],
        )
        for r in found
    ]
    table(columns, rows)
    say(t("{count} releases; the chain verifies.", count=len(found)))


def promote(version: str, folder: Path, why: str, *, json: bool) -> None:
    """Make a version the champion."""
    workspace, name = opened(folder)
    before = workspace.ledger.champion(name)
    release = workspace.ledger.release(name, CHAMPION, version, who=who(), why=why, act="promote")
    mirror.insist(workspace, release)
    mirror.leave(folder)
    _moved(before, release, json=json)


def rollback(folder: Path, to: str, why: str, *, json: bool) -> None:
    """Go back."""
    workspace, name = opened(folder)
    before = workspace.ledger.champion(name)
    release = lifecycle.rollback(workspace.ledger, name, to=to, who=who(), why=why)
    mirror.insist(workspace, release)
    mirror.leave(folder)
    _moved(before, release, json=json)


def _moved(before: ModelVersion | None, release: Release, *, json: bool) -> None:
    if json:
        document(asdict(release))
    elif before is not None and before.version == release.version:
        say(t("{version} is {alias} already.", version=release.version, alias=release.alias))
    else:
        say(
            t(
                "{alias}: {previous} → {version}",
                alias=release.alias,
                previous=release.previous or "-",
                version=release.version,
            )
        )
