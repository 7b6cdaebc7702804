"""From a history in the lake to the file that answers, and what becomes of old files."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from relevo import lookups, materialise
from relevo.errors import PackageError, WorkspaceError
from relevo.keyed import KeyedFile
from relevo.package import ModelPackage
from support import histories

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Snapshot
    from relevo.workspace import Workspace

SHOUTED = histories.PAIRS.replace("max(shop) over w", "max(lower(shop)) over w")


def files(workspace: Workspace) -> set[str]:
    return {path.stem for path in workspace.lookups.glob("*.lmdb")}


def test_the_newest_row_of_each_key_is_what_a_package_looks_up(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path, weeks=5)
    package = ModelPackage.load(tmp_path / "package0")
    found = lookups.newest(workspace, package)
    for name, wanted in histories.newest(5).items():
        assert {key: found[name].get(key) for key in wanted} == wanted
        assert len(found[name]) == len(wanted)
    package.bind(found)
    customer, product = next(iter(histories.newest(5)["pairs"]))
    features = package.features({"customer_id": customer, "product_id": product})
    times = histories.newest(5)["pairs"][customer, product][0]
    assert dict(zip(package.online.names, features, strict=True))["times"] == times
    assert found["pairs"].missing == 0
    unknown = dict(
        zip(package.online.names, package.features({"customer_id": 1, "product_id": 1}), strict=True)
    )
    assert (unknown["times"], unknown["items"], unknown["never"]) == (0, None, True)
    assert (found["pairs"].missing, found["buyers"].missing) == (1, 1)


def test_what_was_made_is_recorded(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path, weeks=3)
    made = {one.name: one for one in workspace.ledger.materialisations(histories.PROJECT)}
    assert made["pairs"].rows == len(histories.newest(3)["pairs"])
    assert made["pairs"].newest == "2024-01-15 00:00:00"
    assert files(workspace) == {one.sha256 for one in made.values()}
    described = lookups.described(made["pairs"])
    late = (datetime.now() - datetime(2024, 1, 15)).total_seconds()  # noqa: DTZ005 - on the wall, as the rows are
    assert described["age_seconds"] == pytest.approx(late, abs=60)
    assert lookups.age(replace(made["pairs"], newest="")) is None


def test_the_same_snapshot_is_not_materialised_twice(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path)
    before = workspace.ledger.news(histories.PROJECT)
    histories.refresh(workspace, 4)
    assert workspace.ledger.news(histories.PROJECT) == before
    histories.refresh(workspace, 5)
    assert workspace.ledger.news(histories.PROJECT) == (before[0], before[1] + 2)


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: str) -> None:
    workspace = histories.workspace(tmp_path)
    package = ModelPackage.load(tmp_path / "package0")
    path = next(workspace.lookups.glob("*.lmdb"))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-4096])
    with pytest.raises(WorkspaceError, match=r"absent|cut off or altered"):
        lookups.newest(workspace, package)
    histories.refresh(workspace, 4)
    assert len(lookups.newest(workspace, package)["pairs"]) == len(histories.newest(4)["pairs"])


def test_without_a_materialisation_the_command_is_named(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path, weeks=0)
    with pytest.raises(PackageError, match=r"“pairs” is not at hand\. `relevo run`"):
        lookups.newest(workspace, ModelPackage.load(tmp_path / "package0"))


def test_old_files_go_and_the_newest_two_stay(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path, weeks=3)
    package = ModelPackage.load(tmp_path / "package0")
    oldest = lookups.newest(workspace, package)
    orphan, strange = workspace.lookups / f"{'0' * 64}.lmdb", workspace.lookups / f"{'1' * 64}.lmdb"
    for path in (orphan, strange):
        path.write_bytes(b"x")
    os.utime(orphan, (0, time.time() - 7200))
    histories.refresh(workspace, 4)
    assert len(files(workspace) - {strange.stem}) == 4
    histories.refresh(workspace, 5)
    made = workspace.ledger.materialisations(histories.PROJECT)
    assert len(made) == 6
    assert files(workspace) == {one.sha256 for one in made[:4]} | {strange.stem}
    wanted = histories.newest(3)["pairs"]
    assert {key: oldest["pairs"].get(key) for key in wanted} == wanted  # who has it open goes on reading


def test_released_versions_are_served_though_the_project_s_query_changed(tmp_path: Path) -> None:
    """The champion's and its predecessor's files are refreshed by their own SQL; a third version's is not."""
    third = histories.PAIRS.replace("max(shop) over w", "min(shop) over w")
    workspace = histories.workspace(
        tmp_path,
        {"queries": {"pairs": third}},
        {"queries": {"pairs": SHOUTED}, "threshold": 0.8},
        {"threshold": 0.9},
        weeks=0,
        release="",
    )
    for version in reversed(workspace.ledger.versions(histories.PROJECT)):
        histories.promote(workspace, version.version)
    edited = {"pairs": histories.PAIRS.replace("sum(items)", "avg(items)")}
    histories.refresh(workspace, 4, edited)
    for place in (1, 2):
        found = lookups.newest(workspace, ModelPackage.load(tmp_path / f"package{place}"))
        wanted = histories.newest(4)["pairs"]
        shown = {key: found["pairs"].get(key) for key in wanted}
        if place == 1:
            shop = histories.entries()[0]["columns"].index("shop") - 2
            wanted = {key: (*row[:shop], row[shop].lower(), *row[shop + 1 :]) for key, row in wanted.items()}
        assert shown == wanted
    with pytest.raises(PackageError, match="not at hand"):
        lookups.newest(workspace, ModelPackage.load(tmp_path / "package0"))


def test_a_query_that_no_longer_runs_is_told_and_its_file_stays(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path, {"queries": {"pairs": SHOUTED}}, weeks=0)
    histories.refresh(workspace, 3, {"pairs": histories.PAIRS})
    package = ModelPackage.load(tmp_path / "package0")
    before = lookups.facts(workspace.ledger, package)["pairs"]
    tables = clean_without_shop(workspace)
    bare = [entry for entry in histories.entries() if entry["name"] == "buyers"]
    snapshots = histories.computed(workspace, tables, bare)
    told: list[str] = []
    materialise.materialise_all(workspace, histories.PROJECT, bare, snapshots, tables, report=told.append)
    assert len(told) == 1
    assert "“pairs” of a released version cannot be made anew" in told[0]
    assert lookups.facts(workspace.ledger, package)["pairs"] == before
    assert len(lookups.newest(workspace, package)["pairs"]) == before.rows


def clean_without_shop(workspace: Workspace) -> dict[str, Snapshot]:
    tables = histories.clean(workspace, 5)
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, "clean/sales", as_="sales")
        rows = connection.sql("select * exclude (shop) from sales")
        version = workspace.lake.replace("clean/sales", rows, transaction="without")
    return {"sales": replace(tables["sales"], id="without", version=version)}


def test_a_package_s_query_reads_nothing_but_the_lake(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("shop\nhidden\n")
    thief = histories.PAIRS.replace("max(shop) over w", f"(select any_value(shop) from '{secret}')")
    workspace = histories.workspace(tmp_path, {"queries": {"pairs": thief}}, weeks=0)
    tables = histories.clean(workspace, 3)
    told: list[str] = []
    made = materialise.materialise_all(workspace, histories.PROJECT, [], {}, tables, report=told.append)
    assert [one.name for one in made] == ["buyers"]
    assert "“pairs”" in told[0]


def test_rows_without_a_key_or_a_moment_are_left_out(tmp_path: Path) -> None:
    workspace = histories.workspace(tmp_path, weeks=0)
    history = {
        "name": "h", "key": ["k"], "columns": ["k", "v"], "types": ["text", "integer"], "known_at": "seen",
        "sql": """select * from (values ('a', 1, timestamp '2024-01-02'), ('a', 2, timestamp '2024-01-01'),
                  (null, 3, timestamp '2025-01-01'), ('b', 4, null)) t(k, v, seen)""",
        "shape": "s",
    }  # fmt: skip
    made = materialise.recompute(workspace, histories.PROJECT, history, {})
    file = KeyedFile.open(
        lookups.place(workspace.lookups, made), made.sha256, key=["text"], types=["integer"]
    )
    assert (len(file), file.get("a"), file.get("b")) == (1, (1,), None)
    assert made.newest == "2024-01-02 00:00:00"
