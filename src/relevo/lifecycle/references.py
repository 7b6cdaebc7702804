"""The reference of a version: the rows that judged it, which it has not learned from, with its answers and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from relevo import examples as examples_
from relevo import recalibration
from relevo.encoding import encode_columns
from relevo.errors import LedgerError
from relevo.lifecycle import kept
from relevo.lifecycle.walk import Walk
from relevo.package import ModelPackage
from relevo.sql import Column
from relevo.texts import t

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.recalibration import Block
    from relevo.records import ModelVersion
    from relevo.workspace import Workspace

_STRETCHES = {"hour": "h", "day": "D"}


@dataclass(frozen=True)
class Reference:
    """n held-out rows of a version, in order of time; ``time`` is None where they have none."""

    probability: NDArray[np.float64]
    decision: NDArray[np.bool_]
    outcome: NDArray[np.bool_]
    time: NDArray[np.datetime64] | None

    def blocks(self, unit: str) -> list[Block]:
        """The rows by the hours, days or weeks of their times; without times all are one block."""
        if self.time is None:
            return [(self.probability, self.outcome)]
        if unit == "week":
            days = self.time.astype("datetime64[D]").astype(np.int64)
            stretch = (days + 3) // 7  # the first day of the epoch was a Thursday; weeks begin on Monday
        else:
            stretch = self.time.astype(f"datetime64[{_STRETCHES[unit]}]").astype(np.int64)
        return recalibration.blocks_of(self.probability, self.outcome, stretch)


def reference(definition: Definition, workspace: Workspace, version: str = "") -> Reference:
    """Read or make the answers of a version (the champion by default) to the rows that its run held out.

    A test part is scored anew by the version's package, from the features as the run's examples have them. Where the
    run was judged out of fold, its first repeat's answers are taken, which models made alike gave.
    Raises ``LedgerError`` when there is no such version, or its run's examples are not there.
    """
    ledger, name = workspace.ledger, definition.name
    found = ledger.version(name, version) if version else ledger.champion(name)
    if found is None:
        problem = (
            t("There is no version {version}.", version=version)
            if version
            else t("Nothing was released yet.")
        )
        raise LedgerError(problem + " " + t("See `relevo versions`; `relevo run` makes one."))
    outputs = {step.name: step.output for step in ledger.steps(found.run)}
    walk = Walk(definition, workspace, ledger.run(found.run), outputs)
    there = "snapshot" in outputs.get("examples", {}) and kept.tables(walk, outputs["examples"])
    if not there or "blob" not in outputs.get("evaluate", {}):
        raise LedgerError(
            t(
                "Run {run}, which made version {version}, left no examples, so there is no reference.",
                run=found.run,
                version=found.version,
            )
        )
    return _read(walk, found)


def _read(walk: Walk, version: ModelVersion) -> Reference:
    package = ModelPackage.load(walk.workspace.blobs.folder(version.digest))
    answers = walk.blob(walk.output("evaluate")["blob"]).get("answers")
    features = [Column(encoder.feature, encoder.type) for encoder in package.manifest.encoders]
    part = "train" if answers else "test"
    rows = examples_.read(walk.workspace.lake, walk.examples, features, part=part)
    if answers:
        content = examples_.digests_of(walk.workspace.lake, walk.examples, "_content", part=part)
        place = {digest: number for number, digest in enumerate(answers["content"])}
        at = [place[digest] for digest in content]
        probability = np.array(answers["probability"][0])[at]
    else:
        probability = package.score_matrix(encode_columns(package.manifest.encoders, rows.columns))
    threshold = np.full(len(probability), package.threshold)
    if answers and package.manifest.decision["rule"] != "costs":
        threshold = np.array(answers["threshold"][0])[at]
    timed = walk.definition.examples.event_time is not None
    return Reference(probability, probability >= threshold, rows.target, rows.time if timed else None)
