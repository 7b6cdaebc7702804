"""The clients: asked of the real service, and of small servers that refuse, break off and lie."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
import traceback
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import relevo
from relevo import AsyncClient, Client, backoff
from relevo.client import Answer, Kept, Label, Recommended
from relevo.errors import RequestError, ServiceError
from support import service
from support.loopback import Asked, answering, held_port, reply
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.service import Service

pytestmark = pytest.mark.xdist_group("client")  # one process makes what they share

KEY = "open-sesame"
ANSWER = {
    "id": "i",
    "probability": 0.5,
    "decision": True,
    "label": "late",
    "threshold": 0.25,
    "version": "1.0.0",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("asked")
    service.workspace(root)
    started = service.start(root)
    yield started
    assert started.stop() == 0


def both(url: str, ask: Callable[[Any], Any], **options: Any) -> list[Any]:
    """What each of the two clients gives, or the error that it raises."""

    async def awaited() -> Any:
        async with AsyncClient(url, **options) as client:
            try:
                return await ask(client)
            except (ServiceError, RequestError) as error:
                return error

    def waited() -> Any:
        with Client(url, **options) as client:
            try:
                return ask(client)
            except (ServiceError, RequestError) as error:
                return error

    return [waited(), asyncio.run(awaited())]


def answers_in_turn(*replies: bytes | None) -> Callable[[Asked], bytes | None]:
    """Give one after the other, and the last for ever."""
    turn = iter(replies)
    return lambda _: next(turn, replies[-1])


def test_one_row_has_one_answer_and_several_a_list(running: Service) -> None:
    expected = running.ask(GOOD).json()
    for one in both(running.url, lambda client: client.predict(GOOD)):
        assert isinstance(one, Answer)
        assert (one.probability, one.decision, one.label) == tuple(
            expected[name] for name in ("probability", "decision", "label")
        )
        assert (one.threshold, one.version, one.explanation) == (expected["threshold"], "1.0.0", None)
    for many in both(running.url, lambda client: client.predict([GOOD, GOOD])):
        assert [one.probability for one in many] == [expected["probability"]] * 2
        assert len({one.id for one in many}) == 2


def test_values_of_python_and_numpy_are_sent_as_json(running: Service) -> None:
    row = {**GOOD, "Fecha-I": datetime(2017, 7, 14, 19, 35), "Vlo-I": float("nan")}
    same = running.ask({**GOOD, "Vlo-I": None}).json()["probability"]
    with Client(running.url) as client:
        assert client.predict(row).probability == same
    with answering(lambda _: reply(200, ANSWER)) as server, Client(server.url) as client:
        client.predict({"a": np.float64(1.5), "b": np.int64(2), "c": Decimal("2.5")})
        client.predict({"a": pd.Timestamp("2020-01-01T10:00"), "b": pd.NaT, "c": date(2020, 1, 2)})
    assert [json.loads(one.body) for one in server.asked] == [
        {"a": 1.5, "b": 2, "c": 2.5},
        {"a": "2020-01-01T10:00:00", "b": None, "c": "2020-01-02"},
    ]


def test_what_cannot_be_json_is_refused_before_it_is_sent(running: Service) -> None:
    asked: list[tuple[Any, str]] = [({"a": object()}, "a"), ([GOOD, {"b": {1, 2}}], "[1].b"), (None, "body")]
    for rows, field in asked:
        with Client(running.url) as client, pytest.raises(RequestError) as raised:
            client.predict(rows)
        assert [problem["field"] for problem in raised.value.problems] == [field]


def test_a_refusal_carries_the_problem(running: Service) -> None:
    for error in both(running.url, lambda client: client.predict({**GOOD, "TIPOVUELO": "X"})):
        assert isinstance(error, ServiceError)
        assert (error.status, error.type) == (422, "/docs#contract")
        assert error.title == "The request breaks the contract."
        assert error.problems[0]["field"] == "TIPOVUELO"
        assert "TIPOVUELO" in str(error)


def test_the_version_that_answers_is_described(running: Service) -> None:
    for card in both(running.url, lambda client: client.model()):
        assert (card["project"], card["version"]) == ("flights", "1.0.0")
    assert both(running.url, lambda client: client.ready()) == [True, True]


def test_a_service_without_a_version_is_not_ready() -> None:
    with answering(lambda _: reply(503)) as server:
        assert both(server.url, lambda client: client.ready()) == [False, False]


def test_a_model_that_recommends_nothing_says_so(running: Service) -> None:
    for error in both(running.url, lambda client: client.recommend("a b/c", 3)):
        assert (error.status, error.type) == (404, "/docs#no-recommend")


def test_recommendations_are_read() -> None:
    item = {"product_id": 77, "id": "i", "probability": 0.5, "decision": True, "label": "buys"}
    told = {"customer_id": 1042, "version": "1.2.0", "recommendations": [item]}
    with answering(lambda _: reply(200, told)) as server:
        found = both(server.url, lambda client: client.recommend("a b/c", 2))
    assert found == [[Recommended("product_id", 77, "i", 0.5, True, "buys", "1.2.0")]] * 2  # noqa: FBT003
    assert {one.path for one in server.asked} == {"/v1/recommend/a%20b%2Fc?k=2"}


def test_an_explanation_is_asked_for_and_kept() -> None:
    with answering(lambda _: reply(200, {**ANSWER, "explanation": {"fields": [1]}})) as server:
        found = both(server.url, lambda client: client.explain(GOOD))
    assert [one.explanation for one in found] == [{"fields": [1]}] * 2
    assert {one.path for one in server.asked} == {"/v1/predict?explain=true"}


def test_labels_are_sent_by_id() -> None:
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    given = [Label("i", "late", at), Label("j", outcome=False), {"id": "k", "outcome": "late"}]
    shown: dict[str, Any] = {
        "id": "d",
        "received_at": "2026-01-02T03:00:01.000000+00:00",
        "outcome": True,
        "label": "late",
    }
    with answering(lambda _: reply(200, [shown] * 3)) as server:
        assert both(server.url, lambda client: client.label(given)) == [[Kept(**shown)] * 3] * 2
    assert json.loads(server.asked[0].body) == [
        {"id": "i", "outcome": "late", "at": "2026-01-02T03:00:00+00:00"},
        {"id": "j", "outcome": False},
        {"id": "k", "outcome": "late"},
    ]
    for odd in (reply(202, b""), reply(200, {"accepted": 3}), reply(200, [shown] * 2)):
        with answering(answers_in_turn(odd, odd)) as server:
            errors = both(server.url, lambda client: client.label(given))
        assert all(isinstance(error, ServiceError) for error in errors)  # an account of each is expected


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_to_work_now_is_asked_again_when_its_time_is_over(status: int) -> None:
    replies = answers_in_turn(reply(status, Retry_After="1"), reply(200, ANSWER))
    began = time.monotonic()
    with answering(replies) as server, Client(server.url) as client:
        assert client.predict(GOOD).id == "i"
    assert len(server.asked) == 2
    assert time.monotonic() - began >= 1


def test_a_wait_longer_than_patience_is_not_begun() -> None:
    with answering(lambda _: reply(429, {"title": "Too many."}, Retry_After="3600")) as server:
        for error in both(server.url, lambda client: client.predict(GOOD)):
            assert (error.status, error.title) == (429, "Too many.")
            assert "Tried 1 times." in error.__notes__
    assert len(server.asked) == 2


def test_tries_are_bounded() -> None:
    with answering(lambda _: reply(503)) as server:
        for error in both(server.url, lambda client: client.predict(GOOD), tries=2):
            assert error.status == 503
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 502, 504, 307])
def test_other_refusals_of_a_prediction_are_final(status: int) -> None:
    with answering(lambda _: reply(status)) as server:
        for error in both(server.url, lambda client: client.predict(GOOD)):
            assert error.status == status
    assert len(server.asked) == 2


def test_a_prediction_whose_answer_was_lost_is_asked_again_only_if_allowed() -> None:
    with answering(answers_in_turn(None)) as server:
        for error in both(server.url, lambda client: client.predict(GOOD)):
            assert (error.status, len(error.__notes__)) == (None, 1)
    assert len(server.asked) == 2
    with (
        answering(answers_in_turn(None, reply(200, ANSWER))) as server,
        Client(server.url, repeat=True) as client,
    ):
        assert client.predict(GOOD).id == "i"
    assert len(server.asked) == 2


@pytest.mark.parametrize("first", [None, reply(502), reply(504), b"HTTP/1.1 nonsense\r\n\r\n"])
def test_what_leaves_no_trace_is_asked_again(first: bytes | None) -> None:
    with (
        answering(answers_in_turn(first, reply(200, {"version": "1"}))) as server,
        Client(server.url) as client,
    ):
        assert client.model() == {"version": "1"}
    assert len(server.asked) == 2


def test_a_service_that_is_away_is_named_after_some_tries() -> None:
    with held_port() as port:
        for error in both(f"http://127.0.0.1:{port}", lambda client: client.predict(GOOD), tries=2):
            assert f"http://127.0.0.1:{port}" in str(error)
            assert error.__notes__ == ["Tried 2 times."]


def test_silence_ends_at_the_time_limit() -> None:
    over = threading.Event()

    def silent(_: Asked) -> None:
        over.wait(60)

    with answering(silent) as server:
        began = time.monotonic()
        try:
            for error in both(server.url, lambda client: client.predict(GOOD), timeout=0.3):
                assert error.status is None
            assert time.monotonic() - began < 30
        finally:
            over.set()


@pytest.mark.parametrize(
    "told",
    [b"", b"[", b"[]", b"{}", b"null", json.dumps({**ANSWER, "probability": "x"}).encode(), b"<html>"],
)
def test_an_answer_that_is_none_of_the_services_is_told(told: bytes) -> None:
    with answering(lambda _: reply(200, told)) as server:
        for error in both(server.url, lambda client: client.predict(GOOD)):
            assert isinstance(error, ServiceError)
            assert "does not answer as" in str(error)


def test_fewer_answers_than_rows_are_not_taken() -> None:
    with answering(lambda _: reply(200, [ANSWER])) as server:
        for error in both(server.url, lambda client: client.predict([GOOD, GOOD])):
            assert isinstance(error, ServiceError)


@pytest.mark.parametrize(
    ("body", "headers", "wanted"),
    [
        ({"id": "a1"}, {}, "a1"),
        ({"correlation_id": "a2"}, {}, "a2"),
        ({"id": 7}, {"X_Correlation_Id": "a3"}, "a3"),
        ([], {"X_Request_Id": "a4"}, "a4"),
        ({"title": 7, "type": [], "problems": ["x", {"field": "f"}], "detail": None}, {}, ""),
    ],
)
def test_a_problem_is_read_as_far_as_it_is_there(body: Any, headers: dict[str, str], wanted: str) -> None:
    with answering(lambda _: reply(422, body, **headers)) as server:
        error, _ = both(server.url, lambda client: client.predict(GOOD))
    assert error.correlation_id == wanted
    assert all(isinstance(one, dict) for one in error.problems)


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVO_API_KEY", KEY)
    with answering(lambda _: reply(401)) as server:
        for client in (Client(server.url, KEY), Client(server.url)):
            with client, pytest.raises(ServiceError) as caught:
                client.predict(GOOD)
            shown = "".join(traceback.format_exception(caught.value)) + repr(client) + repr(vars(client))
            assert KEY not in shown
        assert KEY not in repr(AsyncClient(server.url, KEY))
    assert {one.headers["authorization"] for one in server.asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("key", ["a b", "a\r\nb", "ñ"])
def test_a_key_that_no_header_carries_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(RequestError) as caught:
        Client("http://127.0.0.1", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a", "http://", "http://u:p@a", "http://a?b", "http://a:99999"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="url"):
        Client(url)


def test_a_service_under_a_path_is_asked_there() -> None:
    with answering(lambda _: reply(200, ANSWER)) as server, Client(f"{server.url}/flights/") as client:
        client.predict(GOOD)
    assert [one.path for one in server.asked] == ["/flights/v1/predict"]


@pytest.mark.parametrize("value", [None, "", "-1", "soon", "²", "1.5", "9" * 13, "Mon, 99 Foo 2020"])
def test_a_time_to_wait_that_is_none_is_no_wait(value: str | None) -> None:
    assert backoff.retry_after(value) == 0.0


def test_a_time_to_wait_may_be_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=100)
    assert backoff.retry_after(format_datetime(later, usegmt=True)) == pytest.approx(100, abs=60)
    assert backoff.retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0
    assert backoff.retry_after("Sun, 06 Nov 2094 08:49:37 -0000") > 1e9


def test_waits_double_up_to_a_minute_and_differ() -> None:
    for number, longest in itertools.chain(enumerate([0.5, 1, 2, 4, 8, 16, 32, 60, 60], 1), [(10**6, 60)]):
        drawn = {backoff.wait(number) for _ in range(20)}
        assert longest / 2 <= min(drawn) < max(drawn) <= longest


def test_the_clients_are_names_of_relevo() -> None:
    assert {"Client", "AsyncClient"} <= set(relevo.__all__)
