"""Answers that are not logged, for those who watch the service."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import keys
from support.asgi import asking
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.asgi import Asker, Heard

OTHER = {**GOOD, "Emp-I": "LAN"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unlogged")


@pytest.fixture(scope="module")
def asker(root: Path) -> Iterator[Asker]:
    with asking(root) as made:
        yield made


def ask(asker: Asker, body: Any, query: str = "?log=false", **headers: str) -> Heard:
    return asker("POST", f"/v1/predict{query}", json.dumps(body).encode(), JSON | headers)


def logged(root: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (root / ".relevo" / "log").glob("predictions-*"))


@pytest.mark.parametrize("body", [GOOD, [GOOD, OTHER], [GOOD] * 700])
def test_the_answer_is_the_same_and_leaves_nothing_behind(asker: Asker, root: Path, body: Any) -> None:
    usual = ask(asker, body, "").json()
    served = asker.app.predict.served
    assert served is not None
    before = logged(root), list(served.decided), len(served.counts.found), dict(asker.app.metrics.predictions)
    quiet = ask(asker, body).json()
    several = isinstance(body, list)
    pairs = zip(usual, quiet, strict=True) if several else [(usual, quiet)]
    for one, other in pairs:
        assert one.pop("id") != other.pop("id")
        assert one == other
    assert (
        logged(root),
        list(served.decided),
        len(served.counts.found),
        asker.app.metrics.predictions,
    ) == before
    assert before[0] > 0


def test_saying_that_it_is_to_be_logged_logs_it(asker: Asker, root: Path) -> None:
    before = logged(root)
    assert ask(asker, GOOD, "?log=true").status == 200
    assert logged(root) == before + 1


@pytest.mark.parametrize("query", ["?log=no", "?log=", "?log=false&log=true", "?log=FALSE"])
def test_what_is_neither_yes_nor_no_is_refused(asker: Asker, root: Path, query: str) -> None:
    before = logged(root)
    heard = ask(asker, GOOD, query)
    assert heard.status == 422
    assert "log" in heard.body.decode()
    assert logged(root) == before


def test_what_is_asked_beside_it_is_read_as_ever(asker: Asker) -> None:
    assert "explanation" not in ask(asker, GOOD, "?log=false&explain=false").json()
    assert ask(asker, GOOD, "?log=false&explain=perhaps").status == 422
    assert ask(asker, [GOOD] * 17, "?log=false&explain=true").status == 413


@pytest.mark.parametrize(
    ("body", "status"), [([], 422), ({"Emp-I": 3}, 422), ([GOOD, {}], 422), ([GOOD] * 10_001, 413)]
)
def test_what_cannot_be_answered_is_refused_as_ever(asker: Asker, body: Any, status: int) -> None:
    served = asker.app.predict.served
    assert served is not None
    before = served.counts.refused, served.live.refused
    heard = ask(asker, body)
    assert (served.counts.refused, served.live.refused) == before  # no word about those who ask
    usual = ask(asker, body, "")
    assert heard.status == usual.status == status
    assert heard.json() | {"id": ""} == usual.json() | {"id": ""}


def test_who_may_only_ask_is_always_logged(tmp_path: Path) -> None:
    with asking(tmp_path) as asker:
        texts = {}
        for scopes in (("predict",), ("predict", "read"), ("admin",), ("read",)):
            made, texts[scopes] = keys.create(
                "flights", "test", scopes, who="test", expires=timedelta(days=1)
            )
            asker.app.access._workspace.ledger.keys.add(made)
        asker.app.access.look()
        found = {
            scopes: ask(asker, GOOD, authorization=f"Bearer {text}").status for scopes, text in texts.items()
        }
        assert found == {("predict",): 403, ("predict", "read"): 200, ("admin",): 200, ("read",): 403}
        assert ask(asker, GOOD).status == 401
        assert ask(asker, GOOD, "", authorization=f"Bearer {texts['predict',]}").status == 200
        assert logged(tmp_path) == 1
