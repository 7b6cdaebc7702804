"""A project from a file: what is found in it, what is written, and that it loads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from relevo import Files, GroupSplit, RepeatedStratifiedSplit, StratifiedSplit, TimeSplit, examples
from relevo.errors import DataError, ProjectError, RelevoError, WorkspaceError
from relevo.scaffold import new
from relevo.texts import speaking
from support import bare, tables

if TYPE_CHECKING:
    from pathlib import Path


class TestTarget:
    """Two values in any spelling are an outcome; anything else is for a person to decide."""

    @pytest.mark.parametrize(
        ("yes", "no", "labels"),
        [
            ("yes", "no", ("yes", "no")),
            ("si", "no", ("si", "no")),
            ("Sí", "No", ("Sí", "No")),
            ("1", "0", ("yes", "no")),
            ("1.0", "0.0", ("yes", "no")),
            ("true", "false", ("yes", "no")),
            ("T", "F", ("yes", "no")),
            (" s ", "n", ("s", "n")),
            ("churned", "kept", ("churned", "kept")),
        ],
    )
    def test_two_values(self, tmp_path: Path, yes: str, no: str, labels: tuple[str, str]) -> None:
        rows = tables.customers(400)
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "left"],
            lambda row: [*tables.basics(row), yes if row["leaves"] else no],
            rows=rows,
        )
        target = None if yes != "churned" else "churned"
        found, definition = tables.made(source, positive=target)
        assert found.outcome.positives == sum(row["leaves"] for row in rows)
        assert found.outcome.positives + found.outcome.negatives == 400
        assert (definition.project.target.positive, definition.project.target.negative) == labels

    def test_capitals_accents_and_blanks_do_not_count(self, tmp_path: Path) -> None:
        said = {True: ["Si", " sí ", "SI"], False: ["no", "No "]}
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "left"],
            lambda row: [*tables.basics(row), said[row["leaves"]][row["number"] % 2]],
        )
        found, _ = tables.made(source)
        assert found.outcome.positives == sum(row["leaves"] for row in tables.customers())
        assert found.outcome.unlabelled == 0

    def test_of_two_unknown_values_the_rarer_is_the_yes(self, tmp_path: Path) -> None:
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "state"],
            lambda row: [*tables.basics(row), 2 if row["age"] > 70 else 1],
        )
        found, definition = tables.made(source, "state")
        assert definition.project.target.expression == "state = 2"
        assert "rarer" in found.outcome.why

    def test_a_row_without_outcome_is_not_learned_from(self, tmp_path: Path) -> None:
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "left"],
            lambda row: [*tables.basics(row), "" if row["number"] % 10 == 0 else int(row["leaves"])],
        )
        found, definition = tables.made(source)
        assert found.outcome.unlabelled == 60
        assert definition.contracts["rows"]["left"].nullable

    def test_more_values_are_for_a_person_to_decide(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv")
        with pytest.raises(DataError, match=r"has 3 values: .*--positive.*or a condition such as --target"):
            new(tmp_path / "p", source, "plan")
        with pytest.raises(DataError, match=r"some .* values.*--target 'income > "):
            new(tmp_path / "p", source, "income")
        found, definition = tables.made(source, "plan", positive="PRO")
        assert definition.project.target.expression == "plan = 'pro'"
        assert (found.outcome.positive, found.outcome.negative) == ("pro", "not pro")

    def test_a_condition_takes_its_columns_out_of_the_request(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv")
        found, definition = tables.made(source, "\"Income\" > 1000 and city <> 'Lima'")
        assert definition.project.target.expression == "income > 1000 and city <> 'Lima'"
        assert definition.request.names == ("age", "plan", "left")
        assert found.outcome.positives > 100

    @pytest.mark.parametrize(
        ("target", "options", "error"),
        [
            ("lefd", {}, "no column “lefd”. Did you mean “left”"),
            ("gone away", {}, "no column “gone away”.*A person must say what is to be predicted"),
            ("age + 1", {}, "the expression is integer, not boolean"),
            ("age > income >", {}, "syntax error"),
            ("age > 100000", {}, "is false in all 600 rows"),
            ("missing > 3", {}, "no column “missing”"),
            ("left", {"positive": "maybe"}, r"“maybe” is no value of “left”. Its values are: "),
            ("age > 50", {"positive": "yes"}, "--positive: it goes with a column"),
        ],
    )
    def test_what_cannot_be_a_target_says_so(
        self, tmp_path: Path, target: str, options: dict[str, Any], error: str
    ) -> None:
        source = tables.plain(tmp_path / "rows.csv")
        with pytest.raises((DataError, ProjectError), match=error):
            new(tmp_path / "p", source, target, **options)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]

    def test_a_constant_and_an_empty_column_are_no_outcome(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv", land=lambda _: "CL", note=lambda _: " ")
        with pytest.raises(DataError, match="is “CL” in all 600 rows"):
            new(tmp_path / "p", source, "land")
        with pytest.raises(DataError, match="has no value in any row"):
            new(tmp_path / "p", source, "note")


class TestContract:
    """Types, nulls, ranges, lists and names."""

    def test_each_type_with_its_rules(self, tmp_path: Path) -> None:
        source = tables.plain(
            tmp_path / "rows.csv",
            zip_code=lambda row: f"{row['number'] % 90:05d}",
            share=lambda row: round(row["random"], 4),
            balance=lambda row: round(100 * row["random"] - 40, 3),
            member=lambda row: row["number"] % 3 == 0,
            born=lambda row: f"19{50 + row['number'] % 40}-03-09",
            wing=lambda row: "AB"[row["number"] % 2] + "CDE"[row["number"] % 3],
        )
        _, definition = tables.made(source)
        fields = definition.request
        kinds = {name: fields[name].type for name in fields.names}
        assert kinds == {
            "age": "integer",
            "income": "double",
            "city": "text",
            "plan": "text",
            "zip_code": "text",
            "share": "double",
            "balance": "double",
            "member": "boolean",
            "born": "date",
            "wing": "text",
        }
        assert (fields["age"].ge, fields["age"].le) == (0, 120)
        assert (fields["share"].ge, fields["share"].le) == (0, 1)
        low, high = fields["balance"].ge, fields["balance"].le
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        assert -150 < low < -100 < 100 < high < 200
        assert fields["zip_code"].pattern == "^[0-9]{5}$"
        assert fields["city"].choices == ("La Paz", "Lima", "Quito", "Santiago")
        assert not any(fields[name].nullable for name in fields.names)

    def test_what_means_null_and_what_does_not(self, tmp_path: Path) -> None:
        source = tables.plain(
            tmp_path / "rows.csv",
            weight=lambda row: "?" if row["number"] % 4 == 0 else row["age"] + 20.5,
            height=lambda row: "sin dato" if row["number"] % 5 == 0 else round(row["random"] * 100, 2),
            result=lambda row: ["None", "high", "N/A"][row["number"] % 3],
        )
        found, definition = tables.made(source)
        assert definition.project.main_table.nulls == ["?", "N/A", "sin dato"]
        assert [definition.request[name].type for name in ("weight", "height")] == ["double", "double"]
        assert definition.request["result"].choices == ("None", "high")
        assert definition.request["result"].nullable
        assert found.kept_words[0].startswith("“None” in result (33% of the rows) is taken for a value")

    def test_headers_become_names(self, tmp_path: Path) -> None:
        headers = [
            "Año",
            "2nd place",
            "class",
            "date",
            "order",
            "Fecha-I",
            "fecha i",
            "from",
            "",
            "copy",
            "sí?",
        ]
        source = tables.write(
            tmp_path / "rows.csv",
            [*headers, "left"],
            lambda row: [
                *[round((row["age"] + n) * row["random"], n % 4) for n in range(11)],
                int(row["leaves"]),
            ],
        )
        found, definition = tables.made(source)
        assert definition.request.names == (
            "ano", "n2nd_place", "class_", "date_", "order", "fecha_i", "fecha_i_2", "from_", "column9", "copy_", "si",
        )  # fmt: skip
        assert [field.alias for field in definition.request.fields][:3] == ["Año", "2nd place", "class"]
        assert len(definition.plan.features) == len(found.columns)

    def test_a_value_out_of_place_goes_to_quarantine_and_a_code_stays_text(self, tmp_path: Path) -> None:
        source = tables.plain(
            tmp_path / "rows.csv",
            amount=lambda row: "much" if row["number"] == 77 else round(row["random"] * 1000),
            flight=lambda row: "989P" if row["number"] == 77 else 100 + row["number"] % 50,
        )
        _, definition = tables.made(source)
        assert (definition.request["amount"].type, definition.request["flight"].type) == ("integer", "text")
        assert "1 rows hold something else, such as “much”" in (
            tmp_path / "made_rows" / "project.py"
        ).read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("cell", "kind", "value"),
        [
            (lambda row: f"{row['income']:.1f}".replace(".", ","), "double", "replace(x, ',', '.')"),
            (lambda row: f"{row['income']:,.2f}", "double", "replace(x, ',', '')"),
            (lambda row: f"{row['random']:.2%}", "double", "replace(x, '%', '')"),
            (lambda row: f"{row['at']:%d/%m/%Y}", "integer", "as date))"),
            (lambda row: f"{row['at']:%m/%d/%Y %H:%M}", "integer", "as timestamp))"),
            (lambda row: f"{row['at']:%Y-%m-%dT%H:%M:%SZ}", "integer", "as timestamp))"),
        ],
    )
    def test_what_no_contract_casts_is_read_in_sql(
        self, tmp_path: Path, cell: Any, kind: str, value: str
    ) -> None:
        _, definition = tables.made(tables.plain(tmp_path / "rows.csv", x=cell))
        features = [feature for feature in definition.plan.features if feature.name.startswith("x")]
        assert definition.request["x"].type == "text"
        assert definition.request["x"].pattern is not None
        assert {feature.type for feature in features} == {kind}
        assert value in (tmp_path / "made_rows" / "features.sql").read_text(encoding="utf-8")


class TestSuspects:
    """What gives the outcome away, or says nothing, is left out with its figures."""

    def test_leaks_ids_and_constants(self, tmp_path: Path) -> None:
        source = tables.plain(
            tmp_path / "rows.csv",
            row=lambda row: row["number"] + 1,
            contract_id=lambda row: f"K{(row['number'] * 7919) % 1_000_003}",
            land=lambda _: "CL",
            refund=lambda row: round(row["random"] + (0.98 if row["leaves"] else 0), 3),
            last_rating=lambda row: "" if row["leaves"] else row["number"] % 5,
            status=lambda row: "closed" if row["leaves"] else "open",
            notes=lambda row: f"the client {row['number']} called and said so many things {row['random']}",
        )
        found, definition = tables.made(source)
        reasons = tables.left_out(found)
        assert definition.request.names == tables.HEADER
        assert reasons["row"].startswith("it only ever grows")
        assert reasons["contract_id"].startswith("every row has a value of its own")
        assert reasons["land"] == "it is “CL” in every row"
        assert reasons["refund"].startswith("alone it tells the outcome with a ROC-AUC of 0.99")
        assert reasons["last_rating"].startswith("it is filled for “no” and empty for “yes” in 100.0%")
        assert reasons["status"].startswith("alone it tells the outcome with a ROC-AUC of 1.0000")
        assert reasons["notes"]
        written = (tmp_path / "made_rows" / "project.py").read_text(encoding="utf-8")
        assert "    # refund: float = Field(ge=0, le=4, examples=" in written

    def test_one_left_out_comes_back_by_removing_the_marks(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv", refund=lambda row: row["random"] + 2 * row["leaves"])
        tables.made(source)
        for file, mark in (("project.py", "    # refund:"), ("features.sql", "    -- refund,")):
            path = tmp_path / "made_rows" / file
            text = path.read_text(encoding="utf-8")
            assert text.count(mark) == 1
            path.write_text(text.replace(mark, "    " + mark.split()[-1]), encoding="utf-8")
        from relevo.definition import load

        assert "refund" in load(tmp_path / "made_rows").request.names

    def test_a_strong_honest_column_stays_with_a_word_of_warning(self, tmp_path: Path) -> None:
        source = tables.plain(
            tmp_path / "rows.csv",
            strong=lambda row: round(row["random"] + (0.75 if row["leaves"] else 0), 3),
        )
        found, definition = tables.made(source)
        assert "strong" in definition.request.names
        assert [(item.column.name, item.soft) for item in found.left] == [("strong", True)]

    def test_a_mark_or_nothing_is_a_feature(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv", vip=lambda row: "x" if row["number"] % 3 else "")
        _, definition = tables.made(source)
        assert [f.type for f in definition.plan.features if f.name == "vip"] == ["boolean"]

    def test_the_parts_of_a_moment_that_is_known_afterwards(self, tmp_path: Path) -> None:
        from datetime import timedelta

        def after(row: tables.Row) -> Any:
            return row["at"] + timedelta(hours=40 * row["random"])

        source = tables.write(
            tmp_path / "rows.csv",
            ["Fecha-I", "Des-I", "Fecha-O", "Des-O", "DIA", "age"],
            lambda row: [row["at"], row["city"], after(row), row["plan"], after(row).day, row["age"]],
            rows=tables.customers(2000),
        )
        found, definition = tables.made(source, 'date_diff(\'hour\', "Fecha-I", "Fecha-O") > 20')
        reasons = tables.left_out(found)
        assert definition.request.names == ("fecha_i", "des_i", "age")
        assert definition.project.main_table.event_time == "fecha_i"
        assert reasons["Des-O"].startswith("it is named as “Fecha-O” is")
        assert reasons["DIA"].startswith("it is the day of “Fecha-O”")


class TestSplit:
    """By time where a column says when, by group where rows belong together, else at random."""

    def test_by_time(self, tmp_path: Path) -> None:
        source = tables.plain(
            tmp_path / "rows.csv",
            birth_date=lambda row: f"19{50 + row['number'] % 40}-03-09",
            order_id=lambda row: 1000 + row["number"] // 2,
            signed_at=lambda row: f"{row['at']:%Y-%m-%d %H:%M:%S}",
        )
        found, definition = tables.made(source)
        split = definition.project.split
        assert isinstance(split, TimeSplit)
        assert split.test == "36d"  # a fifth of 600 rows, seven hours apart
        assert definition.project.main_table.event_time == "signed_at"
        assert "the newest 36d (21% of the rows" in found.cut.why[0]
        assert tables.left_out(found)["order_id"].startswith("only 0% of the newest rows")
        assert "birth_date_days_before" in {feature.name for feature in definition.plan.features}

    def test_by_group(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv", patient_nbr=lambda row: 1000 + row["number"] % 200)
        found, definition = tables.made(source)
        assert definition.project.split == GroupSplit("patient_nbr")
        assert "patient_nbr" not in definition.request
        assert "patient_nbr" in definition.contracts["rows"]
        assert found.cut.why[0].startswith("200 values of “patient_nbr” stand in 600 rows")

    def test_at_random(self, tmp_path: Path) -> None:
        _, definition = tables.made(tables.plain(tmp_path / "rows.csv"))
        assert definition.project.split == StratifiedSplit()
        assert definition.project.main_table.event_time is None

    def test_a_time_whose_end_lacks_a_class_is_not_split_by(self, tmp_path: Path) -> None:
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "signed", "left"],
            lambda row: [*tables.basics(row), row["at"], int(row["leaves"] and row["number"] < 300)],
        )
        found, definition = tables.made(source)
        assert isinstance(definition.project.split, RepeatedStratifiedSplit)
        assert "no newest part of it has enough of both outcomes" in found.cut.why[0]

    def test_few_rows_get_fewer_folds_and_too_few_a_refusal(self, tmp_path: Path) -> None:
        source = tables.write(
            tmp_path / "rows.csv",
            ["age", "left"],
            lambda row: [row["age"] + row["random"], int(row["number"] % 10 == 0)],
            rows=tables.customers(40),
        )
        found, definition = tables.made(source)
        assert definition.project.split.folds < 5
        assert any("only 4 rows of the rarer outcome" in why for why in found.cut.why)
        source = tables.write(
            tmp_path / "five.csv",
            ["a", "y"],
            lambda row: [row["age"], row["number"] % 2],
            rows=tables.customers(5),
        )
        with pytest.raises(DataError, match="Only 2 of 5 rows have the rarer outcome: too few"):
            new(tmp_path / "p", source, "y")

    def test_rare_outcomes_are_ranked(self, tmp_path: Path) -> None:
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "left"],
            lambda row: [*tables.basics(row), int(row["number"] % 40 == 0)],
        )
        _, definition = tables.made(source)
        assert definition.project.metric == "pr_auc"


class TestFiles:
    """Files of every kind, and odd ones."""

    def test_semicolons_decimal_commas_latin_1_and_blanks(self, tmp_path: Path) -> None:
        source = tables.write(
            tmp_path / "rows.csv",
            [" Edad ", " Ingreso; mensual", "Ciudad ", "¿Se fué?"],
            lambda row: [
                f" {row['age']} ",
                f"{row['income']:.2f}".replace(".", ","),
                f"{row['city']} ",
                row["leaves"],
            ],
            delimiter=";",
            encoding="latin-1",
        )
        _, definition = tables.made(source, "¿se fué?")
        read = definition.project.main_table.source
        assert isinstance(read, Files)
        assert (read.delimiter, read.encoding) == (";", "latin-1")
        assert definition.request.names == ("edad", "ingreso_mensual", "ciudad")
        assert definition.request["edad"].type == "integer"

    @pytest.mark.parametrize(
        ("name", "delimiter"), [("rows.tsv", "\t"), ("rows.csv", "|"), ("rows.data", ",")]
    )
    def test_other_delimiters_and_endings(self, tmp_path: Path, name: str, delimiter: str) -> None:
        source = tables.write(
            tmp_path / name,
            [*tables.HEADER, "left"],
            lambda row: [*tables.basics(row), int(row["leaves"])],
            delimiter=delimiter,
        )
        found, _ = tables.made(source)
        assert (found.opened.rows, len(found.columns)) == (600, 4)

    def test_parquet_and_json_lines(self, tmp_path: Path) -> None:
        import duckdb

        source = tables.plain(tmp_path / "rows.csv")
        parquet = tmp_path / "rows2.parquet"
        duckdb.execute(f"copy (from '{source}') to '{parquet}'")
        lines = tmp_path / "rows3.jsonl"
        duckdb.execute(f"copy (from '{source}') to '{lines}' (format json)")
        whole = tables.made(source)[1].request
        for other in (parquet, lines):
            _, definition = tables.made(other)
            assert definition.request == whole

    @pytest.mark.parametrize(
        ("name", "content", "error"),
        [
            ("empty.csv", b"", "it is empty"),
            ("header.csv", b"a,b,left\n", "there is a header but no row"),
            ("one.csv", b"left\n1\n0\n", "only one column was found, “left”"),
            ("excel.csv", b"sep=;\r\na;left\r\n1;1\r\n", "line 1 is Excel's “sep=;” and no header"),
            ("marked.csv", b'\xef\xbb\xbf"sep=,"\na,left\n1,1\n', "line 1 is Excel's “sep=,” and no header"),
            ("twice.csv", b"a,A,left\n1,2,3\n", "stands twice in the header"),
            ("reserved.csv", b"_row,b,left\n1,2,3\n", "Relevo uses itself"),
            ("book.csv", b"PK\x03\x04" + bytes(range(200)), r"not a text file \(Excel/zip\)"),
            ("junk.csv", bytes(range(256)) * 20, "it is not a text file"),
            ("list.json", b'[{"a": 1}]', "it is one JSON array"),
            ("damaged.csv", b"a,b,left\n1,2,1\n1,2\n1,2,3,4\n", "2 of 3 rows are damaged, first row 2"),
            ("broken.parquet", b"PAR1 and nothing more", "not a readable parquet file"),
        ],
    )
    def test_odd_files_are_refused_with_the_reason(
        self, tmp_path: Path, name: str, content: bytes, error: str
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RelevoError, match=error):
            new(tmp_path / "p", tmp_path / name, "left")
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_a_header_of_several_lines(self, tmp_path: Path, end: str) -> None:
        """DuckDB alone would read no row below it."""
        source = tables.write(
            tmp_path / "rows.csv",
            ["age", f"kind of{end}customer", "left"],
            lambda row: [row["age"], row["plan"], int(row["leaves"])],
        )
        found, definition = tables.made(source)
        assert (found.opened.rows, found.opened.damaged) == (600, 0)
        assert definition.request.names == ("age", "kind_of_customer")
        lake, clean = bare.cleaned(definition, tmp_path)
        assert examples.make(definition, lake, clean).rows == 600

    def test_a_file_or_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="There is no file"):
            new(tmp_path / "p", tmp_path / "absent.csv", "left")
        with pytest.raises(DataError, match="is a folder"):
            new(tmp_path / "p", tmp_path, "left")

    def test_nothing_left_to_learn_from(self, tmp_path: Path) -> None:
        source = tables.write(tmp_path / "rows.csv", ["land", "left"], lambda row: ["CL", int(row["leaves"])])
        with pytest.raises(
            DataError, match=r"No column is left to learn from\. “land”: it is “CL” in every row"
        ):
            new(tmp_path / "p", source, "left")


class TestFolder:
    """What is written, where, and that it is all or nothing."""

    def test_an_existing_folder_is_never_touched(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv")
        (tmp_path / "p").mkdir()
        with pytest.raises(WorkspaceError, match="is there already; nothing was written"):
            new(tmp_path / "p", source, "left")
        assert list((tmp_path / "p").iterdir()) == []

    @pytest.mark.parametrize("name", ["p[1]", "back\\slash", "50%"])
    def test_a_folder_whose_lake_could_not_be_is_refused_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        source = tables.plain(tmp_path / "rows.csv")
        with pytest.raises(WorkspaceError, match=r"which Delta tables cannot.*RELEVO_WORKSPACE"):
            new(tmp_path / name, source, "left")
        assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
        monkeypatch.setenv("RELEVO_WORKSPACE", str(tmp_path / "elsewhere"))
        new(tmp_path / name, source, "left")
        assert (tmp_path / name / "project.py").is_file()

    def test_the_files(self, tmp_path: Path) -> None:
        tables.made(tables.plain(tmp_path / "rows.csv"))
        folder = tmp_path / "made_rows"
        assert sorted(path.name for path in folder.iterdir()) == [
            ".gitignore",
            "README.md",
            "cases.csv",
            "features.sql",
            "project.py",
        ]
        assert (folder / "cases.csv").read_text(encoding="utf-8") == "name,age,income,city,plan,expected\n"
        assert (folder / ".gitignore").read_text(encoding="utf-8") == ".relevo/\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["made_rows", "rows.csv"]

    def test_where_the_file_is_read_from(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = tables.plain(tmp_path / "rows.csv")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path)
        _, definition = tables.made(source)
        source_named = definition.project.main_table.source
        assert isinstance(source_named, Files)
        assert source_named.pattern == "../rows.csv"
        monkeypatch.chdir(tmp_path / "here")
        new(tmp_path / "here" / "q", source, "left")
        assert str(source) in (tmp_path / "here" / "q" / "project.py").read_text(encoding="utf-8")
        new(tmp_path / "here" / "r", source, "left", copy=True)
        assert (tmp_path / "here" / "r" / "data" / "rows.csv").read_bytes() == source.read_bytes()
        assert 'Files("data/rows.csv")' in (tmp_path / "here" / "r" / "project.py").read_text(
            encoding="utf-8"
        )

    def test_in_spanish(self, tmp_path: Path) -> None:
        source = tables.plain(tmp_path / "rows.csv", land=lambda _: "CL")
        with speaking("es"):
            found, definition = tables.made(source)
        text = (tmp_path / "made_rows" / "project.py").read_text(encoding="utf-8")
        assert '"""La solicitud: lo que se sabe cuando se hace la pregunta."""' in text
        assert "# Fuera: es “CL” en todas las filas." in text
        assert (definition.project.target.positive, definition.project.target.negative) == ("sí", "no")
        assert found.columns[0].name == "age"

    def test_hostile_texts_stay_texts(self, tmp_path: Path) -> None:
        nasty = ['"""\nimport os\n"""', "it's \\ {x} “q”", "a\rb"]
        source = tables.write(
            tmp_path / "rows.csv",
            [*tables.HEADER, "col\"'\\{y}", "left"],
            lambda row: [*tables.basics(row), nasty[row["number"] % 3], nasty[row["leaves"]]],
        )
        found, definition = tables.made(source, positive=nasty[0])
        assert definition.project.target.positive == nasty[0]
        assert len(found.columns) == 5


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    from relevo.scaffold import report

    source = tables.plain(tmp_path / "rows.csv", land=lambda _: "CL")
    said = json.loads(json.dumps(report(new(tmp_path / "p", source, "left"))))
    assert said["rows"] == 600
    assert said["left_out"] == [{"column": "land", "reason": "it is “CL” in every row"}]
    assert said["look_at"] == []
    assert said["next"] == f"relevo run {tmp_path / 'p'}"
    assert [field["name"] for field in said["fields"]] == list(tables.HEADER)
