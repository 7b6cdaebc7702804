"""The compiled function: look-ups, failures, speed, and trees that must not run."""

import copy
import json
import math
import subprocess
import sys
import timeit
import tracemalloc
from datetime import date, datetime
from typing import Any

import duckdb
import pytest

from relevo import online
from relevo.errors import PackageError
from relevo.online import FeatureError, compile_tree, runtime
from relevo.online.operators import OPERATORS
from relevo.online.tree import LONGEST_TEXT
from relevo.sql import Column, LookupTable, compile_features
from relevo.sql.operators import OPERATORS as SQL_OPERATORS

REQUEST = (Column("at", "timestamp"), Column("airline", "text"), Column("n", "integer"))
HOLIDAYS = LookupTable("holidays", ("day",), (Column("day", "date"), Column("name", "text")))
ROUTES = LookupTable(
    "routes", ("airline", "n"), (Column("airline", "text"), Column("n", "integer"), Column("km", "double"))
)
JOINED = "from request left join holidays h on h.day = at::date"
FLIGHTS = """select airline, n, hour(at) as hour, isodow(at) as weekday, month(at) as month,
    case when hour between 5 and 11 then 'morning'
         when hour between 12 and 18 then 'afternoon' else 'night' end as period,
    h.day is not null as holiday, coalesce(h.name, 'none') as name, dayofyear(at) as day, upper(left(airline,
    2)) as prefix
    from request left join holidays h on h.day = cast(at as date)"""
ROW = {"at": datetime(2024, 9, 18, 13, 5), "airline": "LAN", "n": 174}


def tree(text: str, *tables: LookupTable) -> dict[str, Any]:
    """The tree as a manifest holds it: through JSON."""
    plan = compile_features(text, request=REQUEST, lookups=tables)
    loaded: dict[str, Any] = json.loads(json.dumps(plan.tree))
    return loaded


def test_both_tables_of_operators_have_the_same_signatures() -> None:
    assert {name: (o.arguments, o.result) for name, o in OPERATORS.items()} == {
        name: (o.arguments, o.result) for name, o in SQL_OPERATORS.items()
    }


def test_lookups_hit_miss_and_null_key() -> None:
    """On a miss all columns of the look-up are null, its key's too; so with a null key."""
    features = compile_tree(tree(f"select h.day is not null as hit, h.name as name {JOINED}", HOLIDAYS))
    assert features.lookups == (("holidays", ("day",), ("name",)),)
    rows: dict[str, Any] = {"holidays": {date(2024, 9, 18): ("Fiestas",), date(2024, 9, 19): (None,)}}
    assert features(ROW, rows) == (True, "Fiestas")
    assert features({**ROW, "at": datetime(2024, 9, 19)}, rows) == (True, None)
    assert features({**ROW, "at": datetime(2024, 9, 20)}, rows) == (False, None)
    assert features({**ROW, "at": None}, rows) == (False, None)


def test_lookups_by_several_columns_agree_with_duckdb() -> None:
    """A key of two columns is a tuple; half of it null is a miss."""
    text = (
        "select r.km as km, r.n as found from request"
        " left join routes r on r.airline = upper(request.airline) and r.n = request.n + 1"
    )
    plan = compile_features(text, request=REQUEST, lookups=[ROUTES])
    features = compile_tree(plan.tree)
    rows = [("lan", 1), ("LAN", 2), (None, 1), ("lan", None), ("x", 1)]
    connection = duckdb.connect()
    connection.execute('CREATE TABLE request (row INT, "at" TIMESTAMP, airline VARCHAR, n BIGINT)')
    connection.executemany(
        "INSERT INTO request VALUES (?, NULL, ?, ?)", [[i, *row] for i, row in enumerate(rows)]
    )
    connection.execute("CREATE TABLE routes AS SELECT 'LAN' AS airline, 2::BIGINT AS n, 9.5::DOUBLE AS km")
    expected = connection.execute(f"{plan.batch_sql(['row'])} ORDER BY 1").fetchall()
    got = [features({"at": None, "airline": a, "n": n}, {"routes": {("LAN", 2): (9.5,)}}) for a, n in rows]
    assert got == [row[1:] for row in expected]
    assert got[0] == (9.5, 2)


def test_a_join_that_fails_fails_the_row_even_when_unused() -> None:
    features = compile_tree(
        tree(
            "select request.n as n from request"
            " left join routes r on r.airline = request.airline and r.n = 5 % request.n",
            ROUTES,
        )
    )
    with pytest.raises(FeatureError, match="cannot be read or looked up"):
        features({**ROW, "n": 0}, {"routes": {}})


def test_failures_name_the_feature() -> None:
    """FeatureError is a ValueError with the feature and the reason."""
    features = compile_tree(tree("select n + 1 as more, 5 % n as rest from request"))
    with pytest.raises(FeatureError, match=r"The feature rest has no value: ZeroDivisionError"):
        features({**ROW, "n": 0}, {})
    with pytest.raises(FeatureError, match=r"The feature more has no value: OverflowError"):
        features({**ROW, "n": 2**63 - 1}, {})
    with pytest.raises(FeatureError, match="cannot be read"):
        features({**ROW, "n": 2**63}, {})
    with pytest.raises(FeatureError, match="cannot be read"):
        features({"at": None}, {})


def test_dates_beyond_pythons_calendar_are_refused() -> None:
    """DuckDB's calendar goes on after the year 9999; online such a row has no value."""
    features = compile_tree(tree("select year(at + interval 8000 year) as y from request"))
    with pytest.raises(FeatureError, match="The feature y"):
        features(ROW, {})


def test_case_of_letters_for_the_whole_of_unicode() -> None:
    """lower() and upper() of every character of Unicode 14, as DuckDB has them."""
    texts = [chr(i) for i in range(1, 0x110000) if not 0xD800 <= i <= 0xDFFF]
    found = duckdb.connect().execute(
        "SELECT lower(c), upper(c) FROM (SELECT chr(i::INT) AS c FROM range(1, 1114112) t(i)"
        " WHERE i NOT BETWEEN 55296 AND 57343 ORDER BY i)"
    ).fetchall()  # fmt: skip
    wrong = [
        t
        for t, (low, up) in zip(texts, found, strict=True)
        if (runtime.lower(t), runtime.upper(t)) != (low, up)
    ]
    assert [hex(ord(character)) for character in wrong if ord(character) < 0x1C89] == []
    assert len(wrong) < 100  # younger Pythons know letters that DuckDB does not yet


def test_the_flights_features_take_microseconds() -> None:
    """Ten features in at most 3 µs; tested with room to spare."""
    features = compile_tree(tree(FLIGHTS, HOLIDAYS))
    rows: dict[str, Any] = {"holidays": {date(2024, 9, 18): ("Fiestas",)}}
    assert features(ROW, rows) == ("LAN", 174, 13, 3, 9, "afternoon", True, "Fiestas", 262, "LA")
    assert min(timeit.repeat(lambda: features(ROW, rows), number=2000, repeat=5)) / 2000 < 15e-6


def test_the_serving_side_loads_no_parser() -> None:
    code = "import sys, relevo.online; print(sorted({'sqlglot', 'duckdb', 'numpy', 'relevo.sql'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "[]\n"
    )
    code = "import sys, relevo.sql; print('sqlglot' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "False\n"
    )


# --- hostile trees -------------------------------------------------------------------------------------------


def base() -> dict[str, Any]:
    """A small honest tree, for the tests below to spoil."""
    return tree(f"select n + 1 as more, airline like 'a%' as a, strftime(at, '%Y') as y {JOINED}", HOLIDAYS)


CODE = "__import__('os').abort()"
NODES = [
    ["eval", 0], ["__import__", 0], ["and", 0], ["hour"], ["hour", 0, 0], ["hour", 99], ["hour", -1], ["hour",
    True], ["hour", "0"], [],
    [CODE], ["column", 99], ["column", -1], ["column", "0"], ["column"], ["column", True], ["joined", 0, 9],
    ["joined", 3, 0], ["constant", "text", 5],
    ["constant", "integer", "5"], ["constant", "integer", 2**63], ["constant", "integer", True], ["constant",
    "double", math.nan],
    ["constant", "double", math.inf], ["constant", "boolean", 1], ["constant", "date", "2024-01-01"], ["constant",
    CODE, 1], ["constant", "text", "\ud800"],
    ["constant", "text", "x" * 200_000], ["constant", "text"], ["constant", ["text"], "x"], ["case", 0], ["case"],
    ["coalesce"], ["concat"], ["in", 0], "hour", None, {"hour": 0}, 5, ["hour", [0]], ["hour", 0.0], [["hour"], 0],
]  # fmt: skip


@pytest.mark.parametrize("node", NODES, ids=lambda node: repr(node)[:40])
def test_foreign_nodes_are_refused(node: Any) -> None:
    """Unknown operators, wrong arity, wrong types, references forward, values that are not JSON's."""
    spoiled = base()
    spoiled["nodes"].append(node)
    with pytest.raises(PackageError, match="feature tree is refused"):
        compile_tree(spoiled)


@pytest.mark.parametrize("part", ["format", "request", "lookups", "joins", "nodes", "features"])
@pytest.mark.parametrize("value", [None, 2, "x", [CODE], {"a": 1}, [None], [[CODE]], [{}], True])
def test_foreign_parts_are_refused(part: str, value: Any) -> None:
    spoiled = base()
    spoiled[part] = value
    with pytest.raises(PackageError):
        compile_tree(spoiled)
    del spoiled[part]
    with pytest.raises(PackageError):
        compile_tree(spoiled)


def test_operators_check_the_constants_that_shape_them() -> None:
    """A format, an escape, places: not from a column, and within bounds."""
    for nodes in (
        [["constant", "text", "%s"], ["strftime", 0, 1]],
        [["constant", "integer", 10**9], ["constant", "double", 1.5], ["round_places", 2, 1]],
        [["constant", "text", "a!"], ["constant", "text", "!"], ["like_escape", 1, 1, 2]],
        [["constant", "integer", None], ["add_interval", 0, 1, 1, 1]],
    ):
        with pytest.raises(PackageError):
            compile_tree({"format": 1, "request": [["at", "timestamp"]], "lookups": [], "joins": [],
            "nodes": [["column", 0], *nodes], "features": []})  # fmt: skip


def test_names_never_reach_the_source() -> None:
    """Columns, look-ups, features and texts are constants or positions: none is written as code."""
    evil = "x'];" + CODE + '#\n"\\'
    text = base()
    renamed = json.loads(
        json.dumps(text)
        .replace('"airline"', json.dumps(evil))
        .replace('"holidays"', json.dumps(evil))
        .replace('"a"', json.dumps(evil))
    )
    features = compile_tree(renamed)
    assert "abort" not in features.source
    assert features({"at": ROW["at"], evil: "abc", "n": 1}, {evil: {}})[:2] == (2, True)
    assert features.names[1] == evil


@pytest.mark.parametrize("operator", ["add_integer", "add_double", "append", "greatest", "and"])
def test_growth_is_bounded(operator: str) -> None:
    """A chain that doubles at each step, a hundred thousand nodes, or a great depth."""
    kind = {"append": "text", "and": "boolean", "add_double": "double"}.get(operator, "integer")
    start: dict[str, Any] = {"format": 1, "request": [["a", kind]], "lookups": [], "joins": []}
    deep = [["column", 0], *([operator, n, n] for n in range(500))]
    with pytest.raises(PackageError, match="deeply"):
        compile_tree({**start, "nodes": deep, "features": [{"name": "f", "type": kind, "expr": 500}]})
    wide = [["column", 0], *([operator, 0, 0] for _ in range(100_000))]
    with pytest.raises(PackageError):
        compile_tree({**start, "nodes": wide, "features": []})
    shared = [["column", 0], *([operator, n, n] for n in range(90))]
    features = compile_tree({**start, "nodes": shared, "features": [{"name": "f", "type": kind, "expr": 90}]})
    assert len(features.source) < 20_000


def test_growth_inside_branches_is_bounded() -> None:
    """What may fail is not shared between branches, so its growth is cut off."""
    nodes: list[Any] = [["column", 0], ["constant", "boolean", True]]
    for _ in range(40):
        last = len(nodes) - 1 if len(nodes) > 2 else 0
        nodes += [["add_integer", last, last], ["case", 1, len(nodes), 0]]
    tree_ = {"format": 1, "request": [["a", "integer"]], "lookups": [], "joins": [], "nodes": nodes}
    with pytest.raises(PackageError):
        compile_tree({**tree_, "features": [{"name": "f", "type": "integer", "expr": len(nodes) - 1}]})


def of_constants(*nodes: list[Any]) -> dict[str, Any]:
    """The length of the last of some nodes that have no column."""
    return {
        "format": 1, "request": [["a", "integer"]], "lookups": [], "joins": [],
        "nodes": [*nodes, ["length", len(nodes) - 1]],
        "features": [{"name": "f", "type": "integer", "expr": len(nodes)}],
    }  # fmt: skip


LONG, HALF = ["constant", "text", "x" * LONGEST_TEXT], ["constant", "text", "x" * (LONGEST_TEXT // 2)]


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([LONG, *(["append", n, n] for n in range(8))], id="doubled"),
        pytest.param([LONG, ["concat", *[0] * 250]], id="in one step"),
        pytest.param([LONG, ["constant", "text", "x"], ["constant", "text", "y" * 250], ["replace", 0, 1, 2]],
                     id="replaced"),
        pytest.param([LONG, ["constant", "text", ""], *(["append", 0, 1] for _ in range(250)),
                      ["greatest", *range(2, 252)]], id="together"),
        pytest.param([["constant", "timestamp", None], ["constant", "text", "2024-09-18"], ["text_to_timestamp", 1],
                      ["constant", "text", "%A" * (LONGEST_TEXT // 2)], ["strftime", 2, 3]], id="written out"),
    ],
)  # fmt: skip
def test_texts_calculated_from_constants_are_bounded(nodes: list[list[Any]]) -> None:
    """A few bytes of a package do not become many before anything is asked."""
    tracemalloc.start()
    try:
        with pytest.raises(PackageError, match="too large"):
            compile_tree(of_constants(*nodes))
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("nodes", "length"),
    [
        ([HALF, ["append", 0, 0]], LONGEST_TEXT),
        ([HALF, ["concat", 0, 0]], LONGEST_TEXT),
        ([LONG, ["constant", "text", "x"], ["constant", "text", "y"], ["replace", 0, 1, 2]], LONGEST_TEXT),
        ([LONG, ["constant", "text", ""], ["replace", 0, 1, 0]], LONGEST_TEXT),
        ([LONG, ["constant", "text", None], ["append", 0, 1]], None),
    ],
)
def test_texts_within_the_bound_are_calculated(nodes: list[list[Any]], length: int | None) -> None:
    assert compile_tree(of_constants(*nodes))({"a": 1}, {}) == (length,)


def test_deep_branches_compile() -> None:
    """As deep as the SQL side lets through: sixty levels of what may fail, inside a branch."""
    chain = "n" + " + n" * 55
    features = compile_tree(tree(f"select case when n > 0 then {chain} end as f from request"))
    assert features({**ROW, "n": 1}, {}) == (56,)
    nested = "n"
    for _ in range(18):
        nested = f"case when n > 0 then 1 + {nested} end"
    assert compile_tree(tree(f"select {nested} as f from request"))({**ROW, "n": 1}, {}) == (19,)


def test_the_tree_is_not_changed_by_compiling() -> None:
    before = base()
    after = copy.deepcopy(before)
    compile_tree(after)
    assert after == before
    assert online.__all__ == ["FeatureError", "OnlineFeatures", "compile_tree"]


def test_what_a_feature_reads_goes_through_joins() -> None:
    text = """select r.km * 2 as far, h.name as name, request.airline || hour(at) as both, request.n, 7 as seven,
        month(at) as month
        from request left join holidays h on h.day = at::date
        left join routes r on r.airline = request.airline and r.n = request.n + length(h.name)"""
    found = compile_tree(tree(text, HOLIDAYS, ROUTES)).reads
    assert [sorted(fields) for fields in found.features] == [
        ["airline", "at", "n"], ["at"], ["airline", "at"], ["n"], [], ["at"]
    ]  # fmt: skip
    assert sorted(map(sorted, found.joins)) == [["airline", "at", "n"], ["at"]]
