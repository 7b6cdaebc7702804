"""The batch path of a package: features and probabilities as for single requests, whoever made the history."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import batch, lifecycle
from relevo.definition import load
from relevo.errors import DataError, PackageError
from relevo.package import ModelPackage
from relevo.workspace import Workspace
from support import shop, small

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from relevo.records import Snapshot

pytestmark = pytest.mark.xdist_group("batch")  # one process makes what they share

AT = datetime(2024, 2, 10)
ROWS = 40


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("package") / "p"
    small.write(folder)
    return ModelPackage.load(folder)


def ask(connection: DuckDBPyConnection, requests: list[dict[str, Any]]) -> None:
    """Put flights into the relation ``request``."""
    connection.execute(
        "create temp table request (_row bigint, _time timestamp, scheduled_at timestamp, flight varchar,"
        " destination varchar, airline varchar, flight_type varchar)"
    )
    for place, row in enumerate(requests):
        values = [place, row["scheduled_at"], *row.values()]
        connection.execute("insert into request values (?, ?, ?, ?, ?, ?, ?)", values)


def test_a_batch_gives_the_features_and_probabilities_of_single_requests(
    flights: ModelPackage, tmp_path: Path
) -> None:
    rng = random.Random(0)
    requests = [small.request(rng) for _ in range(300)]
    workspace = Workspace.open(tmp_path)
    with workspace.lake.connect() as connection:
        ask(connection, requests)
        parts = list(
            batch.scored(connection, flights, carry=("_row", "airline"), added={"late": "hour >= 16"})
        )
    row = np.concatenate([part.carried["_row"] for part in parts])
    assert sorted(row.tolist()) == list(range(300))
    place = np.argsort(row)
    probability = np.concatenate([part.probability for part in parts])[place]
    rows = [flights.features(request) for request in requests]
    assert probability.tolist() == flights.score(rows).tolist()
    airline = np.concatenate([part.carried["airline"] for part in parts])[place]
    assert airline.tolist() == [request["airline"] for request in requests]
    late = np.concatenate([part.carried["late"] for part in parts])[place]
    assert late.tolist() == [request["scheduled_at"].hour >= 16 for request in requests]
    names = flights.online.names
    hour = np.concatenate([part.features["hour"] for part in parts])[place]
    assert hour.tolist() == [row[names.index("hour")] for row in rows]


def test_many_pieces_come_in_full(flights: ModelPackage, tmp_path: Path) -> None:
    """More rows than one row group, so that several pieces wait for the two threads."""
    rng = random.Random(1)
    with Workspace.open(tmp_path).lake.connect() as connection:
        ask(connection, [small.request(rng) for _ in range(100)])
        connection.execute(
            "create or replace temp table request as select r.* replace (i * 100 + _row as _row)"
            " from request r cross join range(6000) t(i)"
        )
        found = np.full(600_000, np.nan)
        sizes = []
        for part in batch.scored(connection, flights, carry=("_row",)):
            found[part.carried["_row"]] = part.probability
            sizes.append(len(part.probability))
        assert connection.execute("select 1").fetchall() == [(1,)]
    assert sum(sizes) == 600_000
    assert len(sizes) > batch.AHEAD
    assert (found.reshape(6000, 100) == found[:100]).all()


def test_nothing_to_score_gives_nothing(flights: ModelPackage, tmp_path: Path) -> None:
    with Workspace.open(tmp_path).lake.connect() as connection:
        ask(connection, [])
        assert list(batch.scored(connection, flights)) == []


def changed(package: ModelPackage, **parts: Any) -> ModelPackage:
    """The same package with another manifest."""
    model = package._files["model.onnx"]
    return ModelPackage(replace(package.manifest, **parts), model, package.static)


def test_a_feature_that_cannot_be_computed_is_named(flights: ModelPackage, tmp_path: Path) -> None:
    first = flights.manifest.encoders[0].feature
    rest = ", ".join(f'0 as "{encoder.feature}"' for encoder in flights.manifest.encoders[1:])
    query = f'SELECT cast(request.destination as bigint) AS "{first}", {rest} FROM request'
    with Workspace.open(tmp_path).lake.connect() as connection:
        ask(connection, [small.request(random.Random(0))])
        with pytest.raises(
            DataError, match=f"The feature “{first}” cannot be computed for every row"
        ) as caught:
            list(batch.scored(connection, changed(flights, sql=query)))
        assert "Could not convert string" in str(caught.value)


def test_sql_that_breaks_out_of_its_select_is_refused(flights: ModelPackage, tmp_path: Path) -> None:
    with Workspace.open(tmp_path).lake.connect() as connection:
        ask(connection, [])
        connection.execute("create table treasure as select 1 as x")
        evil = "SELECT 1 AS a); drop table treasure; select * from (select 1"
        with pytest.raises(PackageError, match="sql"):
            list(batch.scored(connection, changed(flights, sql=evil), added={"x": "1"}))
        assert connection.execute("from treasure").fetchall() == [(1,)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with histories and a released version."""
    rng = random.Random(3)
    path = shop.write(tmp_path_factory.mktemp("shop") / "p", shop.stream(rng, 300), shop.tiers(rng))
    ended = lifecycle.run(load(path), Workspace.open(path))
    assert ended.status == "released", ended.message
    return path


class TestHistories:
    """A project whose history was changed after a version was released."""

    def answers(self, folder: Path, histories: dict[str, Snapshot] | None, until: datetime | None) -> Any:
        """The champion's probability for each customer at ``AT``, and the table its spending came from."""
        definition, workspace = load(folder), Workspace.open(folder)
        lake, ledger = workspace.lake, workspace.ledger
        found = ledger.champion("shop")
        assert found is not None
        package = ModelPackage.load(workspace.blobs.folder(found.digest))
        made = {
            h.name: ledger.newest_snapshot(f"history/{h.name}", project="shop") for h in definition.histories
        }
        with lake.connect() as connection:
            for name in ("receipts", "tiers"):
                snapshot = ledger.newest_snapshot(f"clean/{name}", project="shop")
                assert snapshot is not None
                lake.bind(connection, snapshot.table, as_=name, version=snapshot.version)
            given = {name: one for name, one in made.items() if one} if histories is None else histories
            batch.bind_histories(connection, package, definition, lake, given, until=until)
            connection.execute(
                "create temp table request as select i as customer, ?::timestamp as _time from range(1, 14) t(i)",
                [AT],
            )
            parts = list(batch.scored(connection, package, carry=("customer",)))
            kept = connection.execute("select count(*), count(distinct customer) from spending").fetchall()[0]
        customers = np.concatenate([part.carried["customer"] for part in parts])
        totals = [total for part in parts for total in np.ma.asarray(part.features["total"]).tolist()]
        order = np.argsort(customers).tolist()
        return (
            np.concatenate([part.probability for part in parts])[order].tolist(),
            [totals[place] for place in order],
            kept,
        )

    def test_the_newest_rows_known_then_are_joined_from_the_lake(self, folder: Path) -> None:
        probability, totals, kept = self.answers(folder, None, AT)
        rng = random.Random(3)
        events, entered = shop.stream(rng, 300), shop.tiers(rng)
        wanted = [shop.expected(events, entered, customer, AT)[1] for customer in range(1, 14)]
        assert totals == wanted
        assert kept[0] == kept[1]
        everything = self.answers(folder, None, None)
        assert everything[:2] == (probability, totals)
        assert everything[2][0] > kept[0]

    def test_without_a_table_of_its_meaning_the_packages_own_sql_makes_it(self, folder: Path) -> None:
        assert self.answers(folder, {}, AT) == self.answers(folder, None, AT)

    def test_a_champion_keeps_its_history_when_the_project_changes_its_own(
        self, folder: Path, tmp_path: Path
    ) -> None:
        """The lake's table is the project's new one, which would give the old model wrong totals."""
        before = self.answers(folder, None, AT)
        path = tmp_path / "p"
        shutil.copytree(folder, path)
        text = (path / "history.sql").read_text().replace("sum(amount)", "1000 + sum(amount)")
        (path / "history.sql").write_text(text)
        lifecycle.run(load(path), Workspace.open(path))
        ledger = Workspace.open(path).ledger
        ledger.release("shop", "champion", "1.0.0", who="test", why="", act="promote")
        assert self.answers(path, None, AT) == before
        lake, snapshot = Workspace.open(path).lake, ledger.newest_snapshot("history/spending", project="shop")
        assert snapshot is not None
        with lake.connect() as connection:
            lake.bind(connection, snapshot.table, as_="spending", version=snapshot.version)
            assert connection.execute("select min(total) > 1000 from spending").fetchall() == [(True,)]

    def test_a_history_that_cannot_be_made_is_named(self, folder: Path) -> None:
        definition, workspace = load(folder), Workspace.open(folder)
        found = workspace.ledger.champion("shop")
        assert found is not None
        package = ModelPackage.load(workspace.blobs.folder(found.digest))
        with (
            workspace.lake.connect() as connection,
            pytest.raises(DataError, match="The history “spending” cannot be made"),
        ):
            batch.bind_histories(
                connection, package, definition, workspace.lake, {}, until=AT + timedelta(days=1)
            )
