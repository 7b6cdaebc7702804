"""Bodies that nobody should send: random bytes, valid bodies changed, values of the wrong kind; and cases by schema."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from support.cases import FIELDS, stream
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.asgi import Asker, Heard

HERE = Path(__file__).resolve().parent
JSON, CSV, JSONL = "application/json", "text/csv", "application/jsonl"
ARROW = "application/vnd.apache.arrow.stream"
BATCH = 20_000
"""Cases of one run of Hypothesis, which remembers all that it tried."""
VARIANTS = 19
"""Further cases that are made of each that Hypothesis draws: it takes longer to draw one than to ask twenty."""
INFER = "/v2/models/flights/infer"


class Case(NamedTuple):
    """A request."""

    path: str
    kind: str
    body: bytes


def _tensors(rows: int) -> bytes:
    inputs = [
        {"name": name, "shape": [rows], "datatype": "BYTES", "data": [value] * rows}
        for name, value in GOOD.items()
    ]
    return orjson.dumps({"id": "1", "inputs": inputs, "outputs": [{"name": "label"}]})


_PLAIN = ",".join(FIELDS) + "\n" + ",".join(GOOD.values()) + "\n"
_QUOTED = ";".join(FIELDS) + '\r\n"' + '";"'.join(GOOD.values()) + '"'
VALID = [
    Case("/v1/predict", JSON, orjson.dumps(GOOD)),
    Case("/v1/predict", JSON, orjson.dumps([GOOD] * 3)),
    Case(INFER, JSON, _tensors(1)),
    Case(INFER, JSON, _tensors(3)),
    Case("/v1/score", CSV, _PLAIN.encode()),
    Case("/v1/score", CSV, _QUOTED.encode()),
    Case("/v1/score", JSONL, orjson.dumps(GOOD) + b"\n" + orjson.dumps(GOOD)),
    Case("/v1/score?offset=1", JSONL, b"\n".join([orjson.dumps(GOOD)] * 3)),
    Case("/v1/score", ARROW, stream([[*GOOD.values()], [None] * 5, [*GOOD.values()]])),
]
PLACES = st.tuples(st.integers(0, 1 << 12), st.integers(0, 255), st.sampled_from("rid"))
TEARS = st.tuples(
    st.integers(0, 1 << 12), st.sampled_from(b'{}[]",:;\n\r\\0\x00\xff\xfe\x7f-.eEtfn '), st.just("i")
)


def changed(case: Case, changes: list[tuple[int, int, str]]) -> Case:
    """Replace, insert and delete bytes."""
    body = bytearray(case.body)
    for place, value, act in changes:
        at = place % (len(body) + 1)
        if act == "i":
            body.insert(at, value)
        elif at < len(body):
            if act == "r":
                body[at] = value
            else:
                del body[at]
    return case._replace(body=bytes(body))


_ODD = ["", "?", "0000-00-00", "9999-12-31 23:59:59", "2017-07-14T24:00", "1e400"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from([*GOOD.values(), *_ODD]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*FIELDS, "scheduled_at", "airline", "x", "", "inputs", "id"])
ROWS = st.dictionaries(NAMES, VALUES, max_size=7)
NEARLY = st.builds(lambda name, value: {**GOOD, name: value}, NAMES, VALUES)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(NAMES, VALUES),
        "shape": st.one_of(st.lists(st.integers(-1, 3), max_size=3), VALUES),
        "datatype": st.one_of(st.sampled_from(["BYTES", "INT8", "UINT64", "FP32", "BOOL", "x"]), VALUES),
        "data": st.one_of(st.lists(VALUES, max_size=3), VALUES),
        "parameters": VALUES,
    },
)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()  # NaN, infinity and halves of surrogate pairs too


def _near(tensor: dict[str, Any], place: int) -> dict[str, Any]:
    request: dict[str, Any] = orjson.loads(_tensors(1))
    request["inputs"][place] |= tensor
    return request


def _of(path: str, kind: str, bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[Case]:
    return bodies.map(lambda body: Case(path, kind, body))


_INFERENCES = st.one_of(
    st.builds(_near, TENSOR, st.integers(0, 4)),
    st.fixed_dictionaries(
        {"inputs": st.lists(TENSOR, max_size=3)}, optional={"id": VALUES, "outputs": VALUES}
    ),
)
_LINES = st.lists(st.one_of(ROWS, NEARLY, VALUES).map(_json), max_size=4).map(b"\n".join)
_CELLS = st.text('",;\n\r \x00aé1-|', max_size=60)
CASES = st.one_of(
    st.builds(lambda case, body: case._replace(body=body), st.sampled_from(VALID), st.binary(max_size=80)),
    st.builds(changed, st.sampled_from(VALID), st.lists(PLACES, min_size=1, max_size=6)),
    st.builds(changed, st.sampled_from(VALID), st.lists(TEARS, min_size=1, max_size=4)),
    _of("/v1/predict", JSON, st.one_of(ROWS, NEARLY, st.lists(NEARLY, max_size=3)).map(_json)),
    _of(INFER, JSON, _INFERENCES.map(_json)),
    _of("/v1/score", JSONL, _LINES),
    _of("/v1/score", CSV, _CELLS.map(lambda cells: (",".join(FIELDS) + "\n" + cells).encode())),
)


TOKENS = [
    *(
        b"null",
        b"true",
        b"NaN",
        b"-0",
        b"1e999",
        b"1" * 30,
        b"[]",
        b"{}",
        b'""',
        b'"',
        b"\\ud800",
        b"\xef\xbb\xbf",
    ),
    *(b"\r\n", b"\n\n", b'"a\nb"', b"9999-99-99", b"\xff\xff\xff\xff", b"\0" * 8, b"[" * 200, b"\xc3", b"?"),
    *(orjson.dumps(name) for name in (*FIELDS, *GOOD.values(), "shape", "data", "inputs")),
]


def shaken(case: Case, rng: random.Random) -> Case:
    """Change a body at random: tokens and bytes put in, parts taken out, doubled or moved."""
    body = case.body
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(body) + 1)
        stop = start + rng.choice((0, 1, 1, 2, 4, 16))
        part = body[start:stop]
        put = rng.choice((rng.choice(TOKENS), rng.randbytes(rng.randint(1, 4)), b"", part * 2, part[::-1]))
        body = body[:start] + put + body[stop:]
    return case._replace(body=body)


def check(case: Case, heard: Heard) -> None:
    """Fail when an answer is none that the service may give."""
    assert heard.status < 500, heard
    kind = heard.headers["content-type"]
    if heard.status == 200 and case.path.startswith("/v1/score"):
        rows = [orjson.loads(line) for line in heard.body.splitlines()]
        numbers = [row["row"] for row in rows if row["row"] is not None]
        first = 1 + case.path.endswith("offset=1")
        assert numbers == list(range(first, first + len(numbers)))
        assert all(("error" in row) != ("probability" in row) for row in rows)
        assert all(row["row"] is not None for row in rows[:-1])
    elif heard.status == 200:
        assert kind == JSON
        heard.json()
    elif case.path == INFER:
        assert list(heard.json()) == ["error"]
    else:
        assert kind == "application/problem+json"
        assert heard.json()["status"] == heard.status


def run(ask: Asker, cases: int, *, start: int = 0, told: Callable[[int], None] | None = None) -> int:
    """Ask at least ``cases`` cases, whole and in pieces; gives how many. The first failure is raised, made small."""
    asked = [0]
    batch = 0
    while asked[0] < cases:
        _batch(ask, min(BATCH, cases - asked[0]), start + batch, asked)
        batch += 1
        if told is not None:
            told(asked[0])
    return asked[0]


def _batch(ask: Asker, cases: int, number: int, asked: list[int]) -> None:
    @seed(number)
    @settings(
        max_examples=max(1, cases // (VARIANTS + 1)),
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(CASES, st.integers(0, 40), st.integers(0, 1 << 32))
    def one(case: Case, cut: int, salt: int) -> None:
        ask_one(case, cut)
        rng = random.Random(salt)
        for _ in range(VARIANTS):
            ask_one(shaken(case, rng), cut)

    def ask_one(case: Case, cut: int) -> None:
        asked[0] += 1
        body = [case.body[:cut], case.body[cut:]] if cut < len(case.body) else case.body
        accepted = f"{JSONL}, */*;q=0.1"
        check(case, ask("POST", case.path, body, {"content-type": case.kind, "accept": accepted}))

    one()


def by_document(url: str, examples: int, *, seed: int) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all checks on the OpenAPI document of a running service."""
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "support.cases", "PYTHONPATH": str(HERE.parent)}
    environment |= {"PYTHONHASHSEED": "0"}  # some of its choices go by the order of sets
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed)),
    ]
    with tempfile.TemporaryDirectory() as folder:  # for what the tool leaves where it was started
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )


def cases_of(output: str) -> int:
    """How many cases schemathesis says it made."""
    found = re.search(r"([\d,]+) generated", output)
    return int(found[1].replace(",", "")) if found else 0
