"""The flights example on sample data: holidays, and what was known of delays and congestion."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import project

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.xdist_group("flights")  # one process makes what they share

HERE = Path(__file__).parents[2] / "examples" / "flights"
QUICK = (
    ("candidates=[logistic(), lightgbm(), xgboost()]", "candidates=[lightgbm()]"),
    ("Tuning(trials=12)", "Tuning(trials=1)"),
    ('Gate(minimum={"roc_auc": 0.6})', 'Gate(minimum={"roc_auc": 0.6}, beats_baselines=False)'),
)
ROWS = 4000
FLIGHT = {"Fecha-I": "2017-09-17 19:35:00", "Vlo-I": "100", "Des-I": "SAEZ", "Emp-I": "ARG", "TIPOVUELO": "I"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with sample data and a released version."""
    copy = tmp_path_factory.mktemp("example") / "flights"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    project.edit(copy / "project.py", *QUICK)
    project.write_sample(copy / "data" / "departures.csv", ROWS)
    run = project.run(copy)
    assert run.status == "released", run.message
    return copy


def asked(folder: Path, query: str) -> list[dict[str, Any]]:
    """The rows of ``relevo sql``."""
    done = project.call("sql", query, "-p", folder, "--json")
    assert done.code == 0, done.err
    rows: list[dict[str, Any]] = done.document
    return rows


def counted(folder: Path, features: str, condition: str) -> Mapping[str, Any]:
    """Examples whose features differ from what a plain query over the clean rows says, and how many there are."""
    (found,) = asked(
        folder,
        f"""with e as (select _time as at, request, {features} from examples.flights),
        judged as (
            select *, {condition} as wanted from e
        )
        select count(*) as rows, count(wanted) as known,
               count(*) filter (abs(found - wanted) > 1e-9 or (found is null) <> (wanted is null)) as wrong
        from judged""",
    )
    return found


def test_yesterday_is_known_and_today_is_not(folder: Path) -> None:
    """The share of the airline's last day of flying, of departures before midnight of the flight's own day."""
    found = counted(
        folder,
        "airline_late_1d as found",
        """(select (count(*) filter (date_diff('minute', scheduled_at, departed_at) > 15) + 1) / (count(*) + 5)
            from clean.departures d
            where d.airline = request.airline and cast(departed_at as date) = (
                select max(cast(departed_at as date)) from clean.departures o
                where o.airline = request.airline and cast(departed_at as date) < cast(e.at as date))
            having count(*) > 0)""",
    )
    assert found["rows"] > 3800
    assert found["known"] > 0.9 * found["rows"]
    assert found["wrong"] == 0


def test_holidays_reach_the_days_around_them(folder: Path) -> None:
    rows = asked(
        folder,
        "select distinct strftime(_time, '%m-%d') as day, holiday, day_before_holiday, day_after_holiday"
        " from examples.flights where strftime(_time, '%m-%d') in ('05-01', '04-30', '05-02', '05-10')",
    )
    found = {
        row["day"]: (row["holiday"], row["day_before_holiday"], row["day_after_holiday"]) for row in rows
    }
    assert found == {
        "04-30": (False, True, False),
        "05-01": (True, False, False),
        "05-02": (False, False, True),
        "05-10": (False, False, False),
    }


def test_congestion_counts_four_weeks_of_that_hour(folder: Path) -> None:
    """Flights scheduled in the same hour of the same weekday that had left by midnight."""
    found = counted(
        folder,
        "congestion as found",
        """(select count(*) / 4.0 from clean.departures d
            where isodow(d.scheduled_at) = isodow(e.at) and hour(d.scheduled_at) = hour(e.at)
              and cast(d.departed_at as date) < cast(e.at as date)
              and cast(d.departed_at as date) > (
                select max(cast(departed_at as date)) - 28 from clean.departures o
                where isodow(o.scheduled_at) = isodow(e.at) and hour(o.scheduled_at) = hour(e.at)
                  and cast(o.departed_at as date) < cast(e.at as date))
            having count(*) > 0)""",
    )
    assert found["known"] > 0.8 * found["rows"]
    assert found["wrong"] == 0


def test_the_newest_history_answers(folder: Path) -> None:
    """An airline that was never seen is answered too, without its history."""
    for airline in ("ARG", "ZZZ"):
        request = {**FLIGHT, "Emp-I": airline}
        answer = project.call("predict", "-p", folder, "--json", *(f"{k}={v}" for k, v in request.items()))
        assert answer.code == 0, answer.err


@pytest.mark.skipif("RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA is not set")
@pytest.mark.slow
def test_no_history_of_the_real_flights_saw_the_future(tmp_path: Path) -> None:
    """The histories of all 61,849 departures, each computed again on what was known at several moments."""
    from dataclasses import replace

    from relevo import TimeSplit, Tuning, Workspace, load, logistic, run

    source = Path(os.environ["RELEVO_TEST_DATA"]) / "flights" / "dataset_SCL.csv"
    definition = load(HERE, sets={"departures": str(source)})
    gate = replace(definition.project.gate, beats_baselines=False)
    definition = definition.replace(
        split=TimeSplit(test="30d", folds=2),
        candidates=[logistic(C=0.1)],
        tuning=Tuning(trials=1),
        gate=gate,
        cases=None,
    )
    with project.variables(RELEVO_WORKSPACE=str(tmp_path)):
        workspace = Workspace.open(HERE)
        ended = run(definition, workspace)
    steps = {step.name: step for step in workspace.ledger.steps(ended.id)}
    assert ended.status == "released"
    assert steps["history"].rows_out > 70_000
    assert steps["examples"].rows_out == 61_849
