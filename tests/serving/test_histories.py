"""The service looks history up in keyed files, and follows newer ones as it follows versions."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from relevo import lookups
from relevo.collect import collect
from relevo.package import ModelPackage
from support import histories, service
from support.service import until

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.workspace import Workspace

pytestmark = pytest.mark.slow  # each test starts services of its own

ASKED = [{"customer": c, "product": p} for c, p in itertools.product([100, 107, 1], [1, 2, 5, 20, 999])]
QUICK = 2.0  # seconds in which newer histories answer where the processor is not taken


def truth(root: Path, weeks: int, package: str = "package0") -> dict[str, float]:
    """What a package answers to each of ``ASKED`` when so many weeks have come."""
    loaded = ModelPackage.load(root / package)
    loaded.bind(histories.newest(weeks))
    requests = [loaded.validators.one.validate_python(body) for body in ASKED]
    return {
        str(body): answer.probability for body, answer in zip(ASKED, loaded.predict(requests), strict=True)
    }


def shown(running: service.Service, name: str = "pairs") -> dict[str, Any]:
    """A history on the model's card."""
    card = running.client.get("/v1/model").json()
    return next(one for one in card["histories"] if one["name"] == name)


def digest(made: Workspace, name: str = "pairs") -> str:
    """The newest file's."""
    return next(one.sha256 for one in made.ledger.materialisations(histories.PROJECT) if one.name == name)


def test_what_is_known_of_a_key_is_answered_shown_and_logged(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=4)
    running = service.start(tmp_path)
    wanted = truth(tmp_path, 4)
    for body in ASKED:
        assert running.ask(body).json()["probability"] == wanted[str(body)]
    assert [a["probability"] for a in running.ask(ASKED).json()] == [wanted[str(b)] for b in ASKED]
    pairs = shown(running)
    assert (pairs["rows"], pairs["newest_known_at"]) == (
        len(histories.newest(4)["pairs"]),
        "2024-01-22 00:00:00",
    )
    assert pairs["digest"] == digest(made)
    assert pairs["age_seconds"] > 86_400
    known = histories.newest(4)["pairs"]
    unknown = sum((body["customer"], body["product"]) not in known for body in ASKED)
    assert pairs["missing"] == 2 * unknown
    text = running.client.get("/metrics").text
    assert f'relevo_lookup_missing_total{{lookup="pairs"}} {2 * unknown}' in text
    assert f'relevo_lookup_missing_total{{lookup="buyers"}} {2 * 5}' in text
    assert f'relevo_lookup_rows{{lookup="buyers"}} {len(histories.CUSTOMERS)}' in text
    assert running.metric("relevo_lookup_age_seconds") > 2 * 86_400
    assert running.stop() == 0
    said = running.said.read_text()
    assert "The history pairs has" in said
    assert digest(made)[:12] in said
    collect(made)
    with made.lake.connect() as connection:
        made.lake.bind(connection, "predictions", as_="predictions")
        logged = connection.execute("select distinct histories from predictions").fetchall()
    identity = {name: digest(made, name)[:12] for name in ("buyers", "pairs")}
    assert [json.loads(text) for (text,) in logged] == [identity]


def test_newer_histories_under_load_fail_and_mix_no_answer(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=1)
    running = service.start(tmp_path)
    waited: list[float] = []

    def go_on() -> None:
        while len(waited) < 4 or (min(waited) >= QUICK and len(waited) < 12):
            histories.refresh(made, len(waited) + 2)
            began = time.monotonic()
            until(lambda: shown(running)["digest"] == digest(made))
            waited.append(time.monotonic() - began)

    load = service.press(running.url, ASKED, go_on)
    misses = shown(running)["missing"]
    assert running.metric("relevo_lookup_swaps_total") == len(waited)
    assert running.metric("relevo_swaps_total") == 0
    assert running.stop() == 0
    assert (load.others, load.broken) == ([], 0)
    truths = [truth(tmp_path, weeks) for weeks in range(1, len(waited) + 2)]
    assert len({str(one) for one in truths[:5]}) == 5
    for body, answer in load.answers:
        assert answer["probability"] in {one[str(body)] for one in truths}
    never = sum(body["product"] == 999 or body["customer"] == 1 for body, _ in load.answers)
    assert misses >= never > 0
    assert min(waited) < QUICK


def test_a_history_and_a_version_change_together(tmp_path: Path) -> None:
    """Each version looks up what it was packed with, whichever comes first."""
    lower = histories.PAIRS.replace("max(shop)", "max(lower(shop))")
    made = histories.workspace(tmp_path, {}, {"queries": {"pairs": lower}, "threshold": 0.8}, weeks=3)
    second = made.ledger.versions(histories.PROJECT)[0].version
    running = service.start(tmp_path)
    histories.promote(made, second)
    until(lambda: "pairs" in running.client.get("/v1/model").json()["note"])
    assert running.client.get("/ready").json()["version"] == "1.0.0"
    assert running.ask(ASKED[0]).json()["version"] == "1.0.0"
    assert "relevo run" in running.client.get("/v1/model").json()["note"]
    histories.refresh(made, 3, {"pairs": lower})
    until(lambda: running.ask(ASKED[0]).json()["version"] == second)
    assert running.client.get("/v1/model").json()["note"] == ""
    assert running.stop() == 0


def test_without_histories_it_is_not_ready_and_says_why(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=0)
    running = service.start(tmp_path)
    response = running.client.get("/ready")
    assert response.status_code == 503
    assert response.json()["reason"] == (
        "The history “pairs” is not at hand. `relevo run` in the project's folder makes it."
    )
    assert running.ask(ASKED[0]).status_code == 503
    histories.refresh(made, 2)
    until(lambda: running.client.get("/ready").status_code == 200)
    assert running.ask(ASKED[0]).json()["probability"] == truth(tmp_path, 2)[str(ASKED[0])]
    assert running.stop() == 0


def test_a_damaged_file_is_refused_and_the_one_before_stays(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=2)
    running = service.start(tmp_path)
    before = shown(running)["digest"]
    fact = next(m for m in made.ledger.materialisations(histories.PROJECT) if m.name == "pairs")
    path = lookups.place(made.lookups, fact)
    whole = path.read_bytes()
    broken = path.with_name(f"{'a' * 64}.lmdb")
    broken.write_bytes(whole[:-4096])
    made.ledger.save_materialisations([replace(fact, sha256="a" * 64)])
    until(lambda: "cut off or altered" in running.client.get("/v1/model").json()["note"])
    assert shown(running)["digest"] == before
    assert running.ask(ASKED[0]).json()["probability"] == truth(tmp_path, 2)[str(ASKED[0])]
    assert running.metric("relevo_refused_packages_total") == 1
    histories.refresh(made, 3)
    until(lambda: shown(running)["digest"] == digest(made))
    assert running.client.get("/v1/model").json()["note"] == ""
    assert running.ask(ASKED[0]).json()["probability"] == truth(tmp_path, 3)[str(ASKED[0])]
    assert running.stop() == 0
