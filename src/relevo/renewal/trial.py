"""The trial of a fresh version: for a while after a run released it, it is compared with the version before it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from relevo import batch, clock, durations, lifecycle, withheld
from relevo import digest as digests
from relevo import examples as examples_
from relevo.lake import explained
from relevo.lifecycle import kept
from relevo.lifecycle.releasing import standing_versions
from relevo.monitor import baselines
from relevo.monitor.arrivals import unseen
from relevo.package import ModelPackage
from relevo.records import CHAMPION, Decision, now
from relevo.renewal import fresh
from relevo.renewal.decide import FRESH, ROLL_BACK
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.records import ModelVersion, Release, Snapshot
    from relevo.renewal.fresh import Trial
    from relevo.workspace import Workspace


def judge(definition: Definition, workspace: Workspace, without: Collection[str]) -> Decision | None:
    """Decide to roll a fresh version back, when rows that came since its release say so surely; else None.

    The examples are the newest that were made, ``without`` the pieces that are broken; a version is fresh for
    ``Retrain.watch`` after a run that renewal began released it. One that a person released again is not.
    """
    ledger, project = workspace.ledger, definition.name
    found = _on_trial(definition, workspace)
    examples = ledger.newest_snapshot(f"examples/{project}", project=project)
    if found is None or examples is None:
        return None
    release, version, before = found
    compared = _compared(definition, workspace, examples, version, before, without)
    if compared is None or not compared.failed:
        return None
    return Decision(
        id=digests.of_json([project, FRESH, release.number])[:32],
        project=project,
        at=now(),
        cause=FRESH,
        action=ROLL_BACK,
        text=compared.told(version.version, before.version),
        evidence={"release": release.number, "to": before.version, "trial": compared.to_json()},
        version=version.version,
    )


def _on_trial(
    definition: Definition, workspace: Workspace
) -> tuple[Release, ModelVersion, ModelVersion] | None:
    """The champion's release, the champion, and the version before it; None when it is not on trial."""
    ledger, project, retrain = workspace.ledger, definition.name, definition.project.retrain
    release = ledger.standing(project, CHAMPION)
    if release is None or retrain is None or release.act == "rollback":
        return None
    if clock.now() - datetime.fromisoformat(release.released_at) > durations.parse(retrain.watch):
        return None
    version = ledger.version(project, release.version)
    run = ledger.find_run(release.who.removeprefix("run "))  # None when a person released it
    standing = standing_versions(ledger.releases(project, CHAMPION))
    if version is None or run is None or not run.plan.get("because") or len(standing) < 2:  # noqa: PLR2004 - two
        return None
    before = ledger.version(project, standing[-2])
    return (release, version, before) if before is not None else None


def _compared(
    definition: Definition,
    workspace: Workspace,
    examples: Snapshot,
    version: ModelVersion,
    before: ModelVersion,
    without: Collection[str],
) -> Trial | None:
    packages = [ModelPackage.load(workspace.blobs.folder(one.digest)) for one in (version, before)]
    if not all(kept.holds(workspace.lake, baselines.learned_from(workspace, one)) for one in packages):
        return None
    left_out = _pieces(workspace, packages[0]).union(without)
    answers = []
    target: NDArray[np.bool_] | None = None
    for package in packages:
        found, target, group = _answers(definition, workspace, examples, package, packages, left_out)
        answers.append((found, package.threshold))
    assert target is not None
    wanted = definition.project.monitor
    return fresh.compare(
        answers[0], answers[1], target, metric=wanted.metric, margin=wanted.loss, group=group
    )


def _answers(
    definition: Definition,
    workspace: Workspace,
    examples: Snapshot,
    package: ModelPackage,
    packages: list[ModelPackage],
    left_out: Collection[str],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64] | None]:
    """A package's probabilities of the rows that came after what all the packages were made from, and the outcomes.

    And the numbers of their groups, where rows have them. Rows of the pieces that are ``left_out`` are not among them.
    """
    lake = workspace.lake
    with explained(lake.root), lake.connect() as connection:
        lifecycle.bind_newest(connection, workspace, definition, package)
        lake.bind(connection, examples.table, as_="_examples", version=examples.version)
        fresh_rows = []
        for place, one in enumerate(packages):
            learned = baselines.learned_from(workspace, one)
            lake.bind(connection, learned.table, as_=f"_learned_{place}", version=learned.version)
            fresh_rows.append(unseen(f"_learned_{place}"))
        fields = ", ".join(f"request.{quote(field)} as {quote(field)}" for field in package.request.names)
        connection.execute(
            f"create temp table request as select {fields}, _time, _id, _group, _target as _outcome from _examples e"
            f" where {' and '.join(fresh_rows)} and not list_contains(?, split_part(_id, ':', 1)) order by _id",
            [sorted(left_out)],
        )
        parts = list(batch.scored(connection, package, carry=["_outcome", "_id", "_group"]))
    if not parts:
        return np.zeros(0), np.zeros(0, bool), None
    order = np.argsort(
        np.concatenate([np.asarray(part.carried["_id"], str) for part in parts]), kind="stable"
    )
    probability = np.concatenate([part.probability for part in parts])
    target = np.concatenate([np.asarray(part.carried["_outcome"], bool) for part in parts])
    names = np.ma.concatenate([part.carried["_group"] for part in parts])  # type: ignore[no-untyped-call]
    return probability[order], target[order], examples_.numbered(names[order])


def _pieces(workspace: Workspace, package: ModelPackage) -> set[str]:
    """The files and batches that were there when a package was made, used or not, as ``withheld`` knows them."""
    ledger, project = workspace.ledger, package.manifest.project
    raw = [ledger.snapshot(one, project=project) for one in package.manifest.data["raw"].values()]
    return {digest[: withheld.LENGTH] for one in raw if one is not None for _, digest in one.files}
