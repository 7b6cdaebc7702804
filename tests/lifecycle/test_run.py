"""Whole runs: what they release, refuse, and leave alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from relevo import lifecycle
from relevo.errors import DataError, TrainingError
from support import project, small

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import ModelVersion, Step

STEPS = [
    *("ingest", "clean", "examples", "train:logistic", "train:lightgbm"),
    *("evaluate", "package", "audit", "judge", "register", "release"),
]
NAME = "flights"


def steps(folder: Path) -> dict[str, Step]:
    """The steps of the newest run."""
    ledger = project.workspace(folder).ledger
    return {step.name: step for step in ledger.steps(ledger.runs(NAME, limit=1)[0].id)}


def versions(folder: Path) -> list[ModelVersion]:
    return project.workspace(folder).ledger.versions(NAME)


def state(folder: Path) -> tuple[Any, ...]:
    """All that a run which changes nothing must leave as it was."""
    workspace = project.workspace(folder)
    tables = {name: workspace.lake.version(name) for name in workspace.lake.names()}
    files = sorted(path for path in (workspace.root / "lake").rglob("*") if path.is_file())
    return tables, files, versions(folder), workspace.ledger.releases(NAME)


def test_the_plan_keeps_every_step_behind_what_it_needs(original: Path) -> None:
    planned = lifecycle.plan(project.definition(original))
    assert [step.name for step in planned] == STEPS
    for place, step in enumerate(planned):
        assert set(step.needs) <= set(STEPS[:place])


class TestFirst:
    """The first run of a project."""

    def test_it_releases_a_version(self, original: Path) -> None:
        ledger = project.workspace(original).ledger
        (run,), (version,), (release,) = ledger.runs(NAME), versions(original), ledger.releases(NAME)
        assert (run.status, run.version, run.message) == (
            "released",
            "1.0.0",
            "Version 1.0.0 is now champion.",
        )
        assert (version.status, version.run, version.change) == ("accepted", run.id, "The first version.")
        assert (release.version, release.previous, release.act) == ("1.0.0", "", "promote")
        assert release.who == f"run {run.id}"
        assert ledger.champion(NAME) == version

    def test_every_step_has_its_figures(self, original: Path) -> None:
        found = steps(original)
        assert list(found) == STEPS
        for step in found.values():
            assert step.status == "done"
            assert step.wall_seconds > 0
            assert step.cpu_seconds >= 0  # the kernel counts in hundredths
            assert step.peak_rss_bytes > 50_000_000
            assert step.started_at
        assert sum(step.cpu_seconds for step in found.values()) > 0.5
        rows = project.ROWS + 261
        assert (found["ingest"].rows_in, found["ingest"].rows_out) == (rows, rows)
        assert found["ingest"].bytes_in > 100_000
        assert rows - 60 < found["clean"].rows_out < rows
        assert found["audit"].rows_in > found["examples"].rows_out > 2900
        assert found["package"].bytes_out > 10_000
        assert found["judge"].rows_in == 2

    def test_every_trial_is_in_the_ledger(self, original: Path) -> None:
        ledger = project.workspace(original).ledger
        trials = ledger.trials(ledger.runs(NAME)[0].id)
        assert [(trial.candidate, trial.state) for trial in trials] == [
            ("lightgbm", "complete"),
            ("logistic", "complete"),
        ]


class TestUnchanged:
    """A run with nothing new."""

    def test_it_changes_nothing_and_is_quick(self, released: Path) -> None:
        before, began = state(released), time.process_time()
        run = project.run(released)
        assert time.process_time() - began < 5
        first = project.workspace(released).ledger.runs(NAME)[1]
        assert (run.status, run.version) == ("unchanged", "1.0.0")
        assert run.message == f"Nothing is new since run {first.id} released 1.0.0."
        assert state(released) == before
        assert {name: step.status for name, step in steps(released).items()} == {
            "ingest": "done",
            "clean": "reused",
            "examples": "reused",
        }

    def test_the_same_file_under_another_name_is_learned_from_once(self, released: Path) -> None:
        data = released / "data"
        (data / "again.csv").write_bytes((data / "departures.csv").read_bytes())
        project.run(released)
        assert steps(released)["ingest"].rows_out == project.ROWS + 261


class TestVersions:
    """What makes which number rise."""

    @pytest.mark.slow
    def test_other_features_make_a_minor_version(self, released: Path) -> None:
        project.edit(released / "features.sql", ("    isodow(", "    hour * 2 as twice,\n    isodow("))
        run = project.run(released)
        assert (run.status, run.version) == ("released", "1.1.0")
        assert "the feature twice is new" in versions(released)[0].change

    def test_a_narrower_request_makes_a_major_version(self, released: Path) -> None:
        project.edit(released / "project.py", ("^[A-Z0-9]{2,3}$", "^[A-Z]{3}$"))
        run = project.run(released)
        assert (run.status, run.version) == ("released", "2.0.0")
        assert "“Emp-I” accepts fewer values" in versions(released)[0].change

    def test_new_rows_make_a_patch_compared_on_the_same_rows(self, released: Path) -> None:
        project.write_sample(released / "data" / "next.csv", 600, seed=5, start="2018-01-01")
        run = project.run(released)
        version = versions(released)[0]
        assert run.version == version.version
        assert version.version in ("1.0.1", "1.1.0")  # the best algorithm may be another
        assert version.change.startswith(("Patch", "Minor: the algorithm"))
        (against,) = [reason for reason in version.verdict.reasons if reason.check == "champion"]
        assert against.text.startswith("On the same rows f1 is ")
        assert against.passed == (run.status == "released")

    @pytest.mark.slow
    def test_a_changed_file_takes_the_place_of_the_old_one(self, released: Path) -> None:
        project.write_sample(released / "data" / "departures.csv", 2500, seed=9)
        project.run(released)
        assert steps(released)["ingest"].rows_out == 2500 + 261


class TestGate:
    """What the gate refuses changes nothing."""

    def test_a_minimum_not_reached_refuses(self, released: Path) -> None:
        ledger = project.workspace(released).ledger
        project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'), ('"60d"', '"61d"'))
        run = project.run(released)
        assert (run.status, run.version) == ("refused", "1.0.1")
        assert run.message == "Version 1.0.1 was refused; nothing changes."
        assert ledger.champion(NAME) == ledger.version(NAME, "1.0.0")
        refused = versions(released)[0]
        assert refused.status == "refused"
        failed = [reason.text for reason in refused.verdict.reasons if not reason.passed]
        assert len(failed) == 1
        assert "below the 0.990 required" in failed[0]
        again = project.run(released)
        assert (again.status, again.version) == ("unchanged", "1.0.1")
        assert again.message == f"Nothing is new since run {run.id}, in which the gate refused 1.0.1."

    def test_a_package_keeps_its_number_under_each_judgement(self, released: Path) -> None:
        """The first run's package is judged by three gates; each judgement stays in the registry."""
        strict, fair = '"roc_auc": 0.99', '"roc_auc": 0.5'
        project.edit(released / "project.py", (fair, strict))
        assert project.run(released).status == "refused"
        project.edit(released / "project.py", (strict, '"roc_auc": 0.51'))
        run = project.run(released)
        found = {version.version: version.status for version in versions(released)}
        assert found == {"1.0.0": "accepted", "1.0.1": "refused"}
        assert (run.status, run.message) == ("released", "Version 1.0.0 was champion already.")

    @pytest.mark.slow
    def test_a_refused_first_version_is_released_under_a_relaxed_gate(
        self, tmp_path: Path, original: Path
    ) -> None:
        folder = project.make(tmp_path / "flights")
        project.edit(folder / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'))
        assert project.run(folder).status == "refused"
        project.edit(folder / "project.py", ('"roc_auc": 0.99', '"roc_auc": 0.5'))
        run = project.run(folder)
        second, first = versions(folder)
        assert (run.status, run.version) == ("released", "1.0.1")
        assert second.digest == first.digest == versions(original)[0].digest
        assert second.change == "Patch: nothing changed. It is the package of 1.0.0, judged anew."
        assert {step.status for name, step in steps(folder).items() if name.startswith("train")} == {"reused"}

    def test_a_critical_case_answered_wrongly_refuses(self, released: Path) -> None:
        project.edit(released / "cases.csv", ("CMP,I,on time", "CMP,I,late"))
        run = project.run(released)
        assert run.status == "refused"
        failed = [reason for reason in versions(released)[0].verdict.reasons if not reason.passed]
        assert [reason.check for reason in failed] == ["case:quiet Tuesday night to Panama"]
        assert failed[0].text.endswith("is answered on time; late was expected.")

    def test_a_fault_planted_into_the_model_refuses(self, released: Path) -> None:
        """Another model's ONNX in the place of the fit's own, as if the conversion had gone wrong."""
        project.edit(released / "project.py", ('"60d"', '"59d"'))
        definition, workspace = project.definition(released), project.workspace(released)
        for name in STEPS[:5]:
            step = lifecycle.run_step(definition, workspace, name, "planted")
            if name.startswith("train:"):
                digest = workspace.blobs.put(small.fitted("lightgbm").onnx)
                fit = {**step.output["fit"], "onnx": digest}
                workspace.ledger.save_step(replace(step, output={**step.output, "fit": fit}))
        for name in STEPS[5:]:
            step = lifecycle.run_step(definition, workspace, name, "planted")
        refused = versions(released)[0]
        assert refused.status == "refused"
        assert refused.verdict.reasons[0].check == "parity"
        assert refused.verdict.reasons[0].text.startswith("Training, batch and online differ: ")
        champion = workspace.ledger.champion(NAME)
        assert champion is not None
        assert champion.version == "1.0.0"


class TestUnusable:
    """Data that nothing can be learned from."""

    def test_one_outcome_only(self, tmp_path: Path) -> None:
        folder = project.make(tmp_path / "flights", rows=400)
        project.edit(folder / "project.py", ("> 15", "> 100000"))
        with pytest.raises(TrainingError, match="labelled rows have the same outcome") as caught:
            project.run(folder)
        run = project.workspace(folder).ledger.runs(NAME)[0]
        assert (run.status, run.message) == ("failed", str(caught.value))
        assert steps(folder)["examples"].error == str(caught.value)

    def test_features_that_stop_at_a_row(self, tmp_path: Path) -> None:
        folder = project.make(tmp_path / "flights", rows=400)
        feature = ("coalesce(flight, '?') as flight", "cast(airline as integer) as flight")
        project.edit(folder / "features.sql", feature)
        with pytest.raises(DataError, match=r"^features\.sql cannot be computed for every row: .*[A-Z]{3}"):
            project.run(folder)
