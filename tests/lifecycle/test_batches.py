"""The weekly loop: a batch appears, former scores are judged, the next week is scored."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import relevo
from relevo import lifecycle, outcomes
from relevo.definition import load
from relevo.errors import DataError
from relevo.workspace import Workspace
from support import processes, project, weekly

if TYPE_CHECKING:
    from pathlib import Path

STEPS = [
    *("ingest", "clean", "review", "examples", "train:lightgbm"),
    *("evaluate", "package", "audit", "judge", "register", "release", "score"),
]


def steps(folder: Path) -> dict[str, Any]:
    ledger = Workspace.open(folder).ledger
    return {step.name: step for step in ledger.steps(ledger.runs(weekly.NAME, limit=1)[0].id)}


def scores(folder: Path, query: str) -> list[tuple[Any, ...]]:
    lake = Workspace.open(folder).lake
    with lake.connect() as connection:
        lake.bind(connection, f"scores/{weekly.NAME}", as_="scores")
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop after its first run; to look at only."""
    folder = weekly.make(tmp_path_factory.mktemp("loop") / "shop")
    assert weekly.run(folder).status == "released"
    return folder


@pytest.fixture
def shop(first: Path, tmp_path: Path) -> Path:
    shutil.copytree(first, tmp_path / "shop")
    return tmp_path / "shop"


def test_the_plan_reviews_before_it_learns_and_scores_after_it_releases(first: Path) -> None:
    planned = lifecycle.plan(load(first))
    assert [step.name for step in planned] == STEPS
    for place, step in enumerate(planned):
        assert set(step.needs) <= set(STEPS[:place])


def f1_by_hand(folder: Path, place: int, column: str) -> float:
    """What a spreadsheet would say of the scores of a week."""
    query = f"select customer_id, product_id from scores where {column} and _period = '{weekly.week(place)}'"
    named = set(scores(folder, query))
    truth = weekly.bought(place)
    return 2 * len(named & truth) / (len(named) + len(truth))


@pytest.mark.slow
def test_three_weeks(shop: Path) -> None:
    """Each batch is judged once, learned from, and followed by the scores of the next week."""
    assert relevo.reviews(shop) == []
    for turn, place in enumerate((weekly.WEEKS, weekly.WEEKS + 1)):
        weekly.write_weeks(shop, place, place + 1)
        ended = weekly.run(shop)
        assert ended.status in ("released", "refused"), ended.message
        found = relevo.reviews(Workspace.open(shop))
        assert [row["period"] for row in found] == [
            str(weekly.week(weekly.WEEKS + n)) for n in range(turn + 1)
        ]
        last = found[-1]
        assert last["model"]["f1"]["value"] == pytest.approx(f1_by_hand(shop, place, "_positive"))
        assert last["naive"]["f1"]["value"] == pytest.approx(f1_by_hand(shop, place, "_naive"))
        assert last["model"]["f1"]["low"] < last["model"]["f1"]["value"] < last["model"]["f1"]["high"]
        assert last["difference"]["value"] == pytest.approx(
            last["model"]["f1"]["value"] - last["naive"]["f1"]["value"]
        )
        assert (last["rows"], last["outcomes"], last["missed"]) == (240, len(weekly.bought(place)), 0)
        assert set(last["segments"]["region"]) == {"north", "south"}
        assert sum(row["outcomes"] for row in last["segments"]["region"].values()) == last["outcomes"]
        assert not last["hindsight"]
        assert steps(shop)["review"].output["judged"] == 1
        assert steps(shop)["score"].output["period"] == str(weekly.week(place + 1))
    per = scores(shop, "select _period, count(*) from scores group by all order by all")
    assert per == [(str(weekly.week(weekly.WEEKS + turn)), 240) for turn in range(3)]
    champion = Workspace.open(shop).ledger.champion(weekly.NAME)
    assert champion is not None
    newest = f"select distinct _version from scores where _period = '{weekly.week(weekly.WEEKS + 2)}'"
    assert scores(shop, newest) == [(champion.version,)]
    status = project.call("status", shop)
    assert f"{weekly.week(weekly.WEEKS)}, 1.0.0, expected_f1: F1 0." in status.out
    assert "the rule of thumb 0." in status.out
    assert project.call("status", shop, "--json").document["reviews"] == relevo.reviews(shop)
    before = Workspace.open(shop).lake.version(f"scores/{weekly.NAME}")
    assert weekly.run(shop).status == "unchanged"
    assert Workspace.open(shop).lake.version(f"scores/{weekly.NAME}") == before
    assert steps(shop)["score"].status == "reused"
    assert steps(shop)["review"].output["judged"] == 0
    reviewed = Workspace.open(shop).lake.version(f"reviews/{weekly.NAME}")
    assert weekly.run(shop).status == "unchanged"
    assert steps(shop)["review"].status == "reused"
    assert Workspace.open(shop).lake.version(f"reviews/{weekly.NAME}") == reviewed


@pytest.mark.slow
def test_scores_are_windows_with_what_happened(shop: Path) -> None:
    """The week that has come is measured as its review has it; the next one has scores and no outcome yet."""
    weekly.write_weeks(shop, weekly.WEEKS, weekly.WEEKS + 1)
    weekly.run(shop)
    workspace, definition = Workspace.open(shop), load(shop)
    clean = {
        name: workspace.ledger.newest_snapshot(f"clean/{name}", project=weekly.NAME)
        for name in definition.contracts
    }
    known = {name: snapshot for name, snapshot in clean.items() if snapshot is not None}
    before, after = outcomes.answered(definition, workspace.lake, known)
    (review,) = relevo.reviews(workspace)
    assert before[0] == review["period"]
    assert before[2] == review["version"]
    measured = before[3].measured()
    for name in ("f1", "precision", "recall", "roc_auc", "pr_auc"):
        assert measured[name].value == pytest.approx(review["model"][name]["value"])
    assert set(before[3].slices["region"]) == {"north", "south"}
    assert (len(after[3].outcome), after[3].known.sum()) == (240, 0)


@pytest.mark.slow
def test_an_outcome_outside_the_population_is_a_miss_and_late_outcomes_are_counted_anew(shop: Path) -> None:
    place = weekly.WEEKS
    weekly.write_weeks(shop, place, place + 1, stranger=True)
    weekly.run(shop)
    (found,) = relevo.reviews(shop)
    assert (found["outcomes"], found["missed"]) == (len(weekly.bought(place)) + 1, 1)
    assert "; 1 of them were not in the population" in project.call("status", shop).out
    path = shop / "data" / "week-late.csv"
    path.write_text(f"customer,product_id,week\nyan,2,{weekly.week(place)}\n")
    weekly.run(shop)
    (again,) = relevo.reviews(shop)
    assert (again["outcomes"], again["missed"]) == (found["outcomes"] + 1, 2)
    assert again["model"]["recall"]["value"] < found["model"]["recall"]["value"]


def test_a_week_that_is_passed_over_is_judged_with_no_outcome(shop: Path) -> None:
    weekly.write_weeks(shop, weekly.WEEKS + 1, weekly.WEEKS + 2)
    weekly.run(shop)
    (found,) = relevo.reviews(shop)
    assert (found["period"], found["outcomes"]) == (str(weekly.week(weekly.WEEKS)), 0)
    assert found["model"]["f1"]["value"] == 0
    assert found["model"]["roc_auc"]["value"] is None


@pytest.mark.slow
def test_scoring_that_fails_after_a_release_fails_the_run_which_can_be_repeated(shop: Path) -> None:
    text = (shop / "population.sql").read_text()
    weekly.write_weeks(shop, weekly.WEEKS, weekly.WEEKS + 1)
    (shop / "population.sql").write_text(f"{text} where false")
    with pytest.raises(DataError, match=r"The population was not scored: population\.sql gives no row"):
        weekly.run(shop)
    ledger = Workspace.open(shop).ledger
    failed = ledger.runs(weekly.NAME, limit=1)[0]
    assert failed.status == "failed"
    assert "stays in force" in failed.message
    assert steps(shop)["release"].status == "done"
    assert scores(shop, "select count(distinct _period) from scores") == [(1,)]
    (shop / "population.sql").write_text(text)
    assert weekly.run(shop).status in ("released", "refused")
    assert steps(shop)["train:lightgbm"].status == "reused"
    assert scores(shop, "select count(distinct _period) from scores") == [(2,)]


def test_a_refused_candidate_leaves_the_scoring_to_the_champion(shop: Path) -> None:
    project.edit(shop / "project.py", ("Gate(margin=0.3", 'Gate(minimum={"f1": 0.999}, margin=0.3'))
    weekly.write_weeks(shop, weekly.WEEKS, weekly.WEEKS + 1)
    assert weekly.run(shop).status == "refused"
    assert steps(shop)["score"].output["version"] == "1.0.0"
    assert steps(shop)["score"].output["period"] == str(weekly.week(weekly.WEEKS + 1))


def test_without_a_champion_scoring_is_skipped_and_said(tmp_path: Path) -> None:
    folder = weekly.make(tmp_path / "shop")
    project.edit(folder / "project.py", ("Gate(margin=0.3", 'Gate(minimum={"f1": 0.999}, margin=0.3'))
    said: list[str] = []
    ended = lifecycle.run(
        load(folder), Workspace.open(folder), listen=lambda event: said.append(f"{event.step}: {event.text}")
    )
    assert ended.status == "refused"
    assert steps(folder)["score"].output == {"skipped": True}
    assert "score: There is no champion, so nothing is scored." in said


@pytest.mark.slow
def test_a_promotion_by_hand_is_scored_with_by_the_next_run_and_going_back_too(shop: Path) -> None:
    """Nothing is new for learning, but the scores are those of the champion in force."""
    weekly.write_weeks(shop, weekly.WEEKS, weekly.WEEKS + 1)
    weekly.run(shop)
    ledger = Workspace.open(shop).ledger
    champion = ledger.champion(weekly.NAME)
    assert champion is not None
    assert champion.version != "1.0.0"
    newest = f"select distinct _version from scores where _period = '{weekly.week(weekly.WEEKS + 1)}'"
    for version in ("1.0.0", champion.version, "1.0.0"):
        ledger.release(weekly.NAME, "champion", version, who="test", why="", act="promote")
        assert weekly.run(shop).status == "unchanged"
        assert scores(shop, newest) == [(version,)]


def test_an_orchestrator_does_it_step_by_step(shop: Path) -> None:
    weekly.write_weeks(shop, weekly.WEEKS, weekly.WEEKS + 1)
    definition, workspace = load(shop), Workspace.open(shop)
    for planned in lifecycle.plan(definition):
        assert workspace.ledger.find_run("by-steps") is None or (
            workspace.ledger.run("by-steps").status == "running"
        )
        lifecycle.run_step(definition, workspace, planned.name, "by-steps")
    ended = workspace.ledger.run("by-steps")
    assert ended.status == "released"
    assert ended.version
    assert [row["period"] for row in relevo.reviews(shop)] == [str(weekly.week(weekly.WEEKS))]


@pytest.mark.slow
def test_killed_before_a_score_or_a_review_is_recorded_both_are_there_once(shop: Path) -> None:
    weekly.write_weeks(shop, weekly.WEEKS, weekly.WEEKS + 1)
    assert processes.ended(processes.start(_die_at, shop, "review")) == -9
    assert len(relevo.reviews(shop)) == 1
    assert processes.ended(processes.start(_die_at, shop, "score")) == -9
    assert weekly.run(shop).status in ("released", "refused")
    assert len(relevo.reviews(shop)) == 1
    counted = scores(shop, "select _period, count(*) from scores group by all")
    assert sorted(rows for _, rows in counted) == [240, 240]


def _die_at(folder: Path, step: str) -> None:
    import os
    import signal

    def listen(event: lifecycle.Event) -> None:
        if (event.step, event.state) == (step, "said"):
            os.kill(os.getpid(), signal.SIGKILL)

    lifecycle.run(load(folder), Workspace.open(folder), listen=listen)


class TestCommand:
    """``relevo score --population``."""

    def test_records_and_writes_the_positive_pairs(self, shop: Path, tmp_path: Path) -> None:
        path = tmp_path / "positive.csv"
        done = project.call("score", shop, path, "--population", "--positive", "--by", "customer_id")
        assert (done.code, done.err) == (0, "")
        lines = path.read_text().splitlines()
        assert lines[0] == "customer_id,product_id,week,region,probability,decision"
        assert f"{len(lines) - 1} rows written to {path}" in done.out
        assert "(fixed)" in done.out
        assert "(expected F1)" in done.out

    def test_top_k_as_json(self, shop: Path, tmp_path: Path) -> None:
        path = tmp_path / "top.parquet"
        done = project.call(
            "score", path, "-p", shop, "--population", "--top", "5", "--by", "customer_id", "--json"
        )
        found = json.loads(done.out)
        assert found["listed"] == 5 * weekly.CUSTOMERS
        assert found["path"] == str(path)
        assert found["fixed"]["threshold"] != found["expected"]["threshold"]

    def test_options_that_do_not_go_together_are_told(self, shop: Path, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        wrong: tuple[tuple[list[str | Path], str], ...] = (
            (["score", shop, path, "--population", "--positive", "--top", "3"], "not both"),
            (["score", shop, "--population", "--positive"], "name the file OUT"),
            (["score", path, path, "-p", shop, "--positive"], "go with --population"),
            (["score", "-p", shop], "give --population"),
        )
        for words, said in wrong:
            done = project.call(*words)
            assert done.code == 2
            assert said in " ".join(done.err.replace("│", " ").split())
        assert not path.exists()
