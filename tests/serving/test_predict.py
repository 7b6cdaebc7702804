"""What is asked rightly is answered as the package answers; whatever else is sent gets a problem, never a traceback."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from relevo.package import ModelPackage
from support import small
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from support.service import Service

DEEP = b'{"x":' + b"[" * 900 + b"]" * 900 + b"}"
NOT_JSON = {
    "empty": b"",
    "blank": b"  ",
    "text": b"not json",
    "cut off": json.dumps(GOOD).encode()[:-1],
    "more behind": json.dumps(GOOD).encode() + b"x",
    "nan": b'{"Fecha-I": NaN}',
    "nan in an unknown field": json.dumps(GOOD).encode()[:-1] + b', "z": NaN}',
    "infinity": b'{"Fecha-I": -Infinity}',
    "1e400": b'{"Fecha-I": 1e400}',
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "latin-1": json.dumps(GOOD | {"x": "é"}, ensure_ascii=False).encode("latin-1"),
    "control character": b'{"x": "\x01"}',
    "half a surrogate": b'{"x": "\\ud800"}',
    "very deep": b"[" * 100_000,
}
TWICE = {
    "plain": b'{"a":1,"a":2}',
    "blank before the colon": b'{"a" :1,"a"\n:2}',
    "another spelling": b'{"a":1,"\\u0061":2}',
    "text values": b'{"a":"1","a":"2"}',
    "nested": b'{"x":{"a":1,"a":2}}',
    "in a list": b'[{"a":1},{"a":1,"a":2}]',
    "quote in a value": b'{"a":"\\"","a":"\\""}',
}


def expected(running: Service, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the package itself answers."""
    package = ModelPackage.load(running.said.parent / "package0")
    answers = package.predict([package.validators.one.validate_python(body) for body in bodies])
    return [
        {
            "probability": answer.probability,
            "decision": answer.decision,
            "label": answer.label,
            "threshold": package.threshold,
            "version": "1.0.0",
        }
        for answer in answers
    ]


def bodies(count: int) -> list[dict[str, Any]]:
    """Made-up requests."""
    rng = random.Random(7)
    return [small.body(small.request(rng)) for _ in range(count)]


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without its id."""
    return {name: value for name, value in answer.items() if name != "id"}


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that a response is a problem of this kind, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["type"] == f"/docs#{kind}"
    assert "Traceback" not in response.text
    return found


def test_objects_are_answered_as_the_package_answers(running: Service) -> None:
    asked = bodies(100)
    answers = [running.ask(body).json() for body in asked]
    assert [plain(answer) for answer in answers] == expected(running, asked)
    ids = [answer["id"] for answer in answers]
    assert ids == sorted(set(ids))


def test_objects_asked_at_once_share_a_call_and_get_their_own_answers(running: Service) -> None:
    asked = bodies(300)
    with ThreadPoolExecutor(16) as pool, httpx.Client(base_url=running.url, timeout=60) as client:
        found = list(pool.map(lambda body: client.post("/v1/predict", json=body).json(), asked))
    assert [plain(answer) for answer in found] == expected(running, asked)


def test_a_list_is_answered_in_order(running: Service) -> None:
    asked = bodies(700)
    answers = running.ask(asked).json()
    assert [plain(answer) for answer in answers] == expected(running, asked)
    assert len({answer["id"] for answer in answers}) == 700


def test_bad_and_good_requests_at_once_do_not_touch_each_other(running: Service) -> None:
    asked: list[Any] = [body if n % 3 else {"Fecha-I": 5} for n, body in enumerate(bodies(150))]
    with ThreadPoolExecutor(16) as pool, httpx.Client(base_url=running.url, timeout=60) as client:
        found = list(pool.map(lambda body: client.post("/v1/predict", json=body), asked))
    good = [body for n, body in enumerate(asked) if n % 3]
    assert [r.status_code for r in found] == [200 if n % 3 else 422 for n in range(150)]
    answers = [plain(r.json()) for n, r in enumerate(found) if n % 3]
    assert answers == expected(running, good)


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused(running: Service, body: bytes) -> None:
    found = problem(running.ask(body), 400, "not-json")
    assert "line" in found["detail"]


@pytest.mark.parametrize("body", TWICE.values(), ids=TWICE)
def test_a_field_given_twice_is_refused(running: Service, body: bytes) -> None:
    problem(running.ask(body), 400, "duplicate-field")


def test_deep_nesting_is_refused(running: Service) -> None:
    problem(running.ask(DEEP), 400, "too-deep")


def test_strange_but_sound_json_is_read(running: Service) -> None:
    pretty = json.dumps(GOOD, indent=4).replace(": ", " \t: ").replace("\n", "\r\n").encode()
    escaped = json.dumps(GOOD | {"note": 'a ":" b', "tags": [[], {"a": [1]}]}).encode()
    usual = plain(running.ask(GOOD).json())
    assert plain(running.ask(pretty).json()) == usual
    assert plain(running.ask(escaped).json()) == usual


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": ""},
        {"content_encoding": "gzip"},
    ],
)
def test_what_is_not_declared_as_json_is_refused(running: Service, headers: dict[str, str]) -> None:
    problem(running.ask(GOOD, **headers), 415, "content-type")


def test_json_with_a_charset_is_taken(running: Service) -> None:
    assert running.ask(GOOD, content_type="Application/JSON; charset=utf-8").status_code == 200


def test_ten_megabytes_are_refused(running: Service) -> None:
    problem(running.ask(b'{"x":"' + b"x" * 10_000_000 + b'"}'), 413, "too-large")
    assert running.ask(GOOD).status_code == 200


def test_who_sends_all_before_reading_still_hears_why(running: Service) -> None:
    """Most clients do; a connection closed in the middle of their sending would tell them nothing."""
    request = urllib.request.Request(
        str(running.client.base_url.join("/v1/predict")),
        b"x" * 10_000_000,
        {"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    with caught.value as answer:
        assert (answer.code, json.load(answer)["type"]) == (413, "/docs#too-large")


def test_ten_megabytes_without_a_length_are_refused(running: Service) -> None:
    pieces = (b"x" * 100_000 for _ in range(100))
    response = running.client.post(
        "/v1/predict", content=pieces, headers={"content-type": "application/json"}
    )
    problem(response, 413, "too-large")
    assert running.ask(GOOD).status_code == 200


def test_a_body_in_pieces_is_read_whole(running: Service) -> None:
    pieces = (bytes([byte]) for byte in json.dumps(GOOD).encode())
    response = running.client.post(
        "/v1/predict", content=pieces, headers={"content-type": "application/json"}
    )
    assert plain(response.json()) == expected(running, [GOOD])[0]


def test_too_many_rows_are_refused(running: Service) -> None:
    problem(running.ask(b"[" + b"{}," * 10_000 + b"{}]"), 413, "too-many-rows")


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "absent": ({"Des-I": ...}, "is required and absent."),
    "null": ({"Des-I": None}, "must be a text."),
    "number for a text": ({"Emp-I": 5}, "must be a text."),
    "pattern": ({"Des-I": "scfa"}, "must match the pattern ^[A-Z]{4}$."),
    "choice": ({"TIPOVUELO": "O"}, "must be one of: I, N."),
    "too long": ({"Vlo-I": "123456789"}, "must have at most 8 characters."),
    "month 13": ({"Fecha-I": "2017-13-01 00:00:00"}, "must be a date and time such as 2017-01-31 23:30:00."),
    "31 February": ({"Fecha-I": "31/02/2017"}, "must be a date and time such as 2017-01-31 23:30:00."),
    "number for a time": ({"Fecha-I": 1483313400}, "must be a date and time such as 2017-01-31 23:30:00."),
    "time zone": ({"Fecha-I": "2017-01-01T00:00:00Z"}, "must be a local time, without a time zone."),
}


@pytest.mark.parametrize(("change", "sentence"), BROKEN.values(), ids=BROKEN)
def test_each_broken_rule_is_named_with_its_field(
    running: Service, change: dict[str, Any], sentence: str
) -> None:
    body = {name: value for name, value in (GOOD | change).items() if value is not ...}
    found = problem(running.ask(body), 422, "contract")
    assert found["problems"] == [{"field": next(iter(change)), "problem": sentence}]


def test_all_problems_of_a_row_come_at_once(running: Service) -> None:
    found = problem(running.ask({"Fecha-I": "x", "Des-I": None, "Emp-I": "SKU"}), 422, "contract")
    assert [entry["field"] for entry in found["problems"]] == ["Fecha-I", "Des-I", "TIPOVUELO"]


def test_a_list_s_problems_have_their_rows(running: Service) -> None:
    found = problem(running.ask([GOOD, GOOD | {"TIPOVUELO": "O"}, 5, GOOD]), 422, "contract")
    assert [(entry["row"], entry["field"]) for entry in found["problems"]] == [(1, "TIPOVUELO"), (2, "body")]


def test_thousands_of_problems_are_not_all_listed(running: Service) -> None:
    found = problem(running.ask(b"[" + b"{}," * 9_999 + b"{}]"), 422, "contract")
    assert len(found["problems"]) == 100
    assert found["more"] is True


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"x"', b"[1]", b"[null]", b"[[]]"])
def test_what_is_no_object_is_refused(running: Service, body: bytes) -> None:
    assert problem(running.ask(body), 422, "contract")["problems"][0]["field"] == "body"


def test_a_problem_quotes_nothing_but_field_names(running: Service) -> None:
    body = {**GOOD, "Des-I": "secret-value", "TIPOVUELO": "<script>"}
    text = running.ask(body).text
    assert "secret-value" not in text
    assert "<script>" not in text


def test_problems_speak_spanish_when_asked(running: Service) -> None:
    for wish in ("es", "es-CL,en;q=0.5", "fr, es;q=0.9, en;q=0.8"):
        found = running.ask({}, accept_language=wish).json()
        assert found["title"] != "The request breaks the contract."
    for wish in ("en", "fr", "en, es;q=0.9", "es;q=0", "x" * 1000, "es;q=2"):
        found = running.ask({}, accept_language=wish).json()
        assert found["title"] == "The request breaks the contract."


def test_unknown_fields_are_ignored_and_counted(running: Service) -> None:
    before = running.metric("relevo_unknown_fields_total")
    usual, more = running.ask(GOOD).json(), running.ask(GOOD | {"a": 1, "b": [2]}).json()
    assert plain(more) == plain(usual)
    assert running.metric("relevo_unknown_fields_total") == before + 2


def test_a_category_never_seen_is_answered(running: Service) -> None:
    body = GOOD | {"Des-I": "ZZZZ", "Vlo-I": None}
    assert plain(running.ask(body).json()) == expected(running, [body])[0]


def test_a_caller_who_leaves_early_harms_nobody(running: Service) -> None:
    import socket

    host, _, port = running.url.removeprefix("http://").partition(":")
    for sent in (
        b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
    assert running.ask(GOOD).status_code == 200


def test_a_long_list_lets_others_in_between(running: Service) -> None:
    """Ten thousand rows take tens of milliseconds; a single row asked meanwhile must not wait for most of them."""
    short = {name: value for name, value in GOOD.items() if name != "Vlo-I"}
    rows = json.dumps([short] * 10_000, separators=(",", ":")).encode()[: 1 << 20]
    rows = rows[: rows.rindex(b"},") + 1] + b"]"

    def longest() -> float:
        """The longest wait of a single row, beside what the list takes alone."""
        began = time.perf_counter()
        assert len(running.ask(rows).json()) > 9_000
        alone = time.perf_counter() - began
        with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=running.url, timeout=60) as client:
            client.get("/health")
            long = pool.submit(running.ask, rows)
            waits = []
            while not long.done():
                began = time.perf_counter()
                assert client.post("/v1/predict", json=GOOD).status_code == 200
                waits.append(time.perf_counter() - began)
        return max(waits, default=alone) / alone

    assert any(longest() < 1 / 3 for _ in range(10))


def test_the_journal_holds_what_was_answered(running: Service) -> None:
    single = running.ask(json.dumps(GOOD, indent=1).encode()).json()
    listed = running.ask([GOOD, GOOD | {"x": "ñ"}]).json()
    lines = _journal(running.said.parent)
    for answer, body in ((single, GOOD), (listed[0], GOOD), (listed[1], GOOD | {"x": "ñ"})):
        line = lines[answer["id"]]
        assert line["request"] == body
        assert (line["project"], line["version"]) == ("flights", "1.0.0")
        same = ("probability", "decision", "label")
        assert [line[name] for name in same] == [answer[name] for name in same]
        assert set(line) == {"id", "at", "project", "version", "digest", *same, "request"}


def _journal(root: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for segment in (root / ".relevo" / "log").glob("predictions-*.jsonl"):
        for text in segment.read_bytes().splitlines():
            line = json.loads(text)
            assert line["id"] not in found
            found[line["id"]] = line
    return found
