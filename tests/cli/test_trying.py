"""``challenge`` and ``replay`` as they are typed."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from relevo.ids import uuid7
from relevo.journal import Journal
from relevo.records import CHALLENGER
from support import project, service, small

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.workspace import Workspace


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    return service.workspace(tmp_path, {}, service.SECOND)


def log(made: Workspace, stream: str = "predictions", **changes: Any) -> None:
    """Log forty predictions of 1.0.0 that were all negative."""
    journal, rng = Journal.open(made.logs, stream), random.Random(1)
    for _ in range(40):
        row = {
            "id": uuid7(),
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "project": "flights",
            "version": "1.0.0",
            "digest": "d" * 64,
            "probability": 0.25,
            "decision": False,
            "label": "on time",
            **changes,
            "request": small.body(small.request(rng)),
        }
        journal.write(json.dumps(row).encode() + b"\n")
    journal.close()


def test_a_canary_is_begun_shown_and_ended(made: Workspace, tmp_path: Path) -> None:
    words = ("challenge", "1.0.1", "--canary", "12.5%", "--by", "Vlo-I", "--why", "to see", "-p", tmp_path)
    begun = project.call(*words, "--json").document
    assert (begun["act"], begun["alias"], begun["why"]) == ("challenge", CHALLENGER, "to see")
    assert begun["facts"] == {"mode": "canary", "share": 0.125, "by": "flight"}
    assert "@" in begun["who"]
    assert "1.0.1 as a canary for 12.5% of the callers by flight" in project.call("status", tmp_path).out
    tried = project.call("status", tmp_path, "--json").document["challenger"]
    assert (tried["mode"], tried["share"], tried["release"]) == ("canary", 0.125, begun["number"])
    assert project.call("challenge", "--end", "-p", tmp_path).out == "1.0.1 is tried no longer.\n"
    assert project.call("status", tmp_path, "--json").document["challenger"] is None
    shown = project.call("history", tmp_path)
    assert [row["act"] for row in project.call("history", tmp_path, "--json").document["releases"]] == [
        "promote",
        "challenge",
        "withdraw",
    ]
    assert shown.out.endswith("3 releases; the chain verifies.\n")


def test_a_shadow_is_begun_and_status_says_how_many_decisions_differ(made: Workspace, tmp_path: Path) -> None:
    done = project.call("challenge", "1.0.1", "--shadow", "--cpu", "0.3", "-p", tmp_path)
    assert done.out.startswith("Tried: 1.0.1 as a shadow on at most 30% of a processor, since 20")
    log(made, "shadows", version="1.0.1", differs=False)
    log(made, "shadows", version="1.0.1", differs=True)
    assert "It answered 80 requests; 40 decisions differ (50.0%)." in project.call("status", tmp_path).out
    tried = project.call("status", tmp_path, "--json").document["challenger"]
    assert (tried["answered"], tried["differing"]) == (80, 40)


def test_promoting_what_is_tried_ends_the_trial(made: Workspace, tmp_path: Path) -> None:
    project.call("challenge", "1.0.1", "--shadow", "-p", tmp_path)
    project.call("promote", "1.0.1", "-p", tmp_path)
    assert made.ledger.standing("flights", CHALLENGER) is None
    assert project.call("history", tmp_path).out.count("withdraw") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1.0.0", "--shadow"], "1.0.0 is the champion"),
        (["7.0.0", "--shadow"], "There is no version 7.0.0"),
        (["1.0.1", "--canary", "0%"], "“0%” is not a share"),
        (["1.0.1", "--canary", "101%"], "is not a share"),
        (["1.0.1", "--canary", "nan"], "is not a share"),
        (["1.0.1", "--shadow", "--cpu", "2"], "is not a share"),
        (["1.0.1", "--canary", "10%", "--by", "colour"], "The request has no field colour. Its fields are: "),
        (["--end"], "Nothing is tried beside the champion"),
    ],
)
def test_what_cannot_be_tried_says_why(
    made: Workspace, tmp_path: Path, words: list[str], message: str
) -> None:
    done = project.call("challenge", *words, "-p", tmp_path)
    assert done.code == 1
    assert message in done.err
    assert len(made.ledger.releases("flights")) == 1


@pytest.mark.parametrize(
    "words", [[], ["1.0.1"], ["1.0.1", "--end"], ["--shadow"], ["1.0.1", "--shadow", "--canary", "10%"]]
)
def test_a_mistyped_challenge_is_told(made: Workspace, tmp_path: Path, words: list[str]) -> None:
    done = project.call("challenge", *words, "-p", tmp_path)
    assert done.code == 2
    assert len(made.ledger.releases("flights")) == 1


def test_nothing_is_tried_where_nothing_was_released(tmp_path: Path) -> None:
    service.workspace(tmp_path, release="")
    done = project.call("challenge", "1.0.0", "--shadow", "-p", tmp_path)
    assert (done.code, "There is no champion" in done.err) == (1, True)


def test_replay_tells_what_would_have_changed(made: Workspace, tmp_path: Path) -> None:
    log(made)
    found = project.call("replay", "1.0.1", "--since", "1h", "-p", tmp_path, "--json").document
    assert (found["rows"], found["version"], found["by"]) == (40, "1.0.1", "probability")
    assert found["to_no"] == 0
    shown = project.call("replay", "1.0.1", "--since", "2020-01-01", "-p", tmp_path).out
    assert shown.startswith("1.0.1 would have changed ")
    assert f"of 40 decisions since 2020-01-01T00:00:00+00:00: {found['to_yes']} to “late”" in shown
    assert "airline" in shown
    again = project.call("replay", "1.0.0", "-p", tmp_path).out
    assert "40 more were its own answers." in again


@pytest.mark.parametrize(
    ("words", "code"),
    [(["7.0.0"], 1), (["1.0.1", "--since", "lately"], 2), (["1.0.1", "--since", "9" * 30 + "d"], 2)],
)
def test_a_replay_that_cannot_be_done_says_why(
    made: Workspace, tmp_path: Path, words: list[str], code: int
) -> None:
    done = project.call("replay", *words, "-p", tmp_path)
    assert (done.code, "Traceback" in done.err) == (code, False)
