"""Addresses, headers and secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LoadTestError
from relevo.loadtest import bodies
from relevo.loadtest.closed_loop import Users, _command
from relevo.loadtest.target import PREDICT, probe, target
from support.loopback import answering, held_port, reply

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://a", "http://", "http://a:b", "http://a b", "http://a\n", 'http://a/"', "http://a?q=1"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(LoadTestError):
        target(url)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(LoadTestError) as caught:
        target("http://user:sesame@127.0.0.1")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("header", ["", "a", ": b", "a b: c", "a: b\r\nc: d", "ä: b"])
def test_what_is_no_header_is_refused(header: str) -> None:
    with pytest.raises(LoadTestError, match="--header"):
        target("http://a", headers=[header])


def test_the_key_comes_from_the_environment_and_shows_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RELEVO_API_KEY", "open-sesame")
    found = target("http://a/base/", headers=["X-Token: let-me-in"])
    assert found.sent()["Authorization"] == "Bearer open-sesame"
    assert (found.url, found.prefix) == ("http://a/base", "/base")
    argv = " ".join(_command(found, tmp_path / "f.py", Users(1, 1, 1), tmp_path))
    for text in (repr(found), argv, found.hide("said open-sesame and let-me-in")):
        assert "sesame" not in text
        assert "let-me-in" not in text
    assert json.loads(found.variables()["RELEVO_LOADTEST_HEADERS"]) == {"X-Token": "let-me-in"}


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "--key"), (403, "--key"), (404, "--path"), (422, "--body"), (307, "--body")]
)
def test_a_refused_first_request_names_the_remedy(status: int, remedy: str) -> None:
    with (
        answering(lambda one: reply(status, {"echo": one.headers["authorization"]})) as server,
        pytest.raises(LoadTestError, match=remedy) as caught,
    ):
        probe(target(server.url, key="open-sesame"), b"{}")
    assert str(status) in str(caught.value)
    assert "open-sesame" not in str(caught.value)


def test_a_service_that_is_away_is_named() -> None:
    with held_port() as port, pytest.raises(LoadTestError, match=f"http://127.0.0.1:{port} does not answer"):
        probe(target(f"http://127.0.0.1:{port}"), b"{}")


def test_a_service_that_hangs_up_is_named() -> None:
    with answering(lambda _: None) as server, pytest.raises(LoadTestError, match="does not answer"):
        probe(target(server.url), b"{}")


def test_a_service_under_a_path_is_asked_there() -> None:
    with answering(lambda _: reply(200)) as server:
        probe(target(f"{server.url}/flights/"), b"{}")
    assert [one.path for one in server.asked] == ["/flights" + PREDICT]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b'{"a": 1}\n{"a": 2}\n\n', [b'{"a": 1}', b'{"a": 2}']),
        (b'{\n "a": 1\n}\n', [b'{\n "a": 1\n}']),
        (b"[1, 2]", [b"[1, 2]"]),
    ],
)
def test_bodies_come_from_a_document_or_from_lines(tmp_path: Path, text: bytes, wanted: list[bytes]) -> None:
    file = tmp_path / "bodies"
    file.write_bytes(text)
    assert bodies.read(file) == wanted


@pytest.mark.parametrize(("text", "said"), [(b"", "empty"), (b"{}\n{", "line 2"), (b"\xff", "line 1")])
def test_what_are_no_bodies_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "bodies"
    file.write_bytes(text)
    with pytest.raises(LoadTestError, match=said):
        bodies.read(file)
