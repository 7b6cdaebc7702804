"""When who follows the champion asks the ledger: not while nothing is committed, and again when it broke off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from relevo import challenge, keys, lookups
from relevo.errors import LedgerError
from relevo.ids import uuid7
from relevo.journal import Journal
from relevo.records import CHAMPION
from relevo.serving import challenger
from relevo.serving.access import Access
from relevo.serving.counting import Counting
from relevo.serving.follow import Follower
from relevo.serving.ids import Ids
from relevo.serving.metrics import Metrics
from relevo.serving.predict import Predict
from support import service
from support.service import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from relevo.workspace import Workspace


def following(made: Workspace, folder: Path) -> tuple[Follower, Predict, Access]:
    """Who follows the champion, for a service of one process."""
    metrics = Metrics()
    counting = Counting(Journal.open(folder / "counts"), metrics)
    predict = Predict(
        Journal.open(folder / "log"), metrics, Ids(), counting, project="flights", alias=CHAMPION
    )
    access = Access(made, "flights", None)
    follower = Follower(made, "flights", CHAMPION, predict, metrics, access, None)
    follower.begin(lead=False, gather=list)
    return follower, predict, access


def test_a_ledger_that_stands_still_is_not_asked(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, service.SECOND)
    follower, predict, access = following(made, tmp_path)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        found = follower.look()
        assert found is not None
        predict.swap(found)

        def rests() -> bool:
            asked.clear()
            assert follower.look() is None
            return not asked

        until(rests)
        assert not access.required
        record, _ = keys.create("flights", uuid7(), ["predict"], who="test", expires=None)
        made.ledger.keys.add(record)
        follower.look()
        required: bool = access.required
        assert required
        until(rests)
        challenge.canary(made, "flights", "1.0.1", share=0.5, who="test")
        follower.look()
        assert follower.challenger is not None
        assert follower.challenger.strategy is not None
        until(rests)
        service.promote(made, "1.0.1")
        found = follower.look()
        assert found is not None
        assert found.version.version == "1.0.1"
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_what_was_found_when_the_ledger_went_away_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service.workspace(tmp_path, {}, service.SECOND)
    follower, predict, _ = following(made, tmp_path)
    found = follower.look()
    assert found is not None
    predict.swap(found)
    service.promote(made, "1.0.1")

    def away(*_: Any) -> Any:
        raise LedgerError("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(lookups, "facts", away)  # the last question about a version, after it was loaded
        assert follower.look() is None
    found = follower.look()
    assert found is not None
    assert found.version.version == "1.0.1"


def test_a_canary_that_could_not_be_asked_about_is_tried_again_and_is_no_refused_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service.workspace(tmp_path, {}, service.SECOND)
    follower, predict, _ = following(made, tmp_path)
    found = follower.look()
    assert found is not None
    predict.swap(found)
    challenge.canary(made, "flights", "1.0.1", share=0.5, who="test")
    tried = follower.challenger
    assert tried is not None
    monkeypatch.setattr(challenger, "_RETRY", 0.0)

    def away(*_: Any) -> Any:
        raise LedgerError("the connection broke")

    with monkeypatch.context() as broken:
        broken.setattr(challenger, "lookups", SimpleNamespace(facts=away))
        follower.look()
        tried.take()
    assert (predict.canary, tried.note) == (None, "the connection broke")
    follower.look()
    tried.take()
    assert predict.canary is not None
    assert predict.canary.served.version.version == "1.0.1"
    assert (tried.note, predict.metrics.refused_packages) == ("", 0)
