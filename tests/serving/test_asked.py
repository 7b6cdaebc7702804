"""What a client asks, a real service answers: explanations, labels, recommendations and files."""

from __future__ import annotations

import asyncio
import csv
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from relevo import AsyncClient, Client
from relevo.client import Kept, Label
from relevo.errors import ServiceError
from support import histories, service, small
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.service import Service

Ask = Callable[..., Any]

pytestmark = pytest.mark.xdist_group("asked")  # one process makes what they share


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose package has rows to compare with."""
    root = tmp_path_factory.mktemp("flights")
    rng = random.Random(1)
    service.workspace(root, {"background": [small.body(small.request(rng)) for _ in range(30)]})
    started = service.start(root)
    yield started
    assert started.stop() == 0


@pytest.fixture(params=["blocking", "awaiting"])
def ask(request: pytest.FixtureRequest, flights: Service) -> Ask:
    """Call a method of a client by its name."""
    return asking(flights, request.param)


def asking(running: Service, kind: str) -> Ask:
    def blocking(method: str, *given: Any, **more: Any) -> Any:
        with Client(running.url) as client:
            return getattr(client, method)(*given, **more)

    def awaiting(method: str, *given: Any, **more: Any) -> Any:
        async def asked() -> Any:
            async with AsyncClient(running.url) as client:
                return await getattr(client, method)(*given, **more)

        return asyncio.run(asked())

    return blocking if kind == "blocking" else awaiting


def test_an_answer_is_explained(ask: Ask) -> None:
    explained = ask("explain", GOOD, log=False)
    assert explained.id == ""
    assert explained.explanation["fields"]


def test_labels_are_given_back_as_they_are_kept(ask: Ask) -> None:
    first, second = ask("predict", [GOOD, GOOD])
    given = [Label(first.id, "late"), {"id": second.id, "outcome": False}]
    kept = ask("label", given)
    assert [(one.outcome, one.label) for one in kept] == [(True, "late"), (False, "on time")]
    assert all(isinstance(one, Kept) for one in kept)
    assert [one.id for one in ask("label", given)] == [one.id for one in kept]
    with pytest.raises(ServiceError, match="outcome"):
        ask("label", [{"id": first.id, "outcome": "neither"}])


def test_a_file_is_scored(ask: Ask, tmp_path: Path) -> None:
    source, target = tmp_path / "rows.csv", tmp_path / "scored.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, GOOD)
        rows.writeheader()
        rows.writerows([GOOD] * 3)
    assert ask("score", source, target) == 3
    with target.open(encoding="utf-8", newline="") as file:
        assert len({row["probability"] for row in csv.DictReader(file)}) == 1


def test_items_are_recommended(tmp_path: Path) -> None:
    histories.workspace(tmp_path, weeks=4)
    running = service.start(tmp_path)
    found = [asking(running, kind)("recommend", 100, 3) for kind in ("blocking", "awaiting")]
    assert running.stop() == 0
    shown = [[(one.field, one.item, one.probability) for one in items] for items in found]
    assert shown[0] == shown[1]
    assert [field for field, _, _ in shown[0]] == ["product"] * 3
