"""A population drawn, scored, decided, recorded and listed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from relevo import counted, lifecycle
from relevo.bins import Bins
from relevo.decide import expected_f1
from relevo.definition import load
from relevo.errors import DataError, LedgerError, WorkspaceError
from relevo.listing import Listing
from relevo.package import ModelPackage
from relevo.scores import period_of
from relevo.texts import speaking
from relevo.workspace import Workspace
from support import project, weekly

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.scores import Scores

pytestmark = pytest.mark.xdist_group("scores")  # one process makes what they share

PAIRS = weekly.CUSTOMERS * weekly.PRODUCTS
NEXT = weekly.week(weekly.WEEKS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose first run released a version and scored the next week; to look at only."""
    folder = weekly.make(tmp_path_factory.mktemp("weekly") / "shop")
    assert weekly.run(folder).status == "released"
    return folder


@pytest.fixture
def shop(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "shop")
    return tmp_path / "shop"


def score(folder: Path, **options: Any) -> Scores:
    return lifecycle.score_now(load(folder), Workspace.open(folder), **options)


def recorded(folder: Path, query: str = "from scores order by all") -> list[tuple[Any, ...]]:
    lake = Workspace.open(folder).lake
    with lake.connect() as connection:
        lake.bind(connection, f"scores/{weekly.NAME}", as_="scores")
        return connection.execute(query).fetchall()


def champion(folder: Path) -> ModelPackage:
    workspace = Workspace.open(folder)
    found = workspace.ledger.champion(weekly.NAME)
    assert found is not None
    return ModelPackage.load(workspace.blobs.folder(found.digest))


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_every_pair_gets_the_probability_that_a_request_gets(shop: Path) -> None:
    found = score(shop)
    assert (found.period, found.rows, found.refused) == (f"{NEXT}", PAIRS, 0)
    package = champion(shop)
    query = "select customer_id, product_id, _probability, _positive, _naive, region from scores"
    rows = recorded(shop, query)
    assert len(rows) == PAIRS
    answers = package.predict([{"customer_id": c, "product_id": p} for c, p, *_ in rows])
    assert [row[2] for row in rows] == [answer.probability for answer in answers]
    cut = expected_f1([row[2] for row in rows])
    assert [row[3] for row in rows] == [row[2] >= cut.threshold for row in rows]
    assert found.expected == cut
    assert found.fixed.threshold == package.threshold
    assert found.positive == cut.positive > 0
    liked = {(f"c{c}", p) for c in range(24) for p in range(10) if c % 3 == p % 3 and c < 10}
    assert {(c, p) for c, p, _, _, naive, _ in rows if naive} == liked
    assert found.naive == len(liked)
    assert {region for *_, region in rows} == {"north", "south"}


def test_scoring_a_week_again_puts_it_in_place_of_itself(shop: Path) -> None:
    before = recorded(shop, "select * exclude (_scored_at, _inputs) from scores order by all")
    first = recorded(shop, "select distinct _scored_at from scores")
    score(shop)
    assert recorded(shop, "select * exclude (_scored_at, _inputs) from scores order by all") == before
    assert recorded(shop, "select distinct _scored_at from scores") != first
    write(shop, "population.sql", weekly.POPULATION.replace("max(week) + 7", "max(week) + 14"))
    assert score(shop).period == str(weekly.week(weekly.WEEKS + 1))
    assert len(recorded(shop)) == 2 * PAIRS


def test_a_period_is_counted_over_the_packages_bins_and_scored_again_in_place_of_itself(shop: Path) -> None:
    package = champion(shop)
    bins = Bins.of(package)
    assert bins is not None
    (first,) = counted.periods(Workspace.open(shop).lake, weekly.NAME, "1.0.0", bins=bins).values()
    assert (first.rows, first.refused) == (PAIRS, 0)
    write(shop, "population.sql", weekly.POPULATION + "where p.product_id = 3")
    score(shop)
    found = counted.periods(Workspace.open(shop).lake, weekly.NAME, "1.0.0", bins=bins)
    asked = recorded(shop, "select customer_id, product_id, _probability from scores")
    rows = [package.features({"customer_id": c, "product_id": p}) for c, p, _ in asked]
    assert [*found] == [str(NEXT)]
    assert found[str(NEXT)].rows == weekly.CUSTOMERS
    assert found[str(NEXT)].counts.tolist() == bins.rows(rows, [p for *_, p in asked]).tolist()


def test_a_smaller_population_leaves_no_row_of_the_former(shop: Path) -> None:
    write(shop, "population.sql", weekly.POPULATION + "where p.product_id = 3")
    assert score(shop).rows == weekly.CUSTOMERS
    assert recorded(shop, "select count(*), min(product_id), max(product_id) from scores") == [(24, 3, 3)]


def listed(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        found = connection.execute(f"from '{path}'")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_a_listing_is_csv_or_parquet_by_its_ending_and_goes_from_the_likeliest_down(
    shop: Path, tmp_path: Path
) -> None:
    for ending in ("csv", "parquet"):
        path = tmp_path / f"all.{ending}"
        assert score(shop, listing=Listing(path=path)).listed == PAIRS
        rows = listed(path)
        assert list(rows[0]) == ["customer_id", "product_id", "week", "region", "probability", "decision"]
        assert {str(row["week"]) for row in rows} == {str(NEXT)}
        values = [row["probability"] for row in rows]
        assert values == sorted(values, reverse=True)
        assert {row["decision"] for row in rows} == {"offer", "leave"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_only_the_positive_pairs_or_the_likeliest_of_each_customer(shop: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    found = score(shop, listing=Listing(path=path, rows="positive", by="customer_id"))
    rows = listed(path)
    assert len(rows) == found.listed == found.positive
    assert {row["decision"] for row in rows} == {"offer"}
    order = [(row["customer_id"], -row["probability"]) for row in rows]
    assert order == sorted(order)
    found = score(shop, listing=Listing(path=path, rows="top", k=3, by="customer_id"))
    rows = listed(path)
    assert found.listed == len(rows) == 3 * weekly.CUSTOMERS
    for customer in {row["customer_id"] for row in rows}:
        mine = [row["probability"] for row in rows if row["customer_id"] == customer]
        query = f"""select _probability from scores where customer_id = '{customer}'
            order by 1 desc limit 3"""
        assert mine == [p for (p,) in recorded(shop, query)]
    assert found.positive == sum(yes for (yes,) in recorded(shop, "select _positive::int from scores"))


def test_a_listing_that_cannot_be_is_refused_before_anything_is_scored(shop: Path, tmp_path: Path) -> None:
    before = recorded(shop)
    for listing, said in (
        (Listing(path=tmp_path / "x.xlsx"), "ending"),
        (Listing(path=tmp_path / "no" / "x.csv"), "folder"),
        (Listing(path=tmp_path / "x.csv", rows="top", k=3), "--top K --by FIELD"),
        (Listing(path=tmp_path / "x.csv", by="customer"), "customer_id, product_id"),
    ):
        with pytest.raises(DataError, match=said):
            score(shop, listing=listing)
    assert recorded(shop) == before


def test_top_k_names_so_many_of_each_customer(tmp_path: Path) -> None:
    folder = weekly.make(tmp_path / "shop", decision='TopK(2, "customer_id")')
    assert weekly.run(folder).status == "released"
    per = recorded(folder, "select customer_id, count(*) from scores where _positive group by all")
    assert sorted(per) == sorted((f"c{c}", 2) for c in range(weekly.CUSTOMERS))
    found = score(folder, listing=Listing(path=tmp_path / "top.csv", rows="top"))
    assert (found.rule, found.listed) == ("top_k", 2 * weekly.CUSTOMERS)


@pytest.mark.parametrize(
    ("population", "said"),
    [
        (weekly.POPULATION + "where false", "population.sql gives no row"),
        (
            weekly.POPULATION.replace(
                "(select cast(max(week) + 7 as date) from purchases)", "b.week"
            ).replace(
                "products p",
                "products p cross join (select distinct week from purchases where week < '2024-09-16') b",
            ),
            "“week” has 2024-09-02 00:00:00, 2024-09-09 00:00:00",
        ),
        (
            weekly.POPULATION.replace("(select cast(max(week) + 7 as date) from purchases)", "null::date"),
            "“week” has null",
        ),
        (
            weekly.POPULATION + "union all " + weekly.POPULATION + "where c.customer_id = 'c2'",
            "2 rows ask the same",
        ),
        (weekly.POPULATION.replace("p.product_id", "-1 - p.product_id as product_id"), "every row breaks"),
        (
            weekly.POPULATION.replace("p.product_id", "cast(c.region as bigint) as product_id"),
            "the query stops",
        ),
    ],
)
def test_a_population_that_cannot_be_scored_is_told_and_leaves_the_scores(
    shop: Path, population: str, said: str
) -> None:
    before = recorded(shop)
    write(shop, "population.sql", population)
    with pytest.raises(DataError, match=r"population\.sql") as caught:
        score(shop)
    assert said in str(caught.value)
    assert recorded(shop) == before


def test_refused_rows_are_counted_with_their_reasons(shop: Path) -> None:
    stranger = (
        "select 'a very long customer', 1, 'north', (select cast(max(week) + 7 as date) from purchases)"
    )
    negative = stranger.replace("'a very long customer', 1", "'c1', -4")
    write(shop, "population.sql", f"{weekly.POPULATION} union all {stranger} union all {negative}")
    found = score(shop)
    assert (found.rows, found.refused) == (PAIRS, 2)
    assert found.reasons == {"customer: longer than 8 characters": 1, "product_id: not ≥ 0": 1}
    with speaking("es"):
        assert "customer: más de 8 caracteres" in score(shop).reasons


def test_an_unknown_customer_is_scored_by_the_nulls_of_the_look_ups(shop: Path) -> None:
    stranger = "select 'zoe', 1, null, (select cast(max(week) + 7 as date) from purchases)"
    write(shop, "population.sql", f"{weekly.POPULATION} union all {stranger}")
    assert score(shop).rows == PAIRS + 1
    query = "select _probability, _naive from scores where customer_id = 'zoe'"
    answer = champion(shop).predict([{"customer_id": "zoe", "product_id": 1}])[0]
    assert recorded(shop, query) == [(answer.probability, False)]


def test_outcomes_that_are_known_already_are_noted(shop: Path) -> None:
    assert not score(shop).hindsight
    write(shop, "population.sql", weekly.POPULATION.replace("max(week) + 7", "max(week)"))
    assert score(shop).hindsight
    assert sorted(recorded(shop, "select distinct _time, _hindsight from scores")) == [
        (datetime.combine(weekly.week(weekly.WEEKS - 1), datetime.min.time()), True),
        (datetime.combine(NEXT, datetime.min.time()), False),
    ]


def test_a_period_is_named_by_its_day_and_by_the_time_where_there_is_one() -> None:
    times = (datetime(2025, 1, 6), datetime(2025, 1, 6, 13, 30), datetime(2025, 1, 6, 13, 30, 0, 7))
    assert [period_of(time) for time in times] == [
        "2025-01-06",
        "2025-01-06T133000",
        "2025-01-06T133000.000007",
    ]


def test_a_period_may_begin_at_noon(shop: Path) -> None:
    time = "(select max(week) + interval '7 days 12 hours 30 minutes' from purchases)"
    old = "(select cast(max(week) + 7 as date) from purchases)"
    write(shop, "population.sql", weekly.POPULATION.replace(old, time))
    for _ in range(2):
        assert score(shop).period == f"{NEXT}T123000"
    noon = datetime.combine(NEXT, datetime.min.time()) + timedelta(hours=12, minutes=30)
    query = "select _time, count(*) from scores where _period like '%T%' group by all"
    assert recorded(shop, query) == [(noon, PAIRS)]


def test_another_version_can_score_and_an_unknown_one_is_told(shop: Path) -> None:
    assert score(shop, version="1.0.0").version == "1.0.0"
    with pytest.raises(LedgerError, match=r"9\.9\.9"):
        score(shop, version="9.9.9")


@pytest.mark.slow
def test_too_little_memory_is_said_so(shop: Path) -> None:
    """Nothing of DuckDB's own comes out, and the scores stay."""
    before = recorded(shop)
    text = weekly.POPULATION.replace("p.product_id", "p.product_id + 10 * u.i as product_id")
    write(shop, "population.sql", text.replace("products p", "products p cross join range(200000) u(i)"))
    with project.variables(RELEVO_MEMORY_LIMIT="30MB"), pytest.raises(WorkspaceError, match="memory_limit"):
        score(shop)
    assert recorded(shop) == before


def test_a_project_without_a_population_is_told(shop: Path) -> None:
    definition = replace(load(shop), population=None)
    with pytest.raises(DataError, match=r"population\.sql"):
        lifecycle.score_now(definition, Workspace.open(shop))


def _score_many(folder: Path) -> None:
    os.nice(5)
    write_many(folder)
    score(folder)


def write_many(folder: Path) -> None:
    """Forty thousand times the products, so that writing takes a while."""
    text = weekly.POPULATION.replace("p.product_id", "p.product_id + 10 * u.i as product_id").replace(
        "products p", "products p cross join range(2500) u(i)"
    )
    write(folder, "population.sql", text)


def killed_as_files_come(folder: Path) -> bool:
    """Kill a scoring of `folder` as its first new data file is there; whether its log does not name it yet."""
    table = Workspace.open(folder).root / "lake" / "scores" / weekly.NAME
    files = set(table.rglob("*.parquet*"))
    versions = sorted((table / "_delta_log").glob("*.json"))
    process = multiprocessing.get_context("spawn").Process(target=_score_many, args=(folder,))
    process.start()
    deadline = time.monotonic() + 300
    while set(table.rglob("*.parquet*")) == files and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.join()
    if process.exitcode != -signal.SIGKILL or set(table.rglob("*.parquet*")) == files:
        return False
    return sorted((table / "_delta_log").glob("*.json")) == versions


@pytest.mark.slow
def test_a_kill_while_the_week_is_written_loses_nothing_and_doubles_nothing(shop: Path) -> None:
    """The process dies between its first data file and its entry in the log; a kill that came later tries again."""
    before = recorded(shop)
    folders = [shop.parent / f"copy {number}" for number in range(12)]
    for folder in folders:
        shutil.copytree(shop, folder)
    killed = next((folder for folder in folders if killed_as_files_come(folder)), None)
    assert killed is not None, "no kill came between the files and the log"
    assert recorded(killed) == before
    write(killed, "population.sql", weekly.POPULATION)
    score(killed)
    query = "select * exclude (_scored_at, _inputs) from scores order by all"
    assert recorded(killed, "select count(*) from scores") == [(PAIRS,)]
    assert [row[:6] for row in recorded(killed, query)] == [row[:6] for row in before]


def _score_part(folder: Path, products: int) -> None:
    write(
        folder.parent / str(products),
        "population.sql",
        f"{weekly.POPULATION} where p.product_id < {products}",
    )
    definition = load(folder.parent / str(products))
    lifecycle.score_now(definition, Workspace.open(folder))


@pytest.mark.slow
def test_of_two_at_once_one_wins_wholly(shop: Path) -> None:
    for products in (4, 7):
        shutil.copytree(shop, shop.parent / str(products), ignore=shutil.ignore_patterns(".relevo"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_score_part, [(shop, 4), (shop, 7)])
    ((count, products),) = recorded(shop, "select count(*), count(distinct product_id) from scores")
    assert (count, products) in ((24 * 4, 4), (24 * 7, 7))
