"""Requests that keep the contract and still have no features or no probability are told so, each for itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support import arithmetics, service
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("features")  # one process makes what they share

FINE, NO_NUMBER, NO_PROBABILITY = (
    GOOD | {"Emp-I": "12", "Vlo-I": "3"},
    GOOD | {"Emp-I": "SKU"},
    GOOD | {"Emp-I": "12", "Vlo-I": "1e300"},
)


@pytest.fixture(scope="module")
def arithmetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    """A service whose features can fail."""
    root = tmp_path_factory.mktemp("arithmetic")
    service.workspace(root, arithmetics.changes())
    started = service.start(root)
    yield started
    assert started.stop() == 0


def entries(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 422, response.text
    found: list[dict[str, Any]] = response.json()["problems"]
    return found


def test_a_feature_without_a_value_is_a_problem_of_the_request(arithmetic: service.Service) -> None:
    (entry,) = entries(arithmetic.ask(NO_NUMBER))
    assert "has no value" in entry["problem"]
    assert "SKU" not in json.dumps(entry)
    (entry,) = entries(arithmetic.ask([FINE, NO_NUMBER]))
    assert entry["row"] == 1


def test_a_row_without_a_probability_is_a_problem_of_the_request(arithmetic: service.Service) -> None:
    (entry,) = entries(arithmetic.ask(NO_PROBABILITY))
    assert "no probability" in entry["problem"]
    (entry,) = entries(arithmetic.ask([FINE, FINE, NO_PROBABILITY]))
    assert entry["row"] == 2


def test_each_of_many_at_once_gets_what_is_its_own(arithmetic: service.Service) -> None:
    asked = [FINE, NO_NUMBER, NO_PROBABILITY] * 60
    with ThreadPoolExecutor(16) as pool, httpx.Client(base_url=arithmetic.url, timeout=60) as client:
        statuses = list(pool.map(lambda body: client.post("/v1/predict", json=body).status_code, asked))
    assert statuses == [200, 422, 422] * 60
    assert "Warning" not in arithmetic.said.read_text()
