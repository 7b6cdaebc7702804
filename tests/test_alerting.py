"""From findings to alerts, and who is told of them when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relevo import alerting
from relevo.channels import AlertSettings
from relevo.errors import LedgerError
from relevo.findings import NOTE, PAGE, WARN, Finding
from relevo.ledger import Ledger
from support.alarms import a_window
from support.times import Clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.alarm import Alarm
    from relevo.records import Alert, Delivery

P = "flights"
SETTINGS = AlertSettings.model_validate(
    {
        "webhooks": {
            "ops": {"url": "https://ops.example.com"},
            "boss": {"url": "https://boss.example.com", "role": "escalation"},
            "all": {"url": "https://all.example.com", "severity": "note", "language": "es"},
        }
    }
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def window(ledger: Ledger, day: int, look: str = "a", **changes: Any) -> int:
    """Record the window of a day of January; a later ``look`` is a window of its own."""
    facts = {
        "name": f"2026-01-{day:02d}",
        "began_at": f"2026-01-{day:02d}T00:00:00.000000+00:00",
        "ended_at": f"2026-01-{day + 1:02d}T00:00:00.000000+00:00",
        "inputs": look * 64,
    }
    return ledger.watch.add_window(a_window(P, **{**facts, **changes})).number


def nulls(about: str = "age", severity: str = WARN) -> Finding:
    return Finding(
        kind="nulls",
        about=about,
        severity=severity,
        value=0.9,
        expected=0.1,
        low=0.88,
        high=0.92,
        rows=1000,
        p=1e-9,
    )


def loss(severity: str = PAGE) -> Finding:
    return Finding(
        kind="loss", about="f1", severity=severity, value=0.3, expected=0.5, low=0.2, high=0.4, rows=9
    )


def found(ledger: Ledger, window: int, *findings: Finding) -> list[Alert]:
    return alerting.raise_findings(ledger, P, findings, window=window, settings=SETTINGS)


def calm(ledger: Ledger, window: int, *signals: str) -> list[Alert]:
    return alerting.quiet(ledger, P, window=window, seen=signals, settings=SETTINGS)


def sent(ledger: Ledger, channel: str = "webhooks.ops") -> list[Delivery]:
    """A channel's messages, in order."""
    return [one for one in ledger.outbox.all(P)[::-1] if one.channel == channel]


def kinds(ledger: Ledger, channel: str = "webhooks.ops") -> list[str]:
    return [one.message["kind"] for one in sent(ledger, channel)]


def only(ledger: Ledger) -> Alarm:
    (alarm,) = ledger.alerts.all(P, resolved=True)
    return alarm


def events(alarm: Alarm) -> list[str]:
    return [event.event for event in alarm.events]


def names(alerts: Sequence[Alert]) -> list[str]:
    return [alert.signal for alert in alerts]


class TestRaising:
    """One alert for each signal, one message for each window and severity."""

    def test_ten_features_of_one_window_are_ten_alerts_and_one_message(self, ledger: Ledger) -> None:
        made = found(ledger, window(ledger, 5), *(nulls(f"f{n}") for n in range(10)))
        assert names(made) == [f"nulls:f{n}" for n in range(10)]
        (message,) = sent(ledger)
        assert message.message["subject"] == "[flights] warning: f0 is missing, and 9 more"
        assert [one["signal"] for one in message.message["alerts"]] == names(made)
        assert message.message["window"]["name"] == "2026-01-05"
        assert (message.alert, message.status) == (made[0].id, "waiting")

    def test_each_severity_has_a_message_for_those_who_want_it(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls("a", NOTE), loss(), nulls("b"))
        assert [one.message["severity"] for one in sent(ledger)] == [PAGE, WARN]
        assert [one.message["severity"] for one in sent(ledger, "webhooks.all")] == [PAGE, WARN, NOTE]
        assert sent(ledger, "webhooks.boss") == []
        assert sent(ledger, "webhooks.all")[0].message["subject"] == "[flights] urgente: f1 empeoró"

    def test_the_same_window_again_changes_nothing(self, ledger: Ledger) -> None:
        number = window(ledger, 5)
        first = found(ledger, number, nulls(), loss())
        before = ledger.alerts.all(P), ledger.outbox.all(P)
        assert found(ledger, number, nulls(), loss()) == first
        assert (ledger.alerts.all(P), ledger.outbox.all(P)) == before

    def test_of_two_findings_of_one_signal_the_worse_counts(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls(), nulls(severity=PAGE), nulls())
        assert only(ledger).severity == PAGE
        assert len(only(ledger).events) == 1

    def test_nothing_found_writes_nothing(self, ledger: Ledger) -> None:
        assert found(ledger, window(ledger, 5)) == []
        assert ledger.alerts.all(P, resolved=True) == []

    def test_what_goes_on_is_recorded_each_time_and_told_once_a_day(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        for hour in range(25):
            found(ledger, window(ledger, 5, "abcdefghijklmnopqrstuvwxyz"[hour]), nulls())
            clock.go(hours=1)
        assert events(only(ledger)) == ["opened"] + ["again"] * 24
        assert kinds(ledger) == ["alert", "alert"]

    def test_what_gets_worse_is_told_at_once(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls())
        ledger.alerts.acknowledge(P, only(ledger).alert.id, who="ana", text="")
        found(ledger, window(ledger, 6), nulls(severity=PAGE))
        assert (only(ledger).state, only(ledger).severity) == ("open", PAGE)
        assert [one.message["severity"] for one in sent(ledger)] == [WARN, PAGE]

    def test_what_somebody_has_taken_on_is_not_told_again(self, ledger: Ledger, clock: Clock) -> None:
        found(ledger, window(ledger, 5), nulls())
        ledger.alerts.acknowledge(P, only(ledger).alert.id, who="ana", text="")
        clock.go(days=3)
        found(ledger, window(ledger, 8), nulls())
        assert events(only(ledger)) == ["opened", "acknowledged", "again"]
        assert kinds(ledger) == ["alert"]

    def test_a_clock_set_back_does_not_silence_an_alert_for_years(self, ledger: Ledger, clock: Clock) -> None:
        clock.set("2031-01-01T00:00:00")
        found(ledger, window(ledger, 5), nulls())
        clock.set("2026-01-06T00:00:00")
        found(ledger, window(ledger, 6), nulls())
        assert kinds(ledger) == ["alert", "alert"]

    def test_a_signal_too_long_for_the_ledger_ends_in_a_digest(self, ledger: Ledger) -> None:
        long = Finding(kind="cases", about="x" * 300, severity=PAGE)
        (alert,) = found(ledger, window(ledger, 5), long)
        assert len(alert.signal) == 200
        assert found(ledger, window(ledger, 6), long) == [alert]
        other = Finding(kind="cases", about="x" * 299 + "y", severity=PAGE)
        assert found(ledger, window(ledger, 6), other)[0].signal != alert.signal
        assert calm(ledger, window(ledger, 7), long.signal) == []
        assert names(calm(ledger, window(ledger, 8), long.signal)) == [alert.signal]


class TestQuiet:
    """Alerts end by themselves."""

    def test_two_quiet_windows_resolve_an_alert_and_tell_those_who_were_told(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls(), loss())
        assert calm(ledger, window(ledger, 6), "nulls:age", "loss:f1") == []
        alarms = calm(ledger, window(ledger, 7), "nulls:age")
        assert names(alarms) == ["nulls:age"]
        assert names([alarm.alert for alarm in ledger.alerts.all(P)]) == ["loss:f1"]
        assert kinds(ledger) == ["alert", "alert", "resolved"]
        assert sent(ledger)[-1].message["subject"] == "[flights] resolved: age is missing"
        assert "Not seen in 2 windows in a row." in sent(ledger)[-1].message["text"]
        assert sent(ledger, "webhooks.boss") == []

    def test_a_window_counts_once_however_often_it_is_looked_at(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls())
        for look in "abc":
            assert calm(ledger, window(ledger, 6, look), "nulls:age") == []
        assert events(only(ledger)) == ["opened", "quiet"]
        assert names(calm(ledger, window(ledger, 7), "nulls:age")) == ["nulls:age"]

    def test_a_finding_in_between_starts_the_count_anew(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls())
        calm(ledger, window(ledger, 6), "nulls:age")
        found(ledger, window(ledger, 7), nulls())
        assert calm(ledger, window(ledger, 8), "nulls:age") == []
        assert names(calm(ledger, window(ledger, 9), "nulls:age")) == ["nulls:age"]

    def test_what_was_not_looked_for_or_was_found_is_not_quiet(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls())
        for day in (6, 7, 8):
            number = window(ledger, day)
            calm(ledger, number, "nulls:other")
            alerting.quiet(
                ledger, P, window=number, seen=["nulls:age"], found=["nulls:age"], settings=SETTINGS
            )
        assert events(only(ledger)) == ["opened"]

    def test_windows_of_another_kind_or_from_before_say_nothing(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls())
        for day in (2, 3, 4):
            calm(ledger, window(ledger, day), "nulls:age")
        for day in (6, 7, 8):
            calm(ledger, window(ledger, day, unit="hour"), "nulls:age")
            calm(ledger, window(ledger, day, source="scores"), "nulls:age")
        assert events(only(ledger)) == ["opened"]

    def test_each_kind_of_window_that_raised_it_must_be_quiet(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5), nulls())
        found(ledger, window(ledger, 5, unit="week"), nulls())
        for day in (6, 7, 8, 9):
            assert calm(ledger, window(ledger, day), "nulls:age") == []
        calm(ledger, window(ledger, 12, unit="week"), "nulls:age")
        assert names(calm(ledger, window(ledger, 19, unit="week"), "nulls:age")) == ["nulls:age"]
        assert events(only(ledger)) == ["opened", "again", *["quiet"] * 4, "resolved"]

    def test_a_kind_of_window_that_is_made_no_more_is_not_waited_for(self, ledger: Ledger) -> None:
        """Three weeks without a week, while days have rows, say that weeks are looked at no longer."""
        found(ledger, window(ledger, 5), nulls())
        found(ledger, window(ledger, 5, unit="week"), nulls())
        for day in (*range(6, 12), 27):
            assert calm(ledger, window(ledger, day), "nulls:age") == []
        assert names(calm(ledger, window(ledger, 28), "nulls:age")) == ["nulls:age"]
        assert events(only(ledger)) == ["opened", "again", "quiet", "quiet", "resolved"]

    def test_one_in_which_nothing_came_is_waited_for(self, ledger: Ledger) -> None:
        """Without rows there may be no week to look at; nor do other sources say anything of it."""
        found(ledger, window(ledger, 5), nulls())
        found(ledger, window(ledger, 5, unit="week"), nulls())
        for day in range(6, 30):
            assert calm(ledger, window(ledger, day, source="scores"), "nulls:age") == []
            assert calm(ledger, window(ledger, day, rows=0), "nulls:age") == []

    def test_batches_are_not_waited_for_when_rows_have_a_time(self, ledger: Ledger) -> None:
        found(ledger, window(ledger, 5, source="arrivals", unit="batch", name="a.csv"), nulls())
        found(ledger, window(ledger, 6, source="arrivals"), nulls())
        assert calm(ledger, window(ledger, 7, source="arrivals"), "nulls:age") == []
        assert names(calm(ledger, window(ledger, 8, source="arrivals"), "nulls:age")) == ["nulls:age"]

    def test_looks_without_a_window_count_each(self, ledger: Ledger) -> None:
        case = Finding(kind="cases", about="leap day", severity=PAGE)
        found(ledger, 0, case)
        assert calm(ledger, 0, "cases:leap day") == []
        assert names(calm(ledger, 0, "cases:leap day")) == ["cases:leap day"]


class TestComingBack:
    """After an alert was resolved."""

    def ended(self, ledger: Ledger, finding: Finding) -> Alert:
        (alert,) = found(ledger, window(ledger, 5), finding)
        ledger.alerts.resolve(P, alert.id, who="ana", text="mended")
        return alert

    def test_within_a_day_it_is_the_same_alert(self, ledger: Ledger, clock: Clock) -> None:
        alert = self.ended(ledger, nulls())
        clock.go(hours=23)
        assert found(ledger, window(ledger, 6), nulls()) == [alert]
        assert events(only(ledger)) == ["opened", "resolved", "again"]
        assert only(ledger).state == "open"
        assert kinds(ledger) == ["alert"], "the day is not over"

    def test_a_page_that_comes_back_is_told_at_once(self, ledger: Ledger) -> None:
        self.ended(ledger, loss())
        found(ledger, window(ledger, 6), loss())
        assert kinds(ledger) == ["alert", "alert"]

    def test_later_it_is_a_new_one(self, ledger: Ledger, clock: Clock) -> None:
        alert = self.ended(ledger, nulls())
        clock.go(hours=25)
        (anew,) = found(ledger, window(ledger, 6), nulls())
        assert anew.id != alert.id
        assert kinds(ledger) == ["alert", "alert"]

    @pytest.mark.parametrize("hours", [1, 100])
    def test_another_look_at_the_window_it_was_about_does_not_bring_it_back(
        self, ledger: Ledger, clock: Clock, hours: int
    ) -> None:
        self.ended(ledger, nulls())
        clock.go(hours=hours)
        assert found(ledger, window(ledger, 5, "b"), nulls()) == []
        assert only(ledger).state == "resolved"
        assert len(found(ledger, window(ledger, 5, "b"), nulls(severity=PAGE))) == 1, "worse is news"


class TestEscalation:
    """Pages that nobody acknowledges."""

    def test_a_page_goes_to_the_channels_of_escalation_once(self, ledger: Ledger, clock: Clock) -> None:
        found(ledger, window(ledger, 5), loss(), nulls())
        clock.go(minutes=29)
        assert alerting.escalate(ledger, P, SETTINGS) == []
        clock.go(minutes=2)
        assert names(alerting.escalate(ledger, P, SETTINGS)) == ["loss:f1"]
        clock.go(hours=5)
        assert alerting.escalate(ledger, P, SETTINGS) == []
        (message,) = sent(ledger, "webhooks.boss")
        assert message.message["subject"] == "[flights] urgent, not acknowledged: f1 is worse"
        assert kinds(ledger) == ["alert", "alert"]

    def test_an_acknowledged_page_does_not(self, ledger: Ledger, clock: Clock) -> None:
        found(ledger, window(ledger, 5), loss())
        ledger.alerts.acknowledge(P, only(ledger).alert.id, who="ana", text="")
        clock.go(hours=5)
        assert alerting.escalate(ledger, P, SETTINGS) == []

    def test_a_page_that_comes_back_waits_anew(self, ledger: Ledger, clock: Clock) -> None:
        (alert,) = found(ledger, window(ledger, 5), loss())
        clock.go(hours=1)
        alerting.escalate(ledger, P, SETTINGS)
        alerting.resolve(ledger, P, alert.id, who="ana", text="mended", settings=SETTINGS)
        assert kinds(ledger, "webhooks.boss") == ["escalation", "resolved"]
        found(ledger, window(ledger, 6), loss())
        assert alerting.escalate(ledger, P, SETTINGS) == []
        clock.go(minutes=31)
        assert names(alerting.escalate(ledger, P, SETTINGS)) == ["loss:f1"]

    def test_a_warning_that_becomes_a_page_waits_from_then_on(self, ledger: Ledger, clock: Clock) -> None:
        found(ledger, window(ledger, 5), nulls())
        clock.go(hours=5)
        found(ledger, window(ledger, 6), nulls(severity=PAGE))
        assert alerting.escalate(ledger, P, SETTINGS) == []
        clock.go(minutes=31)
        assert names(alerting.escalate(ledger, P, SETTINGS)) == ["nulls:age"]

    def test_without_such_channels_nothing_happens(self, ledger: Ledger, clock: Clock) -> None:
        found(ledger, window(ledger, 5), loss())
        clock.go(hours=5)
        assert alerting.escalate(ledger, P, AlertSettings()) == []
        assert events(only(ledger)) == ["opened"]


class TestChannels:
    """A channel that fails is an alert like any other."""

    def test_it_goes_to_the_others_once_and_ends_when_the_channel_works(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        for _ in range(3):
            alerting.channel_fails(ledger, P, "webhooks.ops", "ops answers 500.", SETTINGS)
            clock.go(hours=1)
        alarm = only(ledger)
        assert (alarm.alert.signal, alarm.severity, events(alarm)) == (
            "channel:webhooks.ops",
            WARN,
            ["opened"],
        )
        assert "ops answers 500." in alarm.alert.text
        assert (sent(ledger), kinds(ledger, "webhooks.all")) == ([], ["alert"])
        clock.go(days=1)
        alerting.channel_fails(ledger, P, "webhooks.ops", "ops answers 501.", SETTINGS)
        alerting.channel_works(ledger, P, "webhooks.ops", "A message went out.", SETTINGS)
        alerting.channel_works(ledger, P, "webhooks.ops", "A message went out.", SETTINGS)
        assert events(only(ledger)) == ["opened", "again", "resolved"]
        assert (sent(ledger), kinds(ledger, "webhooks.all")) == ([], ["alert", "alert", "resolved"])


KILLED = """
import os, sys
from relevo import alerting
from relevo.findings import Finding
from relevo.ledger import Ledger, outbox
from pathlib import Path
from test_alerting import SETTINGS, P, nulls
path, number, at = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if at == "inside":
    outbox.queue = lambda *_: os.kill(os.getpid(), 9)
alerting.raise_findings(Ledger(Path(path)), P, [nulls("a"), nulls("b")], window=number, settings=SETTINGS)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", ["inside", "after"])
def test_killed_while_raising_and_raised_again_the_outcome_is_one(
    ledger: Ledger, tmp_path: Path, at: str
) -> None:
    number = window(ledger, 5)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "ledger.db"), str(number), at]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, env={**os.environ, "RELEVO_CLOCK": ""}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    there = 2 if at == "after" else 0
    assert len(ledger.alerts.all(P)) == there
    found(ledger, number, nulls("a"), nulls("b"))
    assert [events(alarm) for alarm in ledger.alerts.all(P)] == [["opened"], ["opened"]]
    assert kinds(ledger) == ["alert"]


def test_resolving_twice_is_refused_and_told_once(ledger: Ledger) -> None:
    (alert,) = found(ledger, window(ledger, 5), nulls())
    alerting.resolve(ledger, P, alert.id, who="ana", text="", settings=SETTINGS)
    with pytest.raises(LedgerError, match="was resolved by ana"):
        alerting.resolve(ledger, P, alert.id, who="eva", text="", settings=SETTINGS)
    assert kinds(ledger) == ["alert", "resolved"]
