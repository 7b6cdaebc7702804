"""The critical cases, asked of what answers now."""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from relevo import backoff, keys, living
from relevo.definition.cases import Case
from relevo.errors import LedgerError, RequestError
from relevo.findings import Finding
from relevo.living.service import KEY, KeyWantedError
from relevo.reachable import announced
from support import project, service, small, tale

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.workspace import Workspace

ASKED = {
    "scheduled_at": datetime(2017, 7, 14, 19, 35),
    "flight": "226",
    "destination": "SCFA",
    "airline": "SKU",
    "flight_type": "N",
}
TIMES = ("2026-11-20T14:00:05", "2026-11-20T15:00:05", "2026-11-20T16:00:05", "2026-11-20T17:00:05")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return service.workspace(tmp_path_factory.mktemp("living"))


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    return service.workspace(tmp_path / "w")


def cases(*wrong: str, made: Workspace) -> Definition:
    """The flights project with two cases, of which some expect another answer than they get."""
    definition = replace(small.definition(), cases=())
    every = {"evening Sky": ASKED, "noon Latam": {**ASKED, "airline": "LAN"}}
    found = []
    for line, (name, request) in enumerate(every.items(), 2):
        one = Case(name, request, expected=True, line=line)
        answer = living.check(replace(definition, cases=(one,)), made).results[0]
        found.append(replace(one, expected=answer.passed ^ (name in wrong)))
    return replace(definition, cases=tuple(found))


def alerts(made: Workspace) -> dict[str, str]:
    return {one.alert.signal: one.state for one in made.ledger.alerts.all("flights", resolved=True)}


def test_the_package_answers_where_no_service_listens(made: Workspace) -> None:
    checked = living.check(cases("noon Latam", made=made), made)
    assert (checked.asked, checked.version, checked.passed) == ("package", "1.0.0", False)
    assert [(one.name, one.passed) for one in checked.results] == [
        ("evening Sky", True),
        ("noon Latam", False),
    ]
    (finding,) = checked.findings()
    assert (finding.kind, finding.about, finding.severity) == ("cases", "noon Latam", "page")
    assert finding.facts["expected"] != finding.facts["answered"]
    assert finding.facts["version"] == "1.0.0"
    assert finding.told() == "The critical case “noon Latam” is answered wrongly by the served model."


def test_a_case_that_the_served_contract_refuses_fails(made: Workspace) -> None:
    one = Case("no airport", {**ASKED, "destination": "nowhere"}, expected=True, line=2)
    (result,) = living.check(replace(small.definition(), cases=(one,)), made).results
    assert (result.passed, result.answered) == (False, "")
    assert "Des-I" in result.problem


def test_nothing_released_is_an_error(tmp_path: Path) -> None:
    made = service.workspace(tmp_path / "w", release="")
    with pytest.raises(LedgerError, match="Nothing was released yet"):
        living.check(small.definition(), made)


def test_a_failed_case_is_a_window_and_an_alert_once_an_hour_and_over_when_it_passes(
    fresh: Workspace,
) -> None:
    wrong, right = cases("noon Latam", made=fresh), cases(made=fresh)
    with tale.at(TIMES[0]):
        first = living.record(wrong, fresh, living.check(wrong, fresh))
        again = living.record(wrong, fresh, living.check(wrong, fresh))
    assert (first.source, first.unit, first.name, first.version) == (
        "cases",
        "hour",
        "2026-11-20T14:00+00:00",
        "1.0.0",
    )
    assert first == again
    assert [Finding.of_json(one).about for one in first.findings] == ["noon Latam"]
    assert alerts(fresh) == {"cases:noon Latam": "open"}
    (alarm,) = fresh.ledger.alerts.all("flights")
    assert [event.event for event in alarm.events] == ["opened"]
    for moment in TIMES[1:]:
        with tale.at(moment):
            living.record(right, fresh, living.check(right, fresh))
    assert alerts(fresh) == {"cases:noon Latam": "resolved"}
    assert len(fresh.ledger.watch.windows("flights", source="cases")) == 4


def test_the_hour_is_that_of_the_monitors_time_zone(fresh: Workspace) -> None:
    definition = cases(made=fresh)
    monitor = replace(definition.project.monitor, timezone="America/Santiago")
    definition = replace(definition, project=replace(definition.project, monitor=monitor))
    with tale.at(TIMES[0]):
        window = living.record(definition, fresh, living.check(definition, fresh))
    assert (window.name, window.began_at[:19]) == ("2026-11-20T11:00-03:00", "2026-11-20T14:00:00")


def test_a_service_that_does_not_answer_is_an_alert_and_says_nothing_of_the_cases(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "wait", lambda number: 0.01)  # noqa: ARG005
    wrong = cases("noon Latam", made=fresh)
    with tale.at(TIMES[0]):
        living.record(wrong, fresh, living.check(wrong, fresh))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        with tale.at(TIMES[1]), announced(fresh.root, f"http://127.0.0.1:{taken.getsockname()[1]}"):
            checked = living.check(wrong, fresh)
            window = living.record(wrong, fresh, checked)
    assert "refused" in checked.problem
    (finding,) = (Finding.of_json(one) for one in window.findings)
    assert (finding.kind, finding.about, finding.severity) == ("failures", "service", "page")
    assert alerts(fresh) == {"cases:noon Latam": "open", "failures:service": "open"}
    for moment in (*TIMES[2:], "2026-11-20T18:00:05"):
        with tale.at(moment):
            living.record(wrong, fresh, living.check(wrong, fresh))
    assert alerts(fresh) == {"cases:noon Latam": "open", "failures:service": "resolved"}


class _Odd(BaseHTTPRequestHandler):
    """A service that answers what the server's ``script`` says: (status, body), the last one for ever."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        script: list[tuple[int, bytes]] = self.server.script  # type: ignore[attr-defined]
        status, body = script.pop(0) if len(script) > 1 else script[0]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def odd() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ([(500, b"oh")], "status 500: oh"),
        ([(200, b"<html>")], "not JSON: <html>"),
        ([(503, b"busy"), (200, b'{"decision": true, "label": "late", "version": "2.0.0"}')], ""),
        ([(404, b"")], "status 404: -"),
    ],
)
def test_odd_answers_are_told(
    made: Workspace,
    odd: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    script: list[tuple[int, bytes]],
    problem: str,
) -> None:
    monkeypatch.setattr(backoff, "wait", lambda number: 0.01)  # noqa: ARG005
    odd.script = script  # type: ignore[attr-defined]
    one = Case("evening", ASKED, expected=True, line=2)
    url = f"http://127.0.0.1:{odd.server_port}"
    checked = living.check(replace(small.definition(), cases=(one,)), made, url=url)
    assert problem in checked.problem
    assert checked.passed == (not problem)
    assert checked.asked == url


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://a:b@c", "http://h:99999", "https://h?x=1"])
def test_what_is_no_address_is_an_error(made: Workspace, url: str) -> None:
    with pytest.raises(RequestError, match="not the address of a service"):
        living.check(small.definition(), made, url=url)


def test_a_key_does_not_travel_in_the_clear(made: Workspace) -> None:
    with pytest.raises(RequestError, match="in the clear"):
        living.check(small.definition(), made, url="http://models.example", key="rlv_x")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_of_the_workspace_is_asked_and_nothing_is_logged(tmp_path: Path, workers: int) -> None:
    made = service.workspace(tmp_path)
    definition = cases("noon Latam", made=made)
    running = service.start(tmp_path, workers=workers)
    try:
        checked = living.check(definition, made)
        assert checked.asked == running.url
        assert [one.passed for one in checked.results] == [True, False]
        record, text = keys.create(
            "flights", "cases", ("predict", "read"), who="test", expires=timedelta(days=1)
        )
        made.ledger.keys.add(record)
        unkeyed: list[living.Checked] = []

        def known() -> bool:
            """Whether many connections, to either worker, were all refused."""
            unkeyed[:] = [living.check(definition, made) for _ in range(30)]
            return all(one.note for one in unkeyed)

        def refusal(key: str = "") -> str:
            try:
                living.check(definition, made, url=running.url, key=key)
            except KeyWantedError as error:
                return str(error)
            return ""

        service.until(known, 120)
        assert {one.asked for one in unkeyed} == {"package"}
        assert all(one.note.startswith(f"The service at {running.url} wants a key.") for one in unkeyed)
        assert living.check(definition, made, key=text).asked == running.url
        service.until(lambda: re.search(f"wants a key.*{KEY}", refusal()) is not None, 120)
        service.until(lambda: "refuses the key" in refusal(text[:-1] + "!"), 120)
    finally:
        assert running.stop() == 0
    assert living.check(definition, made).asked == "package"
    assert not made.lake.exists("predictions")
    assert list(made.logs.iterdir()) == []


@pytest.mark.slow
def test_the_command_ends_with_1_when_a_case_fails(released: Path) -> None:
    done = project.call("cases", released)
    assert (done.code, done.out.splitlines()[-1]) == (
        0,
        "2 of 2 critical cases are answered as expected, by the package with version 1.0.0.",
    )
    text = (released / "cases.csv").read_text()
    (released / "cases.csv").write_text(text.replace("115,MPTO,CMP,I,on time", "115,MPTO,CMP,I,late"))
    done = project.call("cases", released, "--json")
    assert done.code == 1
    assert [one["passed"] for one in json.loads(done.out)["cases"]] == [False, True]
    done = project.call("cases", released)
    assert done.code == 1
    assert "✗ quiet Tuesday night to Panama: on time; late was expected" in done.out
    told: Any = project.call("alerts", released, "--json").document
    assert [one["signal"] for one in told] == ["cases:quiet Tuesday night to Panama"]
