from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from relevo import validation
from relevo.errors import DataError, WorkspaceError
from relevo.lake import Lake
from relevo.package import ModelPackage
from relevo.score import Scored, score
from support import arithmetics, project, small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ALIASES = ("Fecha-I", "Vlo-I", "Des-I", "Emp-I", "TIPOVUELO")
NAMES = ("scheduled_at", "flight", "destination", "airline", "flight_type")
ADDED = ("probability", "decision", "problems")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("package")
    small.write(folder)
    return ModelPackage.load(folder)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", scratch=tmp_path / "scratch", threads=1)


def flights(count: int, seed: int = 0) -> list[Row]:
    """Requests as clients write them, with a column of the client's own in front."""
    rng = random.Random(seed)
    return [{"their id": f"é{place}", **small.body(small.request(rng))} for place in range(count)]


def write(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def predicted(package: ModelPackage, rows: Sequence[Row]) -> list[tuple[float, str]]:
    """What ``predict`` answers to the same requests."""
    asked = [validation.validate(package.validators, {name: row[name] for name in ALIASES}) for row in rows]
    return [(answer.probability, answer.label) for answer in package.predict(asked)]


def test_each_row_gets_what_predict_answers(package: ModelPackage, lake: Lake, tmp_path: Path) -> None:
    rows = flights(500)
    found = score(lake, package, write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")
    assert [(float(row["probability"]), row["decision"]) for row in scored] == predicted(package, rows)
    late = sum(row["decision"] == "late" for row in scored)
    assert found == Scored(500, late, 0)
    assert 0 < late < 500


def test_rows_keep_their_order_and_their_columns(package: ModelPackage, lake: Lake, tmp_path: Path) -> None:
    """More rows than are answered at once, read by several threads."""
    rows = flights(200) * 150
    lake = Lake(tmp_path / "lake", scratch=tmp_path / "scratch", threads=4)
    source = write(tmp_path / "in.csv", [{**row, "n": n} for n, row in enumerate(rows)])
    score(lake, package, source, tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")
    assert list(scored[0]) == [*rows[0], "n", *ADDED]
    assert [int(row["n"]) for row in scored] == list(range(len(rows)))
    assert [row["their id"] for row in scored] == [row["their id"] for row in rows]
    assert len({row["probability"] for row in scored[::200]}) == 1


def test_refused_rows_stay_with_their_problems(package: ModelPackage, lake: Lake, tmp_path: Path) -> None:
    rows = flights(6)
    rows[1] |= {"Fecha-I": "31/02/2017", "TIPOVUELO": "O"}
    rows[4]["Emp-I"] = ""
    found = score(lake, package, write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")
    assert (found.rows, found.refused) == (6, 2)
    assert [bool(row["problems"]) for row in scored] == [False, True, False, False, True, False]
    assert [row["probability"] == "" for row in scored] == [False, True, False, False, True, False]
    assert scored[1]["problems"] == (
        "Fecha-I: “31/02/2017” is not a timestamp such as 2017-01-31 23:30:00; TIPOVUELO: “O” is not one of I, N"
    )
    assert scored[4]["problems"] == "Emp-I: is empty, but the contract allows no null"
    assert scored[1]["Fecha-I"] == "31/02/2017"


def test_a_row_without_a_probability_is_refused(lake: Lake, tmp_path: Path) -> None:
    small.write(tmp_path / "p", **arithmetics.changes())
    package = ModelPackage.load(tmp_path / "p")
    rows = flights(4)
    for row, number in zip(rows, ("3", "1e300", "4", "-1e300"), strict=True):
        row |= {"Emp-I": "12", "Vlo-I": number}
    found = score(lake, package, write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")
    assert (found.rows, found.refused) == (4, 2)
    assert [row["decision"] for row in scored[::2]] == [label for _, label in predicted(package, rows[::2])]
    told = "the model has no probability for this request: a number is out of all range."
    assert [tuple(row[name] for name in ADDED) for row in scored[1::2]] == [("", "", told)] * 2


def test_texts_that_mean_null_are_null(package: ModelPackage, lake: Lake, tmp_path: Path) -> None:
    rows = flights(40)
    asked = predicted(package, [{**row, "Vlo-I": None} if n % 2 else row for n, row in enumerate(rows)])
    for row in rows[1::2]:
        row["Vlo-I"] = " not known "
    rows[0]["Emp-I"] = "?"
    source = write(tmp_path / "in.csv", rows)
    assert score(lake, package, source, tmp_path / "out.csv").refused == 21
    assert score(lake, package, source, tmp_path / "out.csv", nulls=["not known", "?"]).refused == 1
    scored = read(tmp_path / "out.csv")
    assert scored[0]["problems"] == "Emp-I: is empty, but the contract allows no null"
    assert [(float(row["probability"]), row["decision"]) for row in scored[1:]] == asked[1:]
    assert scored[1]["Vlo-I"] == " not known "


def test_damaged_rows_stay_too(package: ModelPackage, lake: Lake, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", flights(5))
    lines = source.read_text(encoding="utf-8").splitlines()
    lines[2] += ",one,too many"
    source.write_text("\n".join(lines), encoding="utf-8")
    found = score(lake, package, source, tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")
    assert (found.rows, found.refused) == (5, 1)
    assert scored[1]["problems"].endswith(lines[2])
    assert [bool(row["probability"]) for row in scored] == [True, False, True, True, True]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_every_format_in_gives_the_same_answers(
    package: ModelPackage, lake: Lake, tmp_path: Path, ending: str
) -> None:
    rows, source = flights(50), tmp_path / f"in.{ending}"
    if ending == "jsonl":
        source.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    elif ending == "parquet":
        text = write(tmp_path / "text.csv", rows)
        duckdb.connect().execute(f"copy (from '{text}') to '{source}' (format parquet)")
    else:
        write(source, rows, "\t" if ending == "tsv" else ",")
    score(lake, package, source, tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")
    assert [(float(row["probability"]), row["decision"]) for row in scored] == predicted(package, rows)


@pytest.mark.parametrize("ending", ["tsv", "parquet", "jsonl"])
def test_every_format_out_holds_the_same(
    package: ModelPackage, lake: Lake, tmp_path: Path, ending: str
) -> None:
    rows = flights(50)
    rows[7]["Emp-I"] = ""
    source = write(tmp_path / "in.csv", rows)
    out = tmp_path / f"out.{ending}"
    score(lake, package, source, tmp_path / "out.csv")
    score(lake, package, source, out)
    wanted = [{name: value or None for name, value in row.items()} for row in read(tmp_path / "out.csv")]
    relation = duckdb.connect().sql(f"select * from '{out}'")
    if ending == "tsv":
        assert out.read_text(encoding="utf-8").splitlines()[0].split("\t") == [*rows[0], *ADDED]
    else:
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        assert types["probability"] == "DOUBLE"
    found = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    for row, want in zip(found, wanted, strict=True):
        assert {name: row[name] or None for name in ("their id", "decision", "problems", "Emp-I")} == {
            name: want[name] for name in ("their id", "decision", "problems", "Emp-I")
        }
        assert row["probability"] == (float(want["probability"]) if want["probability"] else None)


def test_added_columns_step_aside_for_the_files_own(
    package: ModelPackage, lake: Lake, tmp_path: Path
) -> None:
    rows = [{**row, "Decision": "theirs"} for row in flights(3)]
    score(lake, package, write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    scored = read(tmp_path / "out.csv")[0]
    assert scored["Decision"] == "theirs"
    assert scored["relevo_decision"] in ("late", "on time")


def test_a_category_never_seen_and_a_null_are_answered(
    package: ModelPackage, lake: Lake, tmp_path: Path
) -> None:
    rows = flights(2)
    rows[0] |= {"Des-I": "ZZZZ", "Vlo-I": None}
    found = score(lake, package, write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    assert found.refused == 0
    assert float(read(tmp_path / "out.csv")[0]["probability"]) == predicted(package, rows)[0][0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("out.xlsx", "its ending is none of .csv, .tsv"),
        ("out", "its ending is none of"),
        ("absent/out.csv", "its folder does not exist"),
        ("in.csv", "would take the place of what is read"),
    ],
)
def test_where_it_cannot_be_written(
    package: ModelPackage, lake: Lake, tmp_path: Path, name: str, said: str
) -> None:
    source = write(tmp_path / "in.csv", flights(2))
    before = source.read_bytes()
    with pytest.raises(DataError, match=said):
        score(lake, package, source, tmp_path / name)
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"in.csv", "scratch"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("a,b\n1,2\n", "Emp-I"),
        (None, "in.csv"),
    ],
)
def test_what_cannot_be_scored(
    package: ModelPackage, lake: Lake, tmp_path: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "in.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        score(lake, package, tmp_path / "in.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_header_alone_gives_a_header_alone(package: ModelPackage, lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(",".join(ALIASES) + "\n")
    assert score(lake, package, tmp_path / "in.csv", tmp_path / "out.csv") == Scored(0, 0, 0)
    assert (tmp_path / "out.csv").read_text() == ",".join([*ALIASES, *ADDED]) + "\n"


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_full_disk_leaves_the_result_of_before(
    package: ModelPackage, lake: Lake, tmp_path: Path, ending: str
) -> None:
    import resource

    source, out = write(tmp_path / "in.csv", flights(3000)), tmp_path / f"out.{ending}"
    out.write_text("of before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))
    try:
        with pytest.raises(WorkspaceError, match="full"):
            score(lake, package, source, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_text() == "of before"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", out.name, "scratch"}


MEASURED = """
import sys
from pathlib import Path
from relevo import resources
from relevo.lake import Lake
from relevo.package import ModelPackage
from relevo.score import score
folder = Path(sys.argv[1])
lake = Lake(folder / "lake", scratch=folder / "scratch", memory_limit="256MB")
with resources.measure() as cost:
    print(score(lake, ModelPackage.load(folder / "package"), folder / "in.csv", folder / "out.csv").rows)
print(cost.peak_rss_bytes >> 20)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(package: ModelPackage, tmp_path: Path) -> None:
    small.write(tmp_path / "package")
    write(tmp_path / "in.csv", [{**row, "filler": "x" * 100} for row in flights(1000)])
    header, *lines = (tmp_path / "in.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    with (tmp_path / "in.csv").open("w", encoding="utf-8") as file:
        file.write(header)
        for _ in range(300):
            file.writelines(lines)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True
    )
    rows, mebibytes = map(int, done.stdout.split())
    assert rows == 300_000
    assert mebibytes < 400
    with (tmp_path / "out.csv").open(encoding="utf-8") as out:
        assert sum(1 for _ in out) == rows + 1


def test_the_sample_of_the_project_is_scored(original: Path, tmp_path: Path) -> None:
    """A file with more columns than the request, half a hundredth of its rows broken."""
    done = project.call(
        "score", original / "data" / "departures.csv", tmp_path / "o.csv", "-p", original, "--json"
    )
    found = done.document
    assert found["rows"] == project.ROWS
    assert 3 < found["refused"] < 15
    assert found["version"] == "1.0.0"
