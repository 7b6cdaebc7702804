"""``relevo alerts`` and ``relevo deliver``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo import alerting
from relevo.findings import PAGE, WARN, Finding
from relevo.workspace import Workspace
from support.loopback import answering, reply
from support.project import call

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Alert

SECRET = "correct-horse-battery-staple"  # noqa: S105 - made for the test
FOUND = [
    Finding(kind="loss", about="f1", severity=PAGE, value=0.3, expected=0.5, low=0.2, high=0.4, rows=900),
    Finding(kind="nulls", about="age", severity=WARN, value=0.9, expected=0.1, rows=1000),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    workspace = Workspace.open(tmp_path)
    workspace.remember("flights")
    workspace.ledger.projects()  # makes it
    (tmp_path / "secret").write_text(SECRET)
    return tmp_path


def channel(folder: Path, url: str, name: str = "ops") -> None:
    with (folder / "relevo.toml").open("a", encoding="utf-8") as file:
        file.write(f'[alerts.webhooks.{name}]\nurl = "{url}"\nsecret_file = "secret"\ntimeout = 2\n')


def raised(folder: Path) -> list[Alert]:
    workspace = Workspace.open(folder)
    return alerting.raise_findings(
        workspace.ledger, "flights", FOUND, window=0, settings=workspace.settings.alerts
    )


def test_without_alerts_that_is_said(folder: Path) -> None:
    assert call("alerts", folder).out == "No alert is open.\n"
    assert call("alerts", "--json", "-p", folder).document == []


def test_what_is_open_is_listed_and_what_is_resolved_with_all(folder: Path) -> None:
    loss, nulls = raised(folder)
    listed = call("alerts", folder).out
    assert listed.count("\n") == 3
    assert f"{loss.id}  urgent" in listed
    assert "age is missing" in listed
    done = call("alerts", "resolve", nulls.id, "--why", "mended", "-p", folder)
    assert (done.code, done.out) == (0, f"{nulls.id} is resolved: age is missing\n")
    assert [one["id"] for one in call("alerts", folder, "--json").document] == [loss.id]
    every = call("alerts", "list", folder, "--all", "--json").document
    assert {(one["id"], one["state"]) for one in every} == {(loss.id, "open"), (nulls.id, "resolved")}


def test_several_are_acknowledged_at_once_and_only_once(folder: Path) -> None:
    made = raised(folder)
    done = call("alerts", "ack", *(alert.id for alert in made), "--why", "I look", "-p", folder, "--json")
    assert [one["state"] for one in done.document] == ["acknowledged", "acknowledged"]
    again = call("alerts", "ack", made[0].id, "-p", folder)
    assert again.code == 1
    assert "was acknowledged by" in again.err
    assert call("alerts", "ack", "nonsense", "-p", folder).code == 1


def test_an_alert_is_shown_with_what_happened_and_who_was_told(folder: Path) -> None:
    with answering(lambda _: reply(200)) as server:
        channel(folder, server.url)
        loss, _ = raised(folder)
        assert call("deliver", folder).out == "webhooks.ops: 2 sent, 0 waiting, 0 given up.\n"
    call("alerts", "ack", loss.id[:6], "--why", "I look", "-p", folder)
    shown = call("alerts", "show", loss.id, "-p", folder).out
    assert "f1 is 0.300 [0.200, 0.400] on 900 labelled rows; it was 0.500." in shown
    assert "The model answers worse than it did." in shown
    assert "acknowledged" in shown
    assert "I look" in shown
    facts = call("alerts", "show", loss.id, "-p", folder, "--json").document
    assert [event["event"] for event in facts["events"]] == ["opened", "acknowledged"]
    assert [(one["channel"], one["status"], one["tries"]) for one in facts["deliveries"]] == [
        ("webhooks.ops", "sent", 1)
    ]


def test_a_delivery_that_fails_ends_with_one(folder: Path) -> None:
    with answering(lambda _: reply(500)) as bad, answering(lambda _: reply(200)) as good:
        channel(folder, bad.url)
        channel(folder, good.url, "chat")
        raised(folder)
        done = call("deliver", folder)
    assert done.code == 1
    assert "webhooks.ops: 0 sent, 2 waiting, 0 given up. 127.0.0.1:" in done.out
    assert "webhooks.chat: 2 sent, 0 waiting, 0 given up.\n" in done.out
    assert SECRET not in done.out + done.err
    assert call("deliver", folder, "--json").document["webhooks.ops"]["waiting"] == 2


def test_channels_are_tested_now(folder: Path) -> None:
    assert call("alerts", "test", "-p", folder).code == 1
    with answering(lambda _: reply(500)) as bad, answering(lambda _: reply(200)) as good:
        channel(folder, bad.url)
        channel(folder, good.url, "chat")
        done = call("alerts", "test", "-p", folder)
        one = call("alerts", "test", "--channel", "webhooks.chat", "-p", folder, "--json")
        unknown = call("alerts", "test", "--channel", "webhooks.chta", "-p", folder)
    assert done.code == 1
    assert f"webhooks.ops: {bad.url[7:]} answers 500.\nwebhooks.chat: sent\n" == done.out
    assert (one.code, one.document) == (0, {"webhooks.chat": {"sent": True, "error": ""}})
    assert unknown.code == 1
    assert "Channels are: webhooks.ops, webhooks.chat." in unknown.err
    assert call("alerts", folder).out == "No alert is open.\n"
