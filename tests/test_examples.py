from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from relevo import GroupSplit, StratifiedSplit, examples
from relevo.errors import DataError
from relevo.lake import Lake
from relevo.lifecycle.walk import Walk
from relevo.online import compile_tree
from support import small, stores

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.records import Run, Snapshot
    from relevo.workspace import Workspace

ROWS = 600


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", scratch=tmp_path)


@pytest.fixture
def clean(lake: Lake) -> dict[str, Snapshot]:
    return stores.fill(lake, ROWS)


def read(
    lake: Lake, snapshot: Snapshot, part: str, definition: Definition | None = None
) -> examples.Examples:
    return examples.read(lake, snapshot, (definition or small.definition()).plan.features, part=part)


def test_each_labelled_row_is_an_example_in_one_part(lake: Lake, clean: dict[str, Snapshot]) -> None:
    snapshot = examples.make(small.definition(), lake, clean)
    train, test = read(lake, snapshot, "train"), read(lake, snapshot, "test")
    assert snapshot.rows == ROWS == len(train.ids) + len(test.ids)
    assert not set(train.ids) & set(test.ids)
    assert train.time.max() < test.time.min()
    assert list(train.time) == sorted(train.time)
    assert set(train.fold) == {-1, 0, 1, 2, 3}
    assert set(test.fold) == {-1}


def test_the_target_is_the_projects_expression(lake: Lake, clean: dict[str, Snapshot]) -> None:
    """The made-up flights leave 40 minutes late or 3."""
    snapshot = examples.make(small.definition(), lake, clean)
    late = {row[0]: (row[6] - row[1]).seconds > 900 for row in stores.flights(ROWS)}
    for part in ("train", "test"):
        found = read(lake, snapshot, part)
        assert [late[identity] for identity in found.ids] == list(found.target)


def test_folds_are_told_when_outcomes_became_known(lake: Lake, clean: dict[str, Snapshot]) -> None:
    """Where the target says so; examples of an earlier release, which did not keep it, stay readable."""
    definition = small.definition()
    timed = definition.replace(target=replace(definition.project.target, known_at="departed_at"))
    snapshot = examples.make(timed, lake, clean)
    departed = {row[0]: row[6] for row in stores.flights(ROWS)}
    part = read(lake, snapshot, "train")
    assert part.known.tolist() == [departed[identity] for identity in part.ids]
    learned = Walk(timed, cast("Workspace", None), cast("Run", None)).training_set(part)
    assert learned.known is part.known
    connection = lake.connect()
    lake.bind(connection, snapshot.table, as_="made", version=snapshot.version)
    older = connection.sql("select * exclude (_known) from made")
    version = lake.replace(snapshot.table, older, transaction="older")
    connection.close()
    assert np.isnat(read(lake, replace(snapshot, version=version), "train").known).all()


def test_the_features_are_those_of_the_online_path(lake: Lake, clean: dict[str, Snapshot]) -> None:
    snapshot = examples.make(small.definition(), lake, clean)
    online = compile_tree(small.definition().plan.tree)
    rows = {
        row[0]: dict(zip(small.definition().request.names, row[1:6], strict=True))
        for row in stores.flights(ROWS)
    }
    found = read(lake, snapshot, "test")
    for place, identity in enumerate(found.ids):
        wanted = online(rows[identity], {"holidays": dict.fromkeys(small.HOLIDAYS, ())})
        assert tuple(column[place] for column in found.columns.values()) == wanted


def test_the_same_rows_are_the_same_snapshot(lake: Lake, clean: dict[str, Snapshot]) -> None:
    first = examples.make(small.definition(), lake, clean)
    assert examples.make(small.definition(), lake, clean) == first
    assert lake.version(first.table) == first.version == 0


def test_another_split_is_another_snapshot(lake: Lake, clean: dict[str, Snapshot]) -> None:
    definition = small.definition().replace(
        split=StratifiedSplit(test=0.2, because="another split for the test")
    )
    first, other = examples.make(small.definition(), lake, clean), examples.make(definition, lake, clean)
    assert first.id != other.id
    assert len(read(lake, other, "test", definition).ids) == pytest.approx(ROWS * 0.2, abs=3)
    again = read(lake, first, "test")
    assert len(again.ids) != ROWS * 0.2  # the earlier one stays readable


def test_a_group_stays_together_and_rows_without_one_stand_alone(
    lake: Lake, clean: dict[str, Snapshot]
) -> None:
    definition = small.definition().replace(split=GroupSplit(by="flight", test=0.3, folds=2))
    snapshot = examples.make(definition, lake, clean)
    flights = {row[0]: row[2] for row in stores.flights(ROWS)}
    groups = [{flights[i] for i in read(lake, snapshot, part, definition).ids} for part in ("train", "test")]
    assert groups[0] & groups[1] == {None}
    for part in ("train", "test"):
        found = read(lake, snapshot, part, definition)
        assert found.group is not None
        named = [flights[i] or i for i in found.ids]
        assert len(set(zip(named, found.group, strict=True))) == len(set(named)) == len(set(found.group))
    assert read(lake, examples.make(small.definition(), lake, clean), "test").group is None


def test_rows_without_an_outcome_are_no_examples(lake: Lake, clean: dict[str, Snapshot]) -> None:
    connection = lake.connect()
    lake.bind(connection, "clean/departures", as_="d")
    rows = connection.sql(
        "select * replace (case when _id < 'made:000100' then null else departed_at end as departed_at) from d"
    )
    version = lake.replace("clean/departures", rows, transaction="some unknown")
    snapshot = examples.make(
        small.definition(),
        lake,
        {**clean, "departures": replace(clean["departures"], id="x", version=version)},
    )
    assert snapshot.rows == ROWS - 100
    rows = connection.sql("select * replace (cast(null as timestamp) as departed_at) from d")
    version = lake.replace("clean/departures", rows, transaction="all unknown")
    connection.close()
    with pytest.raises(DataError, match="No row of departures has an outcome"):
        examples.make(
            small.definition(),
            lake,
            {**clean, "departures": replace(clean["departures"], id="y", version=version)},
        )


def test_a_null_feature_is_masked(lake: Lake, clean: dict[str, Snapshot], tmp_path: Path) -> None:
    definition = small.definition()
    snapshot = examples.make(definition, lake, clean)
    found = read(lake, snapshot, "train")
    assert not np.ma.getmaskarray(np.ma.asarray(found.columns["flight"])).any()  # coalesced in features.sql
    connection = lake.connect()
    lake.bind(connection, snapshot.table, as_="e", version=snapshot.version)
    nulls = connection.execute("select count(*) from e where request.flight is null").fetchall()
    connection.close()
    assert nulls[0][0] > 50
