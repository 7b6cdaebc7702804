"""What any database behind the ledger must do. A backend's test inherits these and gives ``ledger`` and ``url``."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event, select

from relevo.errors import LedgerError
from relevo.ids import uuid7
from relevo.ledger import written
from relevo.ledger.database import Database
from relevo.ledger.tables import heads
from relevo.records import Materialisation, ModelVersion, Reason, Run, Snapshot, Step, Trial, Verdict, now

if TYPE_CHECKING:
    from relevo.ledger import Ledger

VERDICT = Verdict(
    accepted=True, reasons=(Reason(check="minimum", passed=True, text="F1 is 0.5.", figures={"f1": 0.5}),)
)


def a_run(project: str, **changes: object) -> Run:
    run = Run(id=uuid7(), project=project, status="running", started_at=now(), plan={"steps": ["ingest"]})
    return replace(run, **changes)  # type: ignore[arg-type]


def a_step(run: Run, **changes: object) -> Step:
    step = Step(
        run=run.id,
        name="clean",
        inputs="a" * 64,
        status="done",
        output={"id": "x", "n": [1, 2]},
        started_at=now(),
    )
    return replace(step, **changes)  # type: ignore[arg-type]


def a_version(project: str, number: str, **changes: object) -> ModelVersion:
    version = ModelVersion(
        project=project,
        version=number,
        digest=(number.replace(".", "") * 64)[:64],
        run="r",
        status="accepted",
        algorithm="logistic",
        metrics={"f1": {"value": 0.5}},
        verdict=VERDICT,
        change="The first version.",
        created_at=now(),
    )
    return replace(version, **changes)  # type: ignore[arg-type]


RELEASER = """
import sys
from relevo.ledger import Ledger
url, project, me, times = sys.argv[1:]
ledger = Ledger(url, timeout=120)
for number in range(int(times)):
    ledger.release(project, me, f"1.0.{number % 2}", who=me, why="race", act="promote")
"""


class LedgerConformance:
    """Laws of ``Ledger``, on a database made empty for each test."""

    @pytest.fixture
    def project(self) -> str:
        return f"flights-{uuid7()}"

    @pytest.fixture
    def released(self, ledger: Ledger, project: str) -> Ledger:
        for number in ("1.0.0", "1.0.1", "1.1.0"):
            ledger.add_version(a_version(project, number))
        for number in ("1.0.0", "1.0.1", "1.1.0"):
            ledger.release(project, "champion", number, who="ana", why="better", act="promote")
        return ledger

    def test_a_run_is_started_finished_and_read_back(self, ledger: Ledger, project: str) -> None:
        run = a_run(project)
        ledger.start_run(run)
        assert ledger.run(run.id) == ledger.find_run(run.id) == run
        assert ledger.find_run("nonsense") is None
        done = ledger.finish_run(run.id, status="released", message="fine", version="1.0.0")
        assert ledger.run(run.id) == done
        assert (done.status, done.message, done.version) == ("released", "fine", "1.0.0")
        assert done.finished_at > run.started_at

    def test_an_unknown_run_is_an_error_with_a_remedy(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError, match=r"no run nonsense.*relevo status"):
            ledger.run("nonsense")
        with pytest.raises(LedgerError, match="no run nonsense"):
            ledger.finish_run("nonsense", status="failed")

    def test_runs_are_listed_newest_first_up_to_the_limit(self, ledger: Ledger, project: str) -> None:
        made = [a_run(project, started_at=f"2026-01-0{day}T00:00:00.000000+00:00") for day in (2, 1, 3)]
        for run in made:
            ledger.start_run(run)
        ledger.start_run(a_run(project + "-other"))
        assert [run.started_at[8:10] for run in ledger.runs(project)] == ["03", "02", "01"]
        assert len(ledger.runs(project, limit=2)) == 2
        assert {project, project + "-other"} <= set(ledger.projects())

    def test_runs_that_decisions_led_to_are_found_by_it(self, ledger: Ledger, project: str) -> None:
        first, second = (
            a_run(project, plan={"because": f"d{day}"}, started_at=f"2026-01-0{day}T00:00:00.000000+00:00")
            for day in (1, 2)
        )
        others = [a_run(project), a_run(project, plan={"because": ""})]
        for run in (first, *others, second, a_run(project + "-other", plan={"because": "d1"})):
            ledger.start_run(run)
        assert ledger.led_to(project) == [second, first]
        done = ledger.finish_run(first.id, status="refused")
        assert ledger.led_to(project) == [second, done]

    def test_a_run_cannot_start_twice(self, ledger: Ledger, project: str) -> None:
        run = a_run(project)
        ledger.start_run(run)
        with pytest.raises(LedgerError, match="refuses the record"):
            ledger.start_run(run)

    def test_steps_keep_their_order_and_figures(self, ledger: Ledger, project: str) -> None:
        run = a_run(project)
        ledger.start_run(run)
        failed = a_step(run, status="failed", error="killed")
        done = a_step(run, wall_seconds=1.5, peak_rss_bytes=3 << 40, rows_out=2**40)
        for step in (failed, done):
            ledger.save_step(step)
        assert ledger.steps(run.id) == [failed, done]

    def test_costs_are_those_of_steps_that_were_done(self, ledger: Ledger, project: str) -> None:
        first, second = a_run(project), a_run(project)
        for run in (first, second, other := a_run(project + "-other")):
            ledger.start_run(run)
        at = [f"2026-01-0{day}T00:00:00.000000+00:00" for day in range(1, 5)]
        done = [
            a_step(run, name=name, started_at=time, wall_seconds=2.5)
            for run, name, time in zip((first, first, second), ("clean", "train", "clean"), at, strict=False)
        ]
        for step in (*done, a_step(other, started_at=at[0])):
            ledger.save_step(step)
        for status in ("reused", "failed"):
            ledger.save_step(a_step(second, status=status, started_at=at[2]))
        bare = [replace(step, output={}) for step in done]
        assert ledger.costs(project, until=at[3]) == bare
        assert ledger.costs(project, until=at[2]) == bare[:2]
        assert ledger.costs(project, until=at[3], limit=2) == bare[1:]

    def test_a_step_of_no_run_is_refused(self, ledger: Ledger, project: str) -> None:
        with pytest.raises(LedgerError, match="names something that is not there"):
            ledger.save_step(a_step(a_run(project)))

    def test_done_finds_the_newest_success_with_the_same_inputs(self, ledger: Ledger, project: str) -> None:
        first, second, other = a_run(project), a_run(project), a_run(project + "-other")
        for run in (first, second, other):
            ledger.start_run(run)
        assert ledger.done(project, "clean", "a" * 64) is None
        ledger.save_step(a_step(first, output={"n": 1}))
        reused = a_step(second, status="reused", output={"n": 2})
        ledger.save_step(reused)
        ledger.save_step(a_step(second, status="failed", output={}))
        ledger.save_step(a_step(second, inputs="b" * 64, output={"n": 3}))
        ledger.save_step(a_step(other, output={"n": 4}))
        assert ledger.done(project, "clean", "a" * 64) == reused
        assert ledger.done(project, "train", "a" * 64) is None

    def test_trials_saved_again_take_the_place_of_the_earlier(self, ledger: Ledger, project: str) -> None:
        run = a_run(project)
        ledger.start_run(run)
        trials = [
            Trial(
                run=run.id, candidate="xgboost", number=number, settings={"depth": number}, state="complete",
                score=0.5, training_score=None, seconds=1.0,
            )
            for number in range(3)
        ]  # fmt: skip
        ledger.save_trials(trials)
        again = [replace(trials[1], score=0.75), replace(trials[2], score=float("nan"))]
        ledger.save_trials(again)
        ledger.save_trials([])
        assert ledger.trials(run.id) == [trials[0], again[0], replace(again[1], score=None)]

    def test_the_newest_snapshot_is_the_one_saved_last(self, ledger: Ledger, project: str) -> None:
        one = Snapshot(id="a" * 64, table="raw/departures", version=0, rows=3, files=(("d.csv", "f" * 64),))
        two = replace(one, id="b" * 64, version=1, reasons={"date": 2}, quarantined=2)
        assert ledger.newest_snapshot("raw/departures", project=project) is None
        for snapshot in (one, two, one, replace(one, changed=False)):
            ledger.save_snapshot(snapshot, project=project)
        assert ledger.newest_snapshot("raw/departures", project=project) == one
        assert ledger.snapshot("b" * 64, project=project) == two
        assert ledger.snapshot("b" * 64, project="another") is None

    def test_the_newest_materialisation_of_a_shape_and_layout_is_found(
        self, ledger: Ledger, project: str
    ) -> None:
        one = Materialisation(
            project=project, name="pairs", shape="s", layout="l", snapshot="a", sha256="f" * 64,
            rows=3 << 40, bytes=5 << 40, newest="2024-12-30 00:00:00", made_at=now(),
        )  # fmt: skip
        assert ledger.news(project) == ("0" * 64, 0)
        assert ledger.materialisation(project, "pairs", "s", "l") is None
        others = [replace(one, **{part: "x"}) for part in ("name", "shape", "layout")]  # type: ignore[arg-type]
        made = ledger.save_materialisations([one, replace(one, snapshot="b"), *others])
        assert [replace(m, number=0) for m in made[:2]] == [one, replace(one, snapshot="b")]
        assert made[0].number < made[1].number < made[2].number
        assert ledger.materialisation(project, "pairs", "s", "l") == made[1]
        assert ledger.materialisations(project) == made[::-1]
        assert ledger.materialisations("another") == []
        assert ledger.news(project) == ("0" * 64, made[-1].number)

    def test_histories_are_read_as_of_one_moment(self, ledger: Ledger, project: str) -> None:
        """Those of two runs are never mixed, though the second is recorded while the first is read."""
        one = Materialisation(
            project=project, name="pairs", shape="s", layout="l", snapshot="a", sha256="f" * 64,
            rows=3, bytes=5, newest="2024-12-30 00:00:00", made_at=now(),
        )  # fmt: skip
        names = ("pairs", "customers", "products")
        ledger.save_materialisations([replace(one, name=name) for name in names])
        statements: list[str] = []

        def meanwhile(*asked: Any) -> None:
            if "relevo_materialisations" not in asked[2]:
                return
            statements.append(asked[2])
            if len(statements) == 1:
                ledger.save_materialisations([replace(one, name=name, snapshot="b") for name in names])

        event.listen(Engine, "after_cursor_execute", meanwhile)
        try:
            found = ledger.newest(project, [*((name, "s", "l") for name in names), ("pairs", "s", "x")])
        finally:
            event.remove(Engine, "after_cursor_execute", meanwhile)
        assert [made and (made.name, made.snapshot) for made in found] == [
            *((name, "a") for name in names),
            None,
        ]
        assert len(statements) > 1
        newest = ledger.materialisation(project, "pairs", "s", "l")
        assert newest is not None
        assert newest.snapshot == "b"

    def test_news_is_a_release_or_a_materialisation(self, released: Ledger, project: str) -> None:
        assert released.news(project) == (released.token(project), 0)
        released.release(project, "champion", "1.0.0", who="", why="", act="rollback")
        assert released.news(project) == (released.releases(project)[-1].hash, 0)

    def test_a_version_is_found_by_number_and_by_digest(self, ledger: Ledger, project: str) -> None:
        version = a_version(project, "1.0.0")
        ledger.add_version(version)
        assert ledger.version(project, "1.0.0") == version
        assert ledger.version(project, version.digest) == version
        assert ledger.version(project, "2.0.0") is None

    @pytest.mark.parametrize("changes", [{"digest": "f" * 64}, {"version": "1.0.1"}])
    def test_a_number_and_a_package_are_registered_once(
        self, ledger: Ledger, project: str, changes: dict[str, Any]
    ) -> None:
        version = a_version(project, "1.0.0")
        ledger.add_version(version)
        with pytest.raises(LedgerError, match=r"1\.0\.0 is registered already"):
            ledger.add_version(replace(version, **changes))

    def test_a_package_judged_anew_has_a_second_number(self, ledger: Ledger, project: str) -> None:
        refused = replace(a_version(project, "1.0.0"), status="refused")
        accepted = replace(refused, version="1.0.1", status="accepted")
        ledger.add_version(refused)
        ledger.add_version(accepted)
        assert ledger.version(project, accepted.digest) == accepted
        assert ledger.version(project, "1.0.0") == refused
        ledger.release(project, "champion", "1.0.1", who="ana", why="", act="promote")
        ledger.verify(project)

    def test_versions_are_listed_newest_first(self, released: Ledger, project: str) -> None:
        assert [version.version for version in released.versions(project)] == ["1.1.0", "1.0.1", "1.0.0"]

    def test_the_champion_is_the_version_released_last(self, released: Ledger, project: str) -> None:
        assert released.champion(project) == released.version(project, "1.1.0")
        assert released.champion(project, "challenger") is None
        assert released.champion("another") is None

    def test_releases_say_who_when_from_to_and_why(self, released: Ledger, project: str) -> None:
        rows = released.releases(project)
        assert [(row.number, row.previous, row.version) for row in rows] == [
            (1, "", "1.0.0"),
            (2, "1.0.0", "1.0.1"),
            (3, "1.0.1", "1.1.0"),
        ]
        assert {(row.who, row.why, row.act) for row in rows} == {("ana", "better", "promote")}
        assert rows[0].previous_hash == "0" * 64
        assert rows[1].previous_hash == rows[0].hash
        assert released.releases(project, "challenger") == []
        released.verify(project)

    def test_moving_an_alias_to_where_it_is_adds_nothing(self, released: Ledger, project: str) -> None:
        before = released.releases(project)
        assert released.release(project, "champion", "1.1.0", who="eva", why="", act="promote") == before[-1]
        assert released.releases(project) == before

    def test_a_refused_version_is_not_released(self, ledger: Ledger, project: str) -> None:
        ledger.add_version(a_version(project, "1.0.0", status="refused"))
        with pytest.raises(LedgerError, match=r"1\.0\.0 was refused"):
            ledger.release(project, "champion", "1.0.0", who="", why="", act="promote")
        assert ledger.champion(project) is None

    @pytest.mark.parametrize("known", [True, False])
    def test_an_unknown_version_is_not_released(self, ledger: Ledger, project: str, *, known: bool) -> None:
        if known:
            ledger.add_version(a_version(project, "1.0.0"))
        with pytest.raises(LedgerError, match=r"has no version 9\.0\.0.*relevo versions"):
            ledger.release(project, "champion", "9.0.0", who="", why="", act="promote")

    def test_the_release_in_force_at_a_time_is_found(self, released: Ledger, project: str) -> None:
        first, second, third = released.releases(project)
        assert released.at(project, "champion", second.released_at) == second
        assert released.at(project, "champion", datetime.now(UTC) + timedelta(days=1)) == third
        assert released.at(project, "champion", "2020-01-01") is None
        moment = datetime.fromisoformat(first.released_at).astimezone(timezone(timedelta(hours=-3)))
        assert released.at(project, "champion", moment) == first
        with pytest.raises(LedgerError, match="“yesterday” is not a time"):
            released.at(project, "champion", "yesterday")

    def test_the_token_changes_exactly_when_an_alias_moves(self, released: Ledger, project: str) -> None:
        before = released.token(project)
        released.release(project, "champion", "1.1.0", who="", why="", act="promote")
        released.add_version(a_version(project, "2.0.0"))
        assert released.token(project) == before
        released.release(project, "challenger", "1.0.0", who="", why="", act="promote")
        assert released.token(project) == released.releases(project)[-1].hash != before
        assert released.token("another") == "0" * 64

    def test_a_challenger_stands_until_it_is_withdrawn(self, released: Ledger, project: str) -> None:
        facts = {"mode": "canary", "share": 0.1, "by": ""}
        terms = {"who": "ana", "why": "to try", "act": "challenge"}
        begun = released.release(project, "challenger", "1.0.0", facts=facts, **terms)
        again = released.release(project, "challenger", "1.0.0", facts=facts, **terms)
        assert begun == again == released.standing(project, "challenger")
        assert (begun.facts, begun.number) == (facts, 4)
        challenger = released.champion(project, "challenger")
        assert challenger is not None
        assert challenger.version == "1.0.0"
        ended = released.end(begun, who="service", why="errors", facts={"n": 50})
        assert ended is not None
        assert (ended.act, ended.version, ended.previous, ended.facts) == (
            "withdraw",
            "1.0.0",
            "1.0.0",
            {"n": 50},
        )
        assert released.standing(project, "challenger") is None
        assert released.champion(project, "challenger") is None
        anew = released.release(project, "challenger", "1.0.0", facts=facts, **terms)
        assert anew.number == 6
        released.verify(project)

    def test_a_challenge_on_other_terms_is_a_release_of_its_own(self, released: Ledger, project: str) -> None:
        for share in (0.1, 0.2):
            released.release(
                project, "challenger", "1.0.0", who="", why="", act="challenge", facts={"share": share}
            )
        assert [row.facts["share"] for row in released.releases(project, "challenger")] == [0.1, 0.2]

    def test_a_reading_sees_one_moment(self, released: Ledger, project: str, url: str) -> None:
        with closing(Database(url, timeout=5, create=False)) as database, database.reading() as reader:
            before = reader.execute(select(heads)).all()
            released.release(project, "champion", "1.0.0", who="ana", why="", act="rollback")
            assert reader.execute(select(heads)).all() == before
            written.verify(reader, project)
        released.verify(project)

    def test_an_alias_is_taken_away_from_the_release_that_was_judged_only(
        self, released: Ledger, project: str
    ) -> None:
        judged = released.standing(project, "champion")
        assert judged is not None
        back = released.end(judged, who="one", why="errors", to=judged.previous, facts={"n": 1})
        assert back is not None
        assert (back.act, back.version, back.previous) == ("rollback", "1.0.1", "1.1.0")
        assert released.end(judged, who="two", why="errors", to=judged.previous) is None
        assert released.standing(project, "champion") == back
        released.verify(project)

    def test_several_who_judge_alike_act_once(self, released: Ledger, project: str) -> None:
        judged = released.standing(project, "champion")
        assert judged is not None
        with ThreadPoolExecutor(8) as pool:
            done = list(
                pool.map(lambda who: released.end(judged, who=str(who), why="", to="1.0.0"), range(8))
            )
        assert len([one for one in done if one is not None]) == 1
        assert len(released.releases(project)) == 4

    def test_whoever_looked_before_the_alias_moved_moves_nothing(
        self, released: Ledger, project: str
    ) -> None:
        said: dict[str, Any] = {"who": "one", "why": "", "act": "promote"}
        before = released.releases(project, "champion")[-1].number
        assert released.release_after(0, project, "challenger", "1.0.0", **said) is not None
        moved = released.release_after(before, project, "champion", "1.0.0", **said)
        assert moved == released.standing(project, "champion")
        assert released.release_after(before, project, "champion", "1.1.0", **said) is None

    def test_a_challenger_that_becomes_champion_is_one_no_longer(
        self, released: Ledger, project: str
    ) -> None:
        released.release(project, "challenger", "1.0.0", who="", why="", act="challenge")
        made = released.release(project, "champion", "1.0.0", who="ana", why="better", act="promote")
        assert made.alias == "champion"
        assert released.standing(project, "challenger") is None
        assert [(row.alias, row.act, row.who) for row in released.releases(project)[-2:]] == [
            ("champion", "promote", "ana"),
            ("challenger", "withdraw", "ana"),
        ]
        assert released.token(project) == released.releases(project)[-1].hash
        released.verify(project)

    def test_threads_share_a_ledger(self, released: Ledger, project: str) -> None:
        def promote(number: int) -> None:
            released.release(
                project, f"alias-{number % 4}", f"1.0.{number % 2}", who="", why="", act="promote"
            )
            assert released.champion(project) is not None

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(promote, range(40)))
        released.verify(project)
        assert [row.number for row in released.releases(project)] == list(
            range(1, len(released.releases(project)) + 1)
        )

    def test_processes_release_one_after_the_other(self, released: Ledger, project: str, url: str) -> None:
        writers = [
            subprocess.Popen([sys.executable, "-c", RELEASER, url, project, f"alias-{number}", "20"])
            for number in range(3)
        ]
        assert [writer.wait(300) for writer in writers] == [0, 0, 0]
        released.verify(project)
        assert len(released.releases(project)) == 3 + 3 * 20

    def test_what_is_returned_belongs_to_the_caller(self, released: Ledger, project: str) -> None:
        champion = released.champion(project)
        assert champion is not None
        champion.metrics["f1"]["value"] = 1.0
        assert released.champion(project) == released.version(project, "1.1.0") != champion
