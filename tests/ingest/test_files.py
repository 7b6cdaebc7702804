"""Files become raw rows: every cell as received, every file once, nothing lost."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import BaseModel, ConfigDict, Field

from relevo import contract as contracts
from relevo.errors import DataError
from relevo.ingest import ingest
from relevo.lake import Lake
from relevo.project import Table
from relevo.sources import Files

if TYPE_CHECKING:
    from relevo.records import Snapshot


class Flight(BaseModel):
    at: datetime = Field(alias="Fecha-I")
    airline: str = Field(alias="Emp-I")
    seats: int | None = Field(None, alias="Asientos")


CONTRACT = contracts.read(Flight)
GOOD = "Fecha-I,Emp-I\n2017-01-01 23:30:00,AAL\n2017-01-02 23:30:00,LAN\n"


class Place:
    """A project folder, its lake, and one table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = Lake(root / "lake", memory_limit="200MB", threads=2, scratch=root / "scratch")
        self.last: Snapshot | None = None

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ingest(
        self, pattern: str = "data/*.csv", model: type[BaseModel] = Flight, **options: Any
    ) -> Snapshot:
        table = Table("flights", model, Files(pattern, **options))
        self.last = ingest(table, contracts.read(model), self.lake, self.root, self.last)
        return self.last

    def rows(self, columns: str = '"Fecha-I", "Emp-I"') -> list[tuple[Any, ...]]:
        with self.lake.connect() as connection:
            self.lake.bind(connection, "raw/flights", as_="raw")
            return connection.execute(f"select {columns} from raw order by _source, _row").fetchall()

    def one(self, content: str | bytes, columns: str = '_row, "Fecha-I", "Emp-I"', **options: Any) -> Any:
        """Ingest one file and give its rows."""
        self.write("data/a.csv", content)
        self.ingest(**options)
        return self.rows(columns)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


ROWS = [(1, "2017-01-01 23:30:00", "AAL"), (2, "2017-01-02 23:30:00", "LAN")]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (GOOD, {}),
        ("\ufeff" + GOOD, {}),
        (GOOD.replace("\n", "\r\n"), {}),
        (GOOD.replace("\n", "\r"), {}),
        (GOOD.rstrip("\n"), {}),
        (GOOD.replace("\n", "\r\n", 2), {}),
        ("\n\n" + GOOD, {}),
        (GOOD.replace("\n", "\n\n"), {}),
        (GOOD.replace(",", ";"), {}),
        (GOOD.replace(",", "\t"), {}),
        (GOOD.replace(",", "|"), {}),
        (GOOD.replace(",", "~"), {"delimiter": "~"}),
        (GOOD.replace("Fecha-I,Emp-I", " fecha-i , EMP-I "), {}),
        (GOOD.replace("AAL", '"AAL"').replace("Fecha-I", '"Fecha-I"'), {}),
        (GOOD.replace("AAL", "'AAL'"), {"quote": "'"}),
        (GOOD.encode("utf-16"), {"encoding": "utf-16"}),
    ],
)
def test_dialects_of_csv_give_the_same_rows(
    place: Place, content: str | bytes, options: dict[str, Any]
) -> None:
    assert place.one(content, **options) == ROWS


def test_a_delimiter_is_the_one_under_which_the_header_names_most_columns(place: Place) -> None:
    content = "note, a;Fecha-I;Emp-I;x,y,z\n1;2017-01-01 23:30:00;AAL;2\n"
    assert place.one(content) == [(1, "2017-01-01 23:30:00", "AAL")]


def test_every_column_is_kept_as_the_text_it_was(place: Place) -> None:
    content = 'Fecha-I,Emp-I,Extra,,AÑO\n x ,"a ""b"" , c\nd", 007,"",\n,NULL,\'q,1e5,5" disk\n'
    columns = '"Fecha-I", "Emp-I", "Extra", "column4", "AÑO"'
    assert place.one(content, columns) == [
        (" x ", 'a "b" , c\nd', " 007", "", ""),
        ("", "NULL", "'q", "1e5", '5" disk'),
    ]


def test_where_a_row_came_from_stands_beside_it(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    found = place.ingest()
    ((name, digest),) = found.files
    assert name == "data/a.csv"
    columns = "_source, _batch, _file, _row, _ingested_at > timestamp '2020-01-01', _defect, _line"
    assert place.rows(columns) == [(name, name, digest, row, True, None, None) for row in (1, 2)]
    assert (found.table, found.rows, found.version, found.changed) == ("raw/flights", 2, 0, True)


def test_latin_1_is_read_when_declared_and_named_as_the_remedy_when_not(place: Place) -> None:
    content = GOOD.replace("LAN", "ESPAÑA").encode("latin-1")
    with pytest.raises(DataError) as caught:
        place.one(content)
    for part in ("data/a.csv, line 3", "0xD1", 'encoding="latin-1"'):
        assert part in str(caught.value)
    assert place.one(content, encoding="latin-1")[1] == (2, "2017-01-02 23:30:00", "ESPAÑA")


def test_bytes_that_are_not_of_the_encoding_are_named_also_far_down(place: Place) -> None:
    content = b"Fecha-I,Emp-I\n" + b"2017-01-01 23:30:00,AAL\n" * 100_000 + b"2017-01-01 23:30:00,\xff\xff\n"
    with pytest.raises(DataError, match="line 100002: 0xFF"):
        place.one(content)
    assert not place.lake.exists("raw/flights")


def test_utf_16_is_recognised_and_unknown_encodings_are_named(place: Place) -> None:
    with pytest.raises(DataError, match='encoding="utf-16"'):
        place.one(GOOD.encode("utf-16"))
    with pytest.raises(DataError, match="“latin1000”"):
        place.one(GOOD, encoding="latin1000")


@pytest.mark.parametrize(
    ("bad", "defect"),
    [
        ("only", "1 fields, the header has 2"),
        ("a,b,c", "3 fields, the header has 2"),
        ("   ", "1 fields, the header has 2"),
        ('"open,b', "a quote opens and does not close"),
        ('a,"b"c', "text follows a closing quote"),
    ],
)
def test_a_damaged_row_is_kept_with_its_text_and_moves_no_other(place: Place, bad: str, defect: str) -> None:
    content = f'Fecha-I,Emp-I\n1,A\n\n{bad}\n"2\n3",\n4,"D""d"\n'
    columns = '_row, "Fecha-I", "Emp-I", _defect, _line'
    assert place.one(content, columns) == [
        (1, "1", "A", None, None),
        (2, None, None, defect, bad),
        (3, "2\n3", "", None, None),
        (4, "4", 'D"d', None, None),
    ]


def test_an_open_quote_at_the_end_costs_one_row(place: Place) -> None:
    found = place.one('Fecha-I,Emp-I\n1,A\n2,"B\n3,C\n', '_row, "Emp-I", _line')
    assert found == [(1, "A", None), (2, None, '2,"B'), (3, "C", None)]


def test_quotes_escaped_by_another_character(place: Place) -> None:
    content = 'Fecha-I,Emp-I\n"a\\"b",\\x\n1\n'
    assert place.one(content, '"Fecha-I", "Emp-I", _line', escape="\\") == [
        ('a"b', "\\x", None),
        (None, None, "1"),
    ]


def test_row_numbers_are_right_in_a_large_file_with_and_without_damage(place: Place) -> None:
    ends = {0: "\n"}
    lines = [f'"{n}","{"x" * (n % 50)}{ends.get(n % 1000, "")}"' for n in range(1, 200_001)]
    place.write("data/a.csv", "\n".join(["Fecha-I,Emp-I", *lines]))
    place.write("data/b.csv", "\n".join(["Fecha-I,Emp-I", *lines[:-1], "broken"]))
    assert place.ingest().rows == 400_000
    check = 'count(*), count(distinct _row), count(*) filter (cast("Fecha-I" as bigint) <> _row), max(_row)'
    with place.lake.connect() as connection:
        place.lake.bind(connection, "raw/flights", as_="raw")
        found = connection.execute(
            f"select {check}, count(_defect) from raw group by _source order by _source"
        )
        assert found.fetchall() == [(200_000, 200_000, 0, 200_000, 0), (200_000, 200_000, 0, 200_000, 1)]


def test_a_file_that_is_empty_or_has_no_rows_is_refused(place: Place) -> None:
    for content in ("", "\n \n", "\ufeff"):
        with pytest.raises(DataError, match=r"data/a\.csv: it is empty"):
            place.one(content)
    with pytest.raises(DataError, match=r"data/a\.csv: there is a header but no row"):
        place.one("Fecha-I,Emp-I\n")
    place.write("data/b.csv", GOOD)
    assert place.ingest().rows == 2


def test_a_missing_column_is_named_before_any_row_is_written(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    place.write("data/b.csv", GOOD.replace("Emp-I", "Emp_I"))
    with pytest.raises(DataError, match=r"b\.csv: there is no column “Emp-I”.*Is “Emp_I” meant"):
        place.ingest()
    assert not place.lake.exists("raw/flights")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Fecha-I,Emp-I,x,X", "“X” stands twice"),
        ("Fecha-I,Emp-I,Emp-I", "“Emp-I” stands twice"),
        ("Fecha-I,Emp-I,_row", "“_row” has a name that Relevo uses"),
    ],
)
def test_headers_that_cannot_be_columns(place: Place, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        place.one(f"{header}\n1,2,3,4\n")


def test_no_file_and_a_folder_and_an_unknown_ending_are_said(place: Place) -> None:
    with pytest.raises(DataError, match=r"no file data/\*\.csv below"):
        place.ingest()
    place.write("data/a.xlsx", GOOD)
    with pytest.raises(DataError, match="is a folder"):
        place.ingest("data")
    with pytest.raises(DataError, match="ending does not say"):
        place.ingest("data/a.xlsx")
    assert place.ingest("data/a.xlsx", format="csv").rows == 2


def test_the_same_file_twice_adds_nothing(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    first = place.ingest()
    second = place.ingest()
    assert second == replace(first, changed=False)
    place.last = None
    assert place.ingest() == first  # as after a kill between the lake's commit and the ledger's
    place.write("data/copy.csv", GOOD)
    third = place.ingest()
    assert third == replace(first, changed=False)  # a copy, or another name, is no new data
    assert (third.rows, place.rows("_row")) == (2, [(1,), (2,)])


def test_a_changed_file_is_a_new_snapshot_and_old_rows_stay(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    first = place.ingest()
    place.write("data/a.csv", GOOD + "2017-01-03 00:00:00,SKU\n")
    second = place.ingest()
    assert (second.rows, second.version, second.id != first.id) == (3, 1, True)
    assert len(place.rows()) == 5
    place.write("data/a.csv", GOOD)
    assert place.ingest().id == first.id
    assert len(place.rows()) == 5


def test_files_with_other_columns_share_the_table(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    place.write("data/b.csv", "FECHA-I,Extra,Emp-I\n2017-01-03,7,SKU\n")
    place.ingest()
    assert place.rows('"Fecha-I", "Emp-I", "Extra"')[-1] == ("2017-01-03", "SKU", "7")


def test_reading_the_same_bytes_otherwise_gives_other_rows(place: Place) -> None:
    content = GOOD.replace("LAN", "ESPAÑA").encode("cp1252")
    place.write("data/a.csv", content)
    first = place.ingest(encoding="cp1251")
    second = place.ingest(encoding="cp1252")
    assert (second.id != first.id, second.rows) == (True, 2)
    assert [name for _, name in place.rows()[2:]] != [name for _, name in place.rows()[:2]]


def test_a_snapshot_has_the_same_id_wherever_the_project_lies(tmp_path: Path) -> None:
    found = set()
    for folder in ("one", "two"):
        place = Place(tmp_path / folder)
        path = place.write("data/a.csv", GOOD)
        found.add(place.ingest().id)
        found.add(
            ingest(Table("flights", Flight, Files(str(path))), CONTRACT, place.lake, place.root, None).id
        )
    outside = {
        ingest(
            Table("flights", Flight, Files(str(tmp_path / folder / "data" / "*.csv"))),
            CONTRACT,
            Lake(tmp_path / "lake", scratch=tmp_path),
            tmp_path / "elsewhere",
            None,
        ).id
        for folder in ("one", "two")
    }
    assert (len(found), len(outside)) == (1, 1)


def test_paths_with_characters_of_patterns(place: Place) -> None:
    root = place.root / "a [1] é"
    path = root / "data [x]*.csv"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    for pattern in (path.name, str(path), "data*.csv"):
        sizes: list[int] = []
        table = Table("flights", Flight, Files(pattern))
        found = ingest(table, CONTRACT, place.lake, root, None, received=sizes.append)
        assert (found.rows, found.files[0][0], sizes) == (2, path.name, [len(GOOD)])


def test_gzip_and_zstandard_are_unpacked(place: Place) -> None:
    damaged = GOOD + "x\n"
    place.write("data/a.csv.gz", gzip.compress(GOOD.encode()))
    place.write("data/b.csv.gz", gzip.compress(damaged.replace("AAL", "Ñ").encode()))
    place.write("data/c.csv.gz", gzip.compress(GOOD.replace("AAL", "Ñ").encode("latin-1")))
    assert place.ingest("data/[ab].csv.gz").rows == 5
    assert place.ingest("data/c.csv.gz", encoding="latin-1").rows == 2
    for name, content in (("d", GOOD.replace("LAN", "SKU")), ("e", damaged.replace("LAN", "SKU"))):
        plain = place.write(f"{name}.csv", content)
        duckdb.sql(
            f"copy (select * from read_csv('{plain}', header=false, columns={{'l': 'VARCHAR'}}, delim='~', quote='',"
            f" escape='', auto_detect=false)) to '{place.root}/data/{name}.csv.zst'"
            " (header false, delimiter '~', quote '', escape '', compression zstd)"
        )
    assert place.ingest("data/*.csv.zst").rows == 5
    place.write("data/f.csv.gz", gzip.compress(GOOD.encode() * 10_000)[:500])
    with pytest.raises(DataError, match="it is damaged"):
        place.ingest("data/f.csv.gz", encoding="latin-1")
    with pytest.raises(DataError, match=r"f\.csv\.gz"):
        place.ingest("data/f.csv.gz")


def test_json_lines_keep_the_spelling_of_numbers_and_tell_null_from_empty(place: Place) -> None:
    lines = [
        '{"Fecha-I": "2017-01-01", "Emp-I": "", "x": 1.50, "n": 12345678901234567890123}',
        "",
        '{"Emp-I": null, "y": {"a": [1, 2.5]}, "x": true, "Fecha-I": "ñ \\u00f1"}',
        "{broken",
        "[1, 2]",
        '{"Emp-I": NaN, "Fecha-I": "q\\"\\n,"}',
        '{"Emp-I": "\\ud800"}',
        "[" * 100_000,
    ]
    place.write("data/a.jsonl", "\n".join(lines))
    assert place.ingest("data/*.jsonl").rows == 7
    found = place.rows('_row, "Fecha-I", "Emp-I", x, n, y, _defect, left(_line, 10)')
    assert found[:2] == [
        (1, "2017-01-01", "", "1.50", "12345678901234567890123", None, None, None),
        (2, "ñ ñ", None, "true", None, '{"a": [1, 2.5]}', None, None),
    ]
    assert found[4][:3] == (5, 'q"\n,', "NaN")
    assert [row[0] for row in found if row[6]] == [3, 4, 6, 7]
    assert [row[7] for row in found if row[6]] == ["{broken", "[1, 2]", '{"Emp-I": ', "[" * 10]


def test_json_lines_without_a_required_key_or_any_object_are_refused(place: Place) -> None:
    place.write("data/a.jsonl", '{"Fecha-I": 1}\n')
    with pytest.raises(DataError, match="no column “Emp-I”"):
        place.ingest("data/a.jsonl")
    place.write("data/b.jsonl", "nothing\n")
    with pytest.raises(DataError, match="no JSON object"):
        place.ingest("data/b.jsonl")


def test_parquet_values_become_text_and_null_stays_null(place: Place) -> None:
    table = pa.table(
        {
            "Fecha-I": [datetime(2017, 1, 1, 23, 30), datetime(2017, 1, 1, 0, 0, 0, 500_000), None],
            "Emp-I": ["AAL", "", None],
            "Asientos": [1.0, 0.1, None],
            "d": [date(2017, 1, 1), None, None],
            "b": [True, False, None],
            "nested": [{"a": 1}, None, {"a": 2}],
        }
    )
    (place.root / "data").mkdir()
    parquet.write_table(table, place.root / "data/a.parquet")
    assert place.ingest("data/*.parquet").rows == 3
    assert place.rows('_row, "Fecha-I", "Emp-I", "Asientos", d, b, nested') == [
        (1, "2017-01-01 23:30:00", "AAL", "1.0", "2017-01-01", "true", '{"a":1}'),
        (2, "2017-01-01 00:00:00.5", "", "0.1", None, "false", None),
        (3, None, None, None, None, None, '{"a":2}'),
    ]
    place.write("data/b.parquet", b"PAR1 but not really")
    with pytest.raises(DataError, match=r"b\.parquet: it is not a readable parquet file"):
        place.ingest("data/b.parquet")


def test_other_columns_are_refused_where_the_contract_forbids_them(place: Place) -> None:
    class Strict(Flight):
        model_config = ConfigDict(extra="forbid")

    place.write("data/a.csv", "Fecha-I,Emp-I,gate\n1,2,3\n")
    with pytest.raises(DataError, match="gate"):
        place.ingest(model=Strict)


def test_a_line_without_end_is_refused(place: Place) -> None:
    with pytest.raises(DataError, match="line 2: it is longer than"):
        place.one(b"Fecha-I,Emp-I\n" + b"x" * 3_000_000 + b",1\n")


CHANGING = """
import sys
from pathlib import Path
from relevo import digest
from relevo.errors import DataError
from test_files import CONTRACT, Files, Flight, Lake, Table, ingest

root, path = Path(sys.argv[1]), Path(sys.argv[1]) / "data/a.csv"
of_file = digest.of_file


def of_file_then_change(found):  # the file grows right after its digest was taken
    result = of_file(found)
    with path.open("a") as file:
        file.write("2017-01-03 00:00:00,SKU\\n")
    return result


digest.of_file = of_file_then_change
lake = Lake(root / "lake", scratch=root / "scratch")
try:
    ingest(Table("flights", Flight, Files("data/a.csv")), CONTRACT, lake, root, None)
except DataError as error:
    print(error)
assert not lake.exists("raw/flights")
"""


def test_a_file_that_changes_while_it_is_read_adds_nothing(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    found = subprocess.run(
        [sys.executable, "-c", CHANGING, str(place.root)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert "it changed while it was read" in found.stdout


KILLED = """
import os, signal, sys
from pathlib import Path
from test_files import CONTRACT, Files, Flight, Lake, Table, ingest
from relevo import ingest as module

root = Path(sys.argv[1])
lake = Lake(root / "lake", scratch=root / "scratch")
append = lake.append


def append_then_die(*arguments, **options):
    append(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)


lake.append = append_then_die
ingest(Table("flights", Flight, Files("data/*.csv")), CONTRACT, lake, root, None)
"""


def test_killed_after_its_commit_and_run_again_nothing_is_doubled(place: Place) -> None:
    place.write("data/a.csv", GOOD)
    place.write("data/b.csv", GOOD.replace("LAN", "SKU"))
    for _ in range(2):  # dies after the first file, then after the second
        found = subprocess.run(
            [sys.executable, "-c", KILLED, str(place.root)], check=False, cwd=Path(__file__).parent
        )
        assert found.returncode == -9
    assert place.ingest().rows == 4
    assert len(place.rows()) == 4


def test_nothing_is_left_in_the_scratch_folder(place: Place) -> None:
    place.write("data/a.csv", GOOD.encode("utf-16"))
    place.ingest(encoding="utf-16")
    left = [path for path in (place.root / "scratch").rglob("*") if path.is_file()]
    assert left == []


class Named(Flight):
    """A flight, and the file that it stands in."""

    file: str


def test_the_name_of_the_file_may_be_a_column(place: Place) -> None:
    """Equal files of two names are two, since the name says something; one without an own column has its."""
    place.write("data/late.csv", GOOD)
    place.write("data/on_time.csv", GOOD)
    snapshot = place.ingest(model=Named, origin="file")
    assert snapshot.rows == 4
    connection = place.lake.connect()
    place.lake.bind(connection, "raw/flights", as_="raw")
    found = connection.execute("select file, count(*), count(distinct _file) from raw group by 1 order by 1")
    assert found.fetchall() == [("late.csv", 2, 1), ("on_time.csv", 2, 1)]
    connection.close()
    assert not place.ingest(model=Named, origin="file").changed


def test_a_renamed_file_is_another_where_its_name_counts(place: Place) -> None:
    path = place.write("data/late.csv", GOOD)
    first = place.ingest(model=Named, origin="file")
    path.rename(path.with_name("early.csv"))
    second = place.ingest(model=Named, origin="file")
    assert second.id != first.id
    assert second.rows == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "Fecha-I,Emp-I,FILE\n2017-01-01 23:30:00,AAL,x\n"),
        ("a.jsonl", '{"Fecha-I": "2017-01-01 23:30:00", "Emp-I": "AAL", "file": "x"}\n'),
    ],
)
def test_a_file_with_such_a_column_of_its_own_is_refused(place: Place, name: str, content: str) -> None:
    place.write(f"data/{name}", content)
    with pytest.raises(DataError, match=r"has a column “file” of its own"):
        place.ingest(f"data/{name}", model=Named, origin="file")


@pytest.mark.skipif("RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA names no folder with data")
def test_the_real_departures_are_all_there(place: Place) -> None:
    source = Path(os.environ["RELEVO_TEST_DATA"]) / "flights" / "dataset_SCL.csv"
    (place.root / "data").mkdir()
    shutil.copy(source, place.root / "data" / "scl.csv")
    assert place.ingest().rows == 61_849
