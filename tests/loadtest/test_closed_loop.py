"""Users simulated by Locust, whose file is made from the contract."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LoadTestError
from relevo.loadtest import bodies, closed_loop, draws, locustfile
from relevo.loadtest.closed_loop import Users
from relevo.loadtest.draws import Draw, Form
from relevo.loadtest.target import Target, target
from support.loopback import answering, reply

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.loadtest.measured import Outcome
    from support.service import Service


def written(folder: Path, asked: Target) -> Path:
    file = folder / "locustfile.py"
    file.write_text(locustfile.source(asked, seed=1, form=draws.form(asked)), encoding="utf-8")
    return file


def run(asked: Target, file: Path, users: Users) -> Outcome:
    """Let the users ask, for longer where their time was over before each of them had."""
    for longer in (1, 4, 16):
        try:
            outcome = closed_loop.run(asked, file, replace(users, seconds=longer * users.seconds))
        except LoadTestError as error:
            if "asked nothing" not in str(error):
                raise
            said = str(error)
        else:
            said = f"{outcome.figures.requests} requests"
            if outcome.figures.requests >= users.users:
                return outcome
    pytest.fail(said)


def test_users_ask_what_the_contract_allows(running: Service, tmp_path: Path) -> None:
    asked = target(running.url, timeout=60)
    before = running.metric("relevo_predictions_total")
    outcome = run(asked, written(tmp_path, asked), Users(3, 3, 2))
    found = outcome.figures
    assert found.requests >= 3
    assert found.failed == 0
    assert running.metric("relevo_predictions_total") - before >= found.requests
    assert 0 < found.p50 <= found.p99 <= found.max
    assert outcome.notes == ()


@pytest.mark.slow
def test_several_processes_share_the_users(running: Service, tmp_path: Path) -> None:
    asked = target(running.url, timeout=60)
    outcome = run(asked, written(tmp_path, asked), Users(4, 4, 3, processes=2))
    assert outcome.figures.requests >= 4
    assert outcome.figures.failed == 0


def test_the_key_and_headers_reach_the_service_and_failures_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    with answering(lambda _: reply(429)) as server:
        asked = target(server.url, "/invocations", ["X-A: let-me-in"], key="open-sesame")
        source = locustfile.source(asked, seed=0, bodies=file, lines=len(bodies.read(file)))
        (tmp_path / "f.py").write_text(source)
        outcome = run(asked, tmp_path / "f.py", Users(1, 1, 1))
    assert "sesame" not in source
    assert "let-me-in" not in source
    assert set(outcome.figures.failures) == {"429"}
    assert outcome.figures.failed_share == 1.0
    assert {one.path for one in server.asked} == {"/invocations"}
    assert {one.headers["authorization"] for one in server.asked} == {"Bearer open-sesame"}
    assert {one.headers["x-a"] for one in server.asked} == {"let-me-in"}
    assert {one.body for one in server.asked} <= {b'{"a": 1}', b'{"a": 2}'}


def test_a_changed_file_that_does_not_run_is_told(tmp_path: Path) -> None:
    file = tmp_path / "f.py"
    file.write_text("this is no Python\n")
    with answering(lambda _: reply(200)) as server, pytest.raises(LoadTestError, match="SyntaxError"):
        closed_loop.run(target(server.url), file, Users(1, 1, 1))


def test_a_changed_file_that_fails_is_told_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "f.py"
    file.write_text(
        "import os\nfrom locust import User, constant, task\n\n\nclass A(User):\n    wait_time = constant(0.1)\n\n"
        "    @task\n    def ask(self):\n        raise RuntimeError('wrong ' + os.environ['RELEVO_API_KEY'])\n"
    )
    with answering(lambda _: reply(200)) as server:
        for seconds in (1, 4, 16):
            with pytest.raises(LoadTestError) as caught:
                closed_loop.run(target(server.url, key="open-sesame"), file, Users(1, 1, seconds))
            if "wrong" in str(caught.value):
                break
    assert "wrong …" in str(caught.value)


@pytest.mark.parametrize("name", ["a", 'a"', "a'''\"\"\"", "a\n    import os", "\ud800", "á{}{x}", "\\"])
def test_a_contract_can_put_nothing_but_literals_into_the_file(name: str) -> None:
    form = Form(name, {name: Draw("choice", ([name],)), "n": Draw("randint", (1, 2))})
    tree = ast.parse(locustfile.source(target("http://a"), seed=0, form=form))
    function = next(one for one in tree.body if isinstance(one, ast.FunctionDef))
    assign = next(one for one in function.body if isinstance(one, ast.Assign))
    assert isinstance(assign.value, ast.Dict)
    keys = [key.value for key in assign.value.keys if isinstance(key, ast.Constant)]
    assert keys == [name, "n"]
