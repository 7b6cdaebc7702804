"""What a step works with: the definition, the workspace, and what the steps before it wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import durations
from relevo import examples as examples_
from relevo.errors import LedgerError
from relevo.records import CHAMPION
from relevo.split import TimeSplit
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.package import ModelPackage
    from relevo.records import ModelVersion, Run, Snapshot
    from relevo.train import Fit, TrainingSet
    from relevo.workspace import Workspace

CHUNK = 10_000


@dataclass(frozen=True)
class Outcome:
    """What a step hands back: plain data for the ledger, and how much went in and out."""

    output: Mapping[str, Any]
    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass
class Walk:
    """One run under way. Steps read each other's outputs from here, never from memory they share."""

    definition: Definition
    workspace: Workspace
    run: Run
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda text: None  # noqa: ARG005 - silent unless someone listens

    def output(self, step: str) -> Mapping[str, Any]:
        """What an earlier step of this run wrote; raises ``LedgerError`` when it was not done."""
        if step not in self.outputs:
            raise LedgerError(t("The step {step} of run {run} was not done yet.", step=step, run=self.run.id))
        return self.outputs[step]

    def snapshots(self, step: str) -> dict[str, Snapshot]:
        """The snapshots that ``ingest`` or ``clean`` wrote, by table."""
        return {table: self.snapshot(id_) for table, id_ in self.output(step)["snapshots"].items()}

    @property
    def tables(self) -> dict[str, Snapshot]:
        """The snapshots of the clean tables and of the histories, by name."""
        made = self.snapshots("history") if self.definition.histories else {}
        return {**self.snapshots("clean"), **made}

    def snapshot(self, id_: str) -> Snapshot:
        """One snapshot by id; raises ``LedgerError`` when the ledger lacks it."""
        found = self.workspace.ledger.snapshot(id_, project=self.definition.name)
        if found is None:
            raise LedgerError(t("The ledger has no snapshot {id}.", id=id_))
        return found

    def bytes_of(self, *snapshots: Snapshot) -> int:
        """Size of the data files of these snapshots."""
        return sum(self.workspace.lake.size(s.table, s.version) for s in snapshots)

    @property
    def examples(self) -> Snapshot:
        """The examples of this run."""
        return self.snapshot(self.output("examples")["snapshot"])

    def part(self, name: str) -> examples_.Examples:
        """The ``train`` or ``test`` part of the examples."""
        return examples_.read(self.workspace.lake, self.examples, self.definition.plan.features, part=name)

    @cached_property
    def without(self) -> tuple[str, ...]:
        """The pieces whose rows are no examples in this run, as its plan says."""
        return tuple(self.run.plan.get("without", ()))

    @property
    def window(self) -> str:
        """How long before the newest row examples go back; empty when to the first."""
        return str(self.run.plan.get("window", ""))

    def training_set(self, part: examples_.Examples) -> TrainingSet:
        """A part as the algorithms learn from it; with its times, and when outcomes were known, if split by time."""
        from relevo.train import TrainingSet

        split = self.definition.project.split
        timed = isinstance(split, TimeSplit)
        return TrainingSet(
            part.features,
            part.columns,
            part.target,
            part.fold,
            part.time if timed else None,
            durations.parse(split.gap) if isinstance(split, TimeSplit) else timedelta(0),
            part.known if timed else None,
        )

    def requests(self, part: str) -> Iterator[list[dict[str, Any]]]:
        """The requests of a part as they would be asked, by field name, in pieces; the order is that of ``part``."""
        names = self.definition.request.names
        fields = ", ".join(f"request.{quote(name)}" for name in names)
        connection = self.workspace.lake.connect()
        try:
            snapshot = self.examples
            self.workspace.lake.bind(connection, snapshot.table, as_="examples", version=snapshot.version)
            query = f"select {fields} from examples where _part = ? order by _time, _id"
            result = connection.execute(query, [part])
            while rows := result.fetchmany(CHUNK):
                yield [dict(zip(names, row, strict=True)) for row in rows]
        finally:
            connection.close()

    def asked(
        self, part: str, most: int, *, newest: bool = False
    ) -> list[tuple[dict[str, Any], datetime | None]]:
        """The first requests of a part, or its newest, and when each was asked."""
        return self._first(part, most, "_time desc nulls last" if newest else "_time")

    def drawn(self, part: str, most: int) -> list[dict[str, Any]]:
        """Requests of a part, drawn by the digests of their ids: the same ones each time."""
        return [request for request, _ in self._first(part, most, "md5(_id)")]

    def _first(self, part: str, most: int, order: str) -> list[tuple[dict[str, Any], datetime | None]]:
        names = self.definition.request.names
        fields = ", ".join(f"request.{quote(name)}" for name in names)
        connection = self.workspace.lake.connect()
        try:
            snapshot = self.examples
            self.workspace.lake.bind(connection, snapshot.table, as_="examples", version=snapshot.version)
            query = f"select _time, {fields} from examples where _part = ? order by {order}, _id limit ?"
            found = connection.execute(query, [part, most]).fetchall()
        finally:
            connection.close()
        return [(dict(zip(names, row, strict=True)), at) for at, *row in found]

    def blob(self, digest: str) -> Any:
        """A JSON blob."""
        return json.loads(self.workspace.blobs.get(digest))

    def keep(self, value: Any) -> str:
        """Keep a JSON value as a blob; gives its digest."""
        return self.workspace.blobs.put(json.dumps(value, sort_keys=True).encode())

    @property
    def who(self) -> str:
        """How this run signs its release."""
        return f"run {self.run.id}"

    @cached_property
    def standing(self) -> ModelVersion | None:
        """The champion that this run's candidate meets: the one in force, or before this run itself moved the alias."""
        ledger, name = self.workspace.ledger, self.definition.name
        own = next((one for one in ledger.releases(name, CHAMPION) if one.who == self.who), None)
        return ledger.champion(name) if own is None else ledger.version(name, own.previous)

    @cached_property
    def champion(self) -> ModelPackage | None:
        """The package of the champion that this run's candidate meets, if there is one."""
        from relevo.package import ModelPackage

        blobs, found = self.workspace.blobs, self.standing
        return None if found is None else ModelPackage.load(blobs.folder(found.digest))

    @cached_property
    def best(self) -> Fit:
        """The candidate with the best penalised score; the first listed wins a tie."""
        from relevo.train import Fit

        fits = [self.output(f"train:{c.name}") for c in self.definition.project.candidates]
        chosen = max(fits, key=lambda fit: fit["penalised"])
        blobs = {
            name: self.workspace.blobs.get(name) for name in (chosen["fit"]["native"], chosen["fit"]["onnx"])
        }
        return Fit.from_json(chosen["fit"], blobs)


def answers(package: ModelPackage, requests: Iterator[list[dict[str, Any]]]) -> NDArray[np.float64]:
    """Probabilities of validated requests through the one prediction path."""
    found = [np.array([a.probability for a in package.predict(part)], np.float64) for part in requests]
    return np.concatenate(found) if found else np.empty(0)
