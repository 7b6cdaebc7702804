"""``relevo loadtest`` as users type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.loopback import Asked, answering, held_port, reply

if TYPE_CHECKING:
    from pathlib import Path


def start(*words: str | Path, key: str = "") -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELEVO_")}
    return subprocess.Popen(
        [sys.executable, "-m", "relevo", "loadtest", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"LC_ALL": "C.UTF-8", "RELEVO_API_KEY": key},
    )


def call(*words: str | Path, key: str = "") -> tuple[int, str, str]:
    process = start(*words, key=key)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "body.json"
    file.write_text('{"a": 1}')
    return file


def test_another_service_is_asked_and_reported_in_all_forms(tmp_path: Path, body: Path) -> None:
    page, out = tmp_path / "r.html", tmp_path / "r.json"
    with answering(lambda _: reply(200)) as server:
        given = [
            server.url,
            "--rate",
            50,
            "--time",
            "1s",
            "--body",
            body,
            "--path",
            "/score",
            "--header",
            "X: secret-1",
        ]
        code, said, err = call(
            *map(str, given),
            "--json",
            "--html",
            page,
            "--out",
            out,
            "--p95",
            "30s",
            "--check",
            key="secret-2",
        )
    found: dict[str, Any] = json.loads(said)
    assert (code, err) == (0, "")
    assert (found["kind"], found["figures"]["requests"], found["limits"]["missed"]) == ("open", 50, [])
    assert json.loads(out.read_text(encoding="utf-8")) == found
    assert "<svg" in page.read_text(encoding="utf-8")
    for text in (said, page.read_text(encoding="utf-8")):
        assert "secret" not in text
    assert server.asked[-1].headers["authorization"] == "Bearer secret-2"


def test_missed_limits_are_an_exit_code(body: Path) -> None:
    lately = iter([reply(200)])

    def busy(asked: Asked) -> bytes:
        return next(lately, reply(503)) if asked.path == "/v1/predict" else reply(404)

    with answering(busy) as server:
        code, said, err = call(
            server.url, "--rate", "20", "--time", "1s", "--body", body, "--errors", "1%", "--check"
        )
    assert code == 1
    assert "failed with 503: 20" in said, err
    assert "The limits were missed." in said


def test_ctrl_c_gives_what_was_measured_until_then(body: Path) -> None:
    with answering(lambda _: reply(200)) as server:
        process = start(server.url, "--rate", "50", "--time", "600s", "--body", body, "--json")
        while len(server.asked) < 100:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said, err = process.communicate(timeout=300)
    found = json.loads(said)
    assert (process.returncode, err, found["interrupted"]) == (130, "", True)
    assert 10 <= found["figures"]["requests"] < 30_000
    assert found["figures"]["failed"] == 0
    assert found["seconds"] < 600


@pytest.mark.slow
def test_ctrl_c_ends_locust_in_order(tmp_path: Path, body: Path) -> None:
    with answering(lambda _: reply(200)) as server:
        code, said, _ = call(server.url, "--write", tmp_path / "mine.py", "--body", body)
        assert (code, "mine.py" in said) == (0, True)
        process = start(
            server.url, "--locustfile", tmp_path / "mine.py", "--users", "1", "--time", "600s", "--json"
        )
        while len(server.asked) < 100:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        found = json.loads(process.communicate(timeout=300)[0])
    assert (process.returncode, found["kind"], found["interrupted"]) == (130, "closed", True)
    assert found["figures"]["requests"] >= 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "5", "--users", "3"], "--users"),
        (["--capacity"], "--p95"),
        (["--check"], "--p95"),
        (["--arrivals", "never"], "--arrivals"),
        (["--time", "0s"], "--time"),
        (["--time", "soon"], "soon"),
        (["--time", "9" * 400 + "w"], "--time"),
        (["--errors", "200%"], "--errors"),
        (["--errors", "nan"], "--errors"),
        (["--p95", "-1s"], "--p95"),
        (["--path", "x"], "--path"),
        (["--locustfile", "absent.py"], "absent.py"),
        (["--body", "absent.json"], "absent.json"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from relevo import cli

    monkeypatch.setattr(sys, "argv", ["relevo", "loadtest", "http://127.0.0.1:9", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    err = capsys.readouterr().err
    assert err.startswith("Error:")
    assert said in err


def test_a_service_that_is_away_is_an_error_with_its_address(body: Path) -> None:
    with held_port() as port:
        code, _, err = call(f"http://127.0.0.1:{port}", "--body", body, "--time", "1s")
    assert code == 1
    assert f"http://127.0.0.1:{port}" in err
    assert "Traceback" not in err
