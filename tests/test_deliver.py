"""Carrying messages, through real servers that fail as servers do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from relevo import alerting
from relevo.alarm import Changes
from relevo.channels import AlertSettings
from relevo.clock import VARIABLE, Pace
from relevo.deliver import Delivered, deliver, due, try_out
from relevo.errors import WorkspaceError
from relevo.findings import PAGE, WARN, Finding
from relevo.ledger import Ledger
from relevo.notify import messages
from support.alarms import a_message
from support.loopback import Asked, Loopback, answering, held_port, reply
from support.mailing import PASSWORD, smtp
from support.mailing import settings as mail
from support.times import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.records import Delivery

P = "flights"
SECRET = "correct-horse-battery-staple"  # noqa: S105 - made for the test


class Site:
    """A receiver that answers as it is told: a status, or seconds to wait before it hangs up."""

    def __init__(self) -> None:
        self.status = 200
        self.hang = 0.0
        self.server = Loopback("")

    def answer(self, _: Asked) -> bytes | None:
        if self.hang:
            time.sleep(self.hang)
            return None
        return reply(self.status)

    @property
    def ids(self) -> list[str]:
        return [json.loads(asked.body)["id"] for asked in self.server.asked]

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(asked.body) for asked in self.server.asked]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    with answering(made.answer) as made.server:
        yield made


@pytest.fixture
def other() -> Iterator[Site]:
    made = Site()
    with answering(made.answer) as made.server:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def hook(site: Site, **changes: Any) -> dict[str, Any]:
    return {"url": site.server.url, "secret": SECRET, "timeout": 60, **changes}


def settings(**webhooks: dict[str, Any]) -> AlertSettings:
    return AlertSettings.model_validate({"webhooks": webhooks})


def queue(ledger: Ledger, count: int, channel: str = "webhooks.ops", language: str = "en") -> list[str]:
    """Queue messages; gives their ids, in order."""
    before = {one.id for one in ledger.outbox.all(P)}
    made = tuple(a_message(P, channel, message=messages.trial(P, language)) for _ in range(count))
    ledger.alerts.change(P, lambda _: Changes(deliveries=made))
    return sorted({one.id for one in ledger.outbox.all(P)} - before)


def states(ledger: Ledger, channel: str = "webhooks.ops") -> list[str]:
    return [one.status for one in ledger.outbox.all(P)[::-1] if one.channel == channel]


def newest(ledger: Ledger, channel: str = "webhooks.ops") -> Delivery:
    return next(one for one in ledger.outbox.all(P) if one.channel == channel)


def signals(ledger: Ledger) -> list[str]:
    return [alarm.alert.signal for alarm in ledger.alerts.all(P)]


def until(ledger: Ledger, given: AlertSettings, clock: Clock, tries: int) -> Delivered:
    """Deliver so often, with time enough in between for the next try."""
    for _ in range(tries):
        done = deliver(ledger, P, given)
        clock.go(minutes=16)
    return done


def test_what_waits_goes_out_in_order_once(ledger: Ledger, site: Site) -> None:
    wanted = queue(ledger, 5)
    done = deliver(ledger, P, settings(ops=hook(site)))
    assert (done.sent, done.failed, done.waiting, done.errors) == (5, 0, 0, {})
    assert site.ids == wanted
    assert deliver(ledger, P, settings(ops=hook(site))).sent == 0
    assert newest(ledger).sent_at


def test_a_channel_that_is_down_for_a_while_loses_nothing_and_keeps_the_order(
    ledger: Ledger, site: Site, clock: Clock
) -> None:
    first = queue(ledger, 2)
    site.status = 503
    given = settings(ops=hook(site))
    done = until(ledger, given, clock, 4)
    assert (done.sent, done.waiting) == (0, 2)
    assert done.errors == {"webhooks.ops": f"{site.server.url[7:]} answers 503."}
    assert site.ids == [first[0]] * 4
    second = queue(ledger, 2)
    site.status = 200
    assert deliver(ledger, P, given).sent == 4
    assert site.ids[4:] == first + second


def test_tries_are_spaced_out(
    ledger: Ledger, site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relevo.backoff.random", SimpleNamespace(uniform=lambda _, most: most))
    queue(ledger, 1)
    site.status = 500
    given = settings(ops=hook(site))
    for seconds, tries in ((0, 1), (11, 2), (21, 3), (15, 3), (26, 4)):  # 10, 20, 40
        clock.go(seconds=seconds)
        deliver(ledger, P, given)
        assert len(site.ids) == newest(ledger).tries == tries


def test_a_wait_that_a_server_asks_for_is_kept_up_to_an_hour(ledger: Ledger, clock: Clock) -> None:
    queue(ledger, 1)
    with answering(lambda _: reply(429, retry_after="1000000")) as server:
        given = settings(ops={"url": server.url, "secret": SECRET})
        deliver(ledger, P, given)
        clock.go(minutes=59)
        deliver(ledger, P, given)
        assert len(server.asked) == 1
        clock.go(minutes=2)
        deliver(ledger, P, given)
        assert len(server.asked) == 2


def test_one_that_hangs_does_not_hold_the_others(ledger: Ledger, site: Site, other: Site) -> None:
    queue(ledger, 3)
    wanted = queue(ledger, 3, "webhooks.chat")
    site.hang = 60
    began = time.monotonic()
    done = deliver(ledger, P, settings(ops=hook(site, timeout=0.5), chat=hook(other)))
    assert time.monotonic() - began < 30
    assert other.ids == wanted
    assert done.errors == {"webhooks.ops": f"{site.server.url[7:]} does not answer in time."}


def test_a_channel_that_fails_is_an_alert_on_the_others_until_it_works(
    ledger: Ledger, site: Site, other: Site, clock: Clock
) -> None:
    given = settings(ops=hook(site), chat=hook(other))
    queue(ledger, 1)
    site.status = 500
    until(ledger, given, clock, 2)
    assert (signals(ledger), other.told) == ([], []), "a passing fault is none"
    until(ledger, given, clock, 3)
    assert signals(ledger) == ["channel:webhooks.ops"]
    assert [one["subject"] for one in other.told] == [
        "[flights] warning: The channel webhooks.ops carries nothing"
    ]
    assert "answers 500." in other.told[0]["text"]
    site.status = 200
    deliver(ledger, P, given)
    assert signals(ledger) == []
    assert [one["kind"] for one in other.told] == ["alert", "resolved"]
    assert [one["kind"] for one in site.told if one["kind"] != "test"] == []


def test_two_channels_that_fail_report_each_other_without_end(
    ledger: Ledger, site: Site, other: Site, clock: Clock
) -> None:
    given = settings(ops=hook(site), chat=hook(other))
    queue(ledger, 1)
    site.status = other.status = 500
    until(ledger, given, clock, 12)
    assert sorted(signals(ledger)) == ["channel:webhooks.chat", "channel:webhooks.ops"]
    assert len(ledger.outbox.all(P)) == 3
    site.status = other.status = 200
    until(ledger, given, clock, 2)
    assert signals(ledger) == []
    assert set(states(ledger) + states(ledger, "webhooks.chat")) == {"sent"}


def test_after_a_day_of_failures_a_message_is_given_up_and_that_is_told(
    ledger: Ledger, site: Site, clock: Clock
) -> None:
    queue(ledger, 1)
    site.status = 500
    given = settings(ops=hook(site))
    until(ledger, given, clock, 4)
    clock.go(days=1)
    until(ledger, given, clock, 1)
    assert states(ledger) == ["failed"]
    assert "answers 500." in newest(ledger).error
    assert signals(ledger) == ["channel:webhooks.ops"]


def test_a_clock_that_jumps_ahead_does_not_give_up_what_was_hardly_tried(
    ledger: Ledger, site: Site, clock: Clock
) -> None:
    queue(ledger, 1)
    site.status = 500
    given = settings(ops=hook(site))
    deliver(ledger, P, given)
    clock.go(days=400)
    deliver(ledger, P, given)
    assert states(ledger) == ["waiting"]
    clock.go(days=-400)
    site.status = 200
    deliver(ledger, P, given)
    assert states(ledger) == ["sent"], "a time a year ahead does not hold it"


def test_a_message_refused_for_good_does_not_hold_those_behind_it(ledger: Ledger) -> None:
    one, two = queue(ledger, 2)

    def answer(asked: Asked) -> bytes:
        return reply(400 if json.loads(asked.body)["id"] == one else 200)

    with answering(answer) as server:
        done = deliver(ledger, P, settings(ops={"url": server.url, "secret": SECRET}))
    assert (done.sent, done.failed) == (1, 1)
    assert states(ledger) == ["failed", "sent"]
    assert signals(ledger) == ["channel:webhooks.ops"], "it is not passed over in silence"
    assert [json.loads(asked.body)["id"] for asked in server.asked] == [one, two]


def test_what_waits_for_a_channel_that_was_removed_fails_with_the_reason(
    ledger: Ledger, site: Site, other: Site, clock: Clock
) -> None:
    both = settings(ops=hook(site), chat=hook(other))
    site.status = 500
    queue(ledger, 2)
    until(ledger, both, clock, 3)
    assert signals(ledger) == ["channel:webhooks.ops"]
    done = deliver(ledger, P, settings(chat=hook(other)))
    assert done.channels["webhooks.ops"].failed == 2
    assert states(ledger) == ["failed", "failed"]
    assert newest(ledger).error == "The channel webhooks.ops is no longer in the settings."
    assert signals(ledger) == []


def test_a_page_that_nobody_acknowledged_is_escalated_by_the_next_delivery(
    ledger: Ledger, site: Site, other: Site, clock: Clock
) -> None:
    given = settings(ops=hook(site), head=hook(other, role="escalation", language="es"))
    loss = Finding(kind="loss", about="f1", severity=PAGE, value=0.3, expected=0.5, low=0.2, high=0.4, rows=9)
    alerting.raise_findings(ledger, P, [loss], window=0, settings=given)
    deliver(ledger, P, given)
    clock.go(minutes=31)
    deliver(ledger, P, given)
    assert ([one["kind"] for one in site.told], [one["kind"] for one in other.told]) == (
        ["alert"],
        ["escalation"],
    )
    assert other.told[0]["subject"] == "[flights] urgente, sin reconocer: f1 empeoró"


def test_there_is_something_to_do_when_a_page_is_overdue(
    ledger: Ledger, site: Site, other: Site, clock: Clock
) -> None:
    """Whoever delivers only when there is must come for it."""
    first = settings(ops=hook(site))
    given = settings(ops=hook(site), head=hook(other, role="escalation"))
    loss = Finding(kind="loss", about="f1", severity=PAGE, value=0.3, expected=0.5, low=0.2, high=0.4, rows=9)
    alerting.raise_findings(ledger, P, [loss], window=0, settings=given)
    assert due(ledger, P, given), "the page itself waits"
    deliver(ledger, P, given)
    clock.go(minutes=29)
    assert not due(ledger, P, given)
    clock.go(minutes=2)
    assert (due(ledger, P, given), due(ledger, P, first)) == (True, False)
    deliver(ledger, P, given)
    assert [one["kind"] for one in other.told] == ["escalation"]
    assert not due(ledger, P, given)


def test_there_is_something_to_do_when_the_first_message_of_a_channel_is_due(
    ledger: Ledger, site: Site, clock: Clock
) -> None:
    given = settings(ops=hook(site))
    assert not due(ledger, P, given)
    site.status = 500
    queue(ledger, 2)
    assert due(ledger, P, given)
    deliver(ledger, P, given)
    assert not due(ledger, P, given), "the second waits behind the first"
    clock.go(minutes=15)
    assert due(ledger, P, given)


def test_a_clock_that_is_set_back_holds_no_message(ledger: Ledger, site: Site, clock: Clock) -> None:
    given = settings(ops=hook(site))
    queue(ledger, 1)
    clock.go(days=-2)
    assert due(ledger, P, given)
    deliver(ledger, P, given)
    assert (len(site.told), due(ledger, P, given)) == (1, False)


def test_several_who_deliver_at_once_send_each_message_once(
    ledger: Ledger, site: Site, tmp_path: Path
) -> None:
    wanted = queue(ledger, 30)
    ledgers = [Ledger(tmp_path / "ledger.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: deliver(one, P, settings(ops=hook(site))), ledgers))
    deliver(ledger, P, settings(ops=hook(site)))
    assert site.ids == wanted


def test_mail_with_some_recipients_refused_is_sent_and_reported(
    ledger: Ledger, other: Site, tmp_path: Path
) -> None:
    with smtp(tmp_path) as box:
        box.refused = {"gone@example.com": "550 5.1.1 no such user"}
        given = AlertSettings.model_validate(
            {
                "email": {"oncall": mail(box, to=["oncall@example.com", "gone@example.com"])},
                "webhooks": {"chat": hook(other)},
            }
        )
        queue(ledger, 1, "email.oncall")
        done = deliver(ledger, P, given)
        assert len(box.mails) == 1
        assert states(ledger, "email.oncall") == ["sent"]
        assert "refuses 1 of 2 recipients" in done.errors["email.oncall"]
        assert signals(ledger) == ["channel:email.oncall"]
        assert len(other.told) == 1


def test_a_mail_server_that_comes_up_late_gets_one_copy_of_each(
    ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    with held_port() as port:
        with smtp(tmp_path, port=port) as box:
            given = AlertSettings.model_validate({"email": {"oncall": mail(box)}})
        found = [
            Finding(kind="nulls", about=name, severity=WARN, value=0.9, expected=0.1, rows=9)
            for name in "abc"
        ]
        for finding in found:
            alerting.raise_findings(ledger, P, [finding], window=0, settings=given)
        assert "Connection refused" in until(ledger, given, clock, 2).errors["email.oncall"]
        with smtp(tmp_path, port=port) as box:
            given = AlertSettings.model_validate({"email": {"oncall": mail(box)}})
            assert until(ledger, given, clock, 2).waiting == 0
    assert [str(one["Subject"]) for one in box.mails] == [
        f"[flights] warning: {name} is missing" for name in "abc"
    ]
    assert len({one["Message-ID"] for one in box.mails}) == 3


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a library that Apprise imports
def test_no_secret_is_written_anywhere(
    ledger: Ledger,
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with held_port() as nobody:
        oncall = {"host": "127.0.0.1", "port": nobody, "from": "a@b", "to": ["c@d"], "user": "u"}
        ops = {"url": f"http://127.0.0.1:{nobody}/{PASSWORD}?k={PASSWORD}", "secret": PASSWORD}
        chat = {"urls": f"json://u:{PASSWORD}@127.0.0.1:{nobody}/{PASSWORD}", "timeout": 1}
        given = AlertSettings.model_validate(
            {
                "email": {"oncall": {**oncall, "password": PASSWORD}},
                "webhooks": {"ops": ops},
                "apprise": {"chat": chat},
            }
        )
        for channel in given.channels:
            queue(ledger, 1, channel)
        with caplog.at_level("DEBUG", "relevo"):
            done = until(ledger, given, clock, 3)
            tried = try_out(P, given)
    assert set(done.errors) == set(tried) == set(given.channels)
    assert len(signals(ledger)) == 3
    out, err = capfd.readouterr()
    ledger.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    said = f"{done}{tried}{given!r}{given}{caplog.text}{out}{err}"
    assert PASSWORD not in said
    assert PASSWORD.encode() not in kept


def test_trying_out_says_of_each_channel_whether_it_works(site: Site, other: Site) -> None:
    other.status = 500
    given = settings(ops=hook(site), chat=hook(other))
    assert try_out(P, given) == {
        "webhooks.ops": "",
        "webhooks.chat": f"{other.server.url[7:]} answers 500.",
    }
    assert try_out(P, given, "webhooks.ops") == {"webhooks.ops": ""}
    assert [one["kind"] for one in site.told] == ["test", "test"]
    with pytest.raises(
        WorkspaceError, match=r"no channel email.x. Channels are: webhooks.ops, webhooks.chat"
    ):
        try_out(P, given, "email.x")


@pytest.mark.slow
def test_killed_while_delivering_each_message_arrives_once_or_again_under_its_id(tmp_path: Path) -> None:
    reached, dead = threading.Event(), threading.Semaphore(0)
    asked: list[str] = []

    def answer(one: Asked) -> bytes | None:
        asked.append(json.loads(one.body)["id"])
        if len(asked) not in {7, 14}:
            return reply(200)
        reached.set()
        dead.acquire()
        return None

    (tmp_path / ".relevo").mkdir()
    ledger = Ledger(tmp_path / ".relevo" / "ledger.db")
    (tmp_path / ".relevo" / "project").write_text(P)
    wanted = queue(ledger, 20)
    with answering(answer) as server:
        (tmp_path / "relevo.toml").write_text(
            f'[alerts.webhooks.ops]\nurl = "{server.url}"\nsecret_file = "secret"\ntimeout = 60\n'
        )
        (tmp_path / "secret").write_text(SECRET)
        command = [sys.executable, "-m", "relevo", "deliver", str(tmp_path), "--json"]
        killed = 0
        deadline = time.monotonic() + 600
        while ledger.outbox.waiting(P) and time.monotonic() < deadline:
            reached.clear()
            later = Pace(time.time() + 200 * killed, 1.0, time.time())  # what the dead had claimed is free
            variables = {**os.environ, VARIABLE: later.text()}
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=variables) as process:
                while process.poll() is None and not reached.wait(0.05):
                    pass
                if reached.is_set():
                    process.kill()
                    process.wait()
                    killed += 1
                    dead.release()
    assert killed == 2
    assert [one.status for one in ledger.outbox.all(P)] == ["sent"] * 20
    assert list(dict.fromkeys(asked)) == wanted
    assert len(asked) == 22
