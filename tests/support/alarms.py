"""What any database behind the ledger must do with windows, alerts and messages; inherited as ``ledgers`` is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relevo import clock
from relevo.alarm import Alarm, Changes
from relevo.errors import LedgerError
from relevo.ids import uuid7
from relevo.records import Alert, AlertEvent, Decision, Delivery, Window, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.ledger import Ledger

TESTS = Path(__file__).parents[1]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def an_alert(project: str, signal: str = "nulls:age", severity: str = "warn", **changes: object) -> Alert:
    alert = Alert(
        id=uuid7(), project=project, signal=signal, severity=severity, title="Missing", text="age is missing.",
        evidence={"window": 1}, opened_at=now(),
    )  # fmt: skip
    return replace(alert, **changes)  # type: ignore[arg-type]


def a_message(project: str, channel: str = "mail", **changes: object) -> Delivery:
    message = Delivery(
        id="", project=project, alert="", event=1, channel=channel, message={"subject": "s"}, status="waiting",
        due_at=now(),
    )  # fmt: skip
    return replace(message, **changes)  # type: ignore[arg-type]


def a_window(project: str, **changes: object) -> Window:
    window = Window(
        project=project, source="requests", unit="day", name="2026-01-05", began_at="2026-01-05T00:00:00.000000+00:00",
        ended_at="2026-01-06T00:00:00.000000+00:00", version="1.0.0", rows=3 << 40, inputs="a" * 64,
        figures={"rows": 3, "signals": {}}, findings=({"kind": "drift", "p": 0.5},), made_at=now(),
    )  # fmt: skip
    return replace(window, **changes)  # type: ignore[arg-type]


def queue(ledger: Ledger, project: str, *messages: Delivery) -> list[str]:
    """Queue messages; gives their ids."""
    before = {one.id for one in ledger.outbox.all(project)}
    ledger.alerts.change(project, lambda _: Changes(deliveries=messages))
    return sorted({one.id for one in ledger.outbox.all(project)} - before)


OPENER = """
import sys
from relevo.ledger import Ledger
from support.alarms import a_message, an_alert
url, project, times = sys.argv[1:]
ledger = Ledger(url, timeout=120)
for _ in range(int(times)):
    ledger.alerts.open(an_alert(project), tell=lambda alarm: [a_message(project, event=len(alarm.events))])
"""
KILLED = """
import sys
from relevo.ledger import Ledger
from support.alarms import a_message, an_alert
url, project = sys.argv[1:]
ledger, number = Ledger(url, timeout=120), 0
while True:
    number += 1
    signal = f"s{number % 7}"
    ledger.alerts.open(an_alert(project, signal), tell=lambda alarm: [
        a_message(project, channel, alert=alarm.alert.id, event=len(alarm.events)) for channel in ("a", "b")])
    print(number, flush=True)
"""


class WatchConformance:
    """Laws of ``Ledger.watch``."""

    @pytest.fixture
    def project(self) -> str:
        return f"flights-{uuid7()}"

    def test_a_window_of_the_same_inputs_is_recorded_once(self, ledger: Ledger, project: str) -> None:
        made = ledger.watch.add_window(a_window(project))
        assert replace(made, number=0, made_at="") == a_window(project, made_at="")
        assert ledger.watch.add_window(a_window(project, rows=7)) == made
        assert ledger.watch.window(project, made.number) == made
        assert ledger.watch.window("another", made.number) is None
        assert ledger.watch.window(project, made.number + 1) is None

    def test_processes_and_threads_record_a_window_once(self, ledger: Ledger, project: str) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: ledger.watch.add_window(a_window(project)), range(16)))
        assert len({window.number for window in made}) == 1

    def test_the_newest_look_at_each_window_is_listed(self, ledger: Ledger, project: str) -> None:
        add = ledger.watch.add_window
        first = add(a_window(project))
        again = add(a_window(project, inputs="b" * 64))
        later = add(a_window(project, name="2026-01-06", ended_at="2026-01-07T00:00:00.000000+00:00"))
        hour = add(a_window(project, unit="hour", name="2026-01-05 00"))
        scores = add(a_window(project, source="scores"))
        listed = ledger.watch.windows
        assert listed(project) == [later, scores, hour, again]
        assert listed(project, every=True, unit="day", source="requests") == [later, again, first]
        assert listed(project, unit="hour") == [hour]
        assert listed(project, source="scores") == [scores]
        assert listed(project, since="2026-01-06T12:00:00+00:00") == [later]
        assert listed(project, limit=2) == [later, scores]
        assert [one.figures for one in listed(project, unit="hour", figures={"rows"})] == [{"rows": 3}]
        assert (
            listed(project, looked_since=first.made_at, every=True, unit="day", source="requests")[-1]
            == first
        )
        assert listed(project, looked_since=now()) == []
        assert listed("another") == []

    def test_a_decision_is_recorded_once(self, ledger: Ledger, project: str) -> None:
        one = Decision(
            id=uuid7(), project=project, at=now(), cause="loss", action="retrain", text="F1 fell.",
            evidence={"f1": [0.5, 0.4]}, window=3, alert="a", run="r", version="1.0.0",
        )  # fmt: skip
        two = replace(one, id=uuid7(), at=now(), action="note", window=0)
        assert ledger.watch.decide(one) == one
        assert ledger.watch.decide(replace(one, text="otherwise")) == one
        ledger.watch.decide(two)
        assert ledger.watch.decisions(project) == [two, one]
        assert ledger.watch.decisions(project, limit=1) == [two]
        assert ledger.watch.decisions("another") == []


class AlarmsConformance:
    """Laws of ``Ledger.alerts`` and ``Ledger.outbox``."""

    @pytest.fixture
    def project(self) -> str:
        return f"flights-{uuid7()}"

    def test_an_alert_is_opened_and_read_back(self, ledger: Ledger, project: str) -> None:
        alert = an_alert(project)
        alarm = ledger.alerts.open(alert, tell=lambda found: [a_message(project, alert=found.alert.id)])
        assert (alarm.alert, alarm.state, alarm.severity) == (alert, "open", "warn")
        assert [(e.number, e.event, e.evidence["window"]) for e in alarm.events] == [(1, "opened", 1)]
        assert ledger.alerts.find(project, alert.id) == alarm
        assert ledger.alerts.all(project) == [alarm]
        assert ledger.alerts.all("another") == []
        assert [one.alert for one in ledger.outbox.all(project)] == [alert.id]

    def test_of_a_signal_one_alert_is_open_at_a_time(self, ledger: Ledger, project: str) -> None:
        first = ledger.alerts.open(an_alert(project))
        again = ledger.alerts.open(an_alert(project), evidence={"window": 2})
        assert again.alert == first.alert
        assert [(e.event, e.evidence["window"]) for e in again.events] == [("opened", 1), ("again", 2)]
        other = ledger.alerts.open(an_alert(project, "loss:f1"))
        assert other.alert.id != first.alert.id
        ledger.alerts.resolve(project, first.alert.id, who="ana", text="mended")
        anew = ledger.alerts.open(an_alert(project))
        assert anew.alert.id != first.alert.id
        assert len(ledger.alerts.all(project)) == 2
        assert ledger.alerts.signals(project) == {"nulls:age", "loss:f1"}
        assert len(ledger.alerts.all(project, resolved=True)) == 3

    def test_worse_evidence_raises_the_severity_and_asks_for_somebody_again(
        self, ledger: Ledger, project: str
    ) -> None:
        first = ledger.alerts.open(an_alert(project))
        taken = ledger.alerts.acknowledge(project, first.alert.id, who="ana", text="I look")
        assert (taken.state, taken.unanswered) == ("acknowledged", ())
        milder = ledger.alerts.open(an_alert(project, severity="note"))
        assert (milder.state, milder.severity, milder.events[-1].event) == ("acknowledged", "warn", "again")
        worse = ledger.alerts.open(an_alert(project, severity="page"))
        assert (worse.state, worse.severity, worse.events[-1].event) == ("open", "page", "escalated")
        assert worse.unanswered == worse.events[-1:]
        assert ledger.alerts.find(project, first.alert.id) == worse

    def test_what_happens_is_told_in_the_same_transaction_or_not_at_all(
        self, ledger: Ledger, project: str
    ) -> None:
        def fails(_: Alarm) -> list[Delivery]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ledger.alerts.open(an_alert(project), tell=fails)
        assert ledger.alerts.all(project) == []
        double = a_message(project)
        with pytest.raises(LedgerError):
            ledger.alerts.open(an_alert(project), tell=lambda _: [replace(double, status=None)])  # type: ignore[arg-type]
        assert (ledger.alerts.all(project), ledger.outbox.all(project)) == ([], [])

    @pytest.mark.parametrize(
        ("done", "then", "said"),
        [
            (["resolve"], "resolve", r"was resolved by ana at .*nothing left"),
            (["resolve"], "acknowledge", "was resolved by ana"),
            (["acknowledge"], "acknowledge", "was acknowledged by ana at .* already"),
        ],
    )
    def test_nonsense_is_refused(
        self, ledger: Ledger, project: str, done: list[str], then: str, said: str
    ) -> None:
        alert = ledger.alerts.open(an_alert(project)).alert
        for act in done:
            getattr(ledger.alerts, act)(project, alert.id, who="ana", text="")
        before = ledger.alerts.find(project, alert.id)
        with pytest.raises(LedgerError, match=said):
            getattr(ledger.alerts, then)(project, alert.id, who="eva", text="")
        assert ledger.alerts.find(project, alert.id) == before

    def test_an_alert_is_found_by_the_beginning_of_its_id(self, ledger: Ledger, project: str) -> None:
        for identity in ("abc123", "abd456"):
            ledger.alerts.open(an_alert(project, identity, id=f"{identity}-{project[-12:]}"))
        assert ledger.alerts.find(project, "abc").alert.signal == "abc123"
        with pytest.raises(LedgerError, match="several alerts whose id begins with “ab”"):
            ledger.alerts.find(project, "ab")
        for unknown in ("", "%", "x"):
            with pytest.raises(LedgerError, match=r"has no alert .*relevo alerts --all"):
                ledger.alerts.find(project, unknown)
        with pytest.raises(LedgerError, match="has no alert"):
            ledger.alerts.resolve("another", "abc", who="ana", text="")

    def test_a_change_is_given_what_is_there_and_the_newest_of_the_signals_asked_for(
        self, ledger: Ledger, project: str
    ) -> None:
        seen: list[Mapping[str, Alarm]] = []

        def look(known: Mapping[str, Alarm]) -> Changes:
            seen.append(dict(known))
            return Changes()

        for name in ("a", "b", "b"):
            alert = ledger.alerts.open(an_alert(project, name)).alert
            ledger.alerts.resolve(project, alert.id, who="", text="")
        there = ledger.alerts.open(an_alert(project, "c"))
        ledger.alerts.change(project, look)
        ledger.alerts.change(project, look, signals=("b", "c", "d"))
        assert seen[0] == {"c": there}
        assert set(seen[1]) == {"b", "c"}
        assert seen[1]["b"].alert.id == alert.id

    def test_a_second_alert_of_a_signal_is_refused(self, ledger: Ledger, project: str) -> None:
        ledger.alerts.open(an_alert(project))
        alert = an_alert(project)
        event = AlertEvent(alert=alert.id, number=1, at=now(), event="opened", who="", text="")
        with pytest.raises(LedgerError, match="no second one at a time"):
            ledger.alerts.change(project, lambda _: Changes(alarms=(Alarm(alert, (event,)),)))

    @pytest.mark.slow
    def test_processes_that_open_the_same_make_one_alert(
        self, ledger: Ledger, project: str, url: str
    ) -> None:
        ledger.alerts.all(project)
        command = [sys.executable, "-c", OPENER, url, project, "10"]
        started = [subprocess.Popen(command, cwd=TESTS) for _ in range(3)]
        assert [one.wait(300) for one in started] == [0, 0, 0]
        (alarm,) = ledger.alerts.all(project, resolved=True)
        assert [e.event for e in alarm.events] == ["opened"] + ["again"] * 29
        assert [e.number for e in alarm.events] == list(range(1, 31))
        assert sorted(one.event for one in ledger.outbox.all(project)) == list(range(1, 31))

    @pytest.mark.slow
    def test_a_killed_process_leaves_each_event_with_its_messages(
        self, ledger: Ledger, project: str, url: str
    ) -> None:
        ledger.alerts.all(project)
        for lines in (1, 4, 9):
            command = [sys.executable, "-c", KILLED, url, project]
            with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                for _ in range(lines):
                    process.stdout.readline()
                os.kill(process.pid, signal.SIGKILL)
        events = {(e.alert, e.number) for alarm in ledger.alerts.all(project) for e in alarm.events}
        sent = sorted((one.alert, one.event, one.channel) for one in ledger.outbox.all(project))
        assert sent == sorted((*event, channel) for event in events for channel in ("a", "b"))
        assert len(events) >= 14

    def test_messages_are_claimed_in_order_one_at_a_time(self, ledger: Ledger, project: str) -> None:
        one, two = queue(ledger, project, a_message(project), a_message(project))
        (other,) = queue(ledger, project, a_message(project, "chat"))
        assert one < two < other
        lease: dict[str, Any] = {"lease": MINUTE, "farthest": HOUR}
        head = ledger.outbox.claim(project, "mail", **lease)
        assert head is not None
        assert (head.id, head.tries) == (one, 1)
        assert ledger.outbox.claim(project, "mail", **lease) is None
        chat = ledger.outbox.claim(project, "chat", **lease)
        assert chat is not None
        assert chat.id == other
        ledger.outbox.sent(head)
        head = ledger.outbox.claim(project, "mail", **lease)
        assert head is not None
        assert head.id == two
        ledger.outbox.fail(head, "refused")
        found = {each.id: (each.status, each.tries, each.error) for each in ledger.outbox.all(project)}
        assert found == {
            one: ("sent", 1, ""),
            two: ("failed", 1, "refused"),
            other: ("waiting", 1, ""),
        }
        assert ledger.outbox.waiting(project) == {"chat": 1}

    def test_one_that_is_put_off_holds_those_behind_it_until_it_is_due(
        self, ledger: Ledger, project: str
    ) -> None:
        queue(ledger, project, a_message(project), a_message(project))
        head = ledger.outbox.claim(project, "mail", lease=MINUTE, farthest=HOUR)
        assert head is not None
        later = (clock.now() + MINUTE).isoformat(timespec="microseconds")
        assert ledger.outbox.put_off(head, later, "down")
        assert ledger.outbox.claim(project, "mail", lease=MINUTE, farthest=HOUR) is None
        again = ledger.outbox.claim(project, "mail", lease=MINUTE, farthest=timedelta(seconds=30))
        assert again is not None, "so far ahead it can only be that the clock was set back"
        assert (again.id, again.tries, again.error) == (head.id, 2, "down")

    def test_whoever_lost_a_claim_cannot_put_it_off_or_give_it_up(self, ledger: Ledger, project: str) -> None:
        queue(ledger, project, a_message(project))
        stale = ledger.outbox.claim(project, "mail", lease=timedelta(0), farthest=HOUR)
        fresh = ledger.outbox.claim(project, "mail", lease=MINUTE, farthest=HOUR)
        assert stale is not None
        assert fresh is not None
        assert not ledger.outbox.put_off(stale, now(), "late")
        assert not ledger.outbox.fail(stale, "late")
        ledger.outbox.sent(stale)
        assert [one.status for one in ledger.outbox.all(project)] == ["sent"]
        assert not ledger.outbox.put_off(fresh, now(), "too late: it went out")

    def test_threads_that_claim_get_each_message_once(self, ledger: Ledger, project: str) -> None:
        wanted = queue(ledger, project, *(a_message(project) for _ in range(20)))

        def carry(_: int) -> list[str]:
            found, end = [], time.monotonic() + 120
            while ledger.outbox.waiting(project) and time.monotonic() < end:
                head = ledger.outbox.claim(project, "mail", lease=HOUR, farthest=HOUR)
                if head is not None:
                    found.append(head.id)
                    ledger.outbox.sent(head)
            return found

        with ThreadPoolExecutor(4) as pool:
            carried = [one for part in pool.map(carry, range(4)) for one in part]
        assert sorted(carried) == wanted

    def test_what_waits_for_a_channel_is_abandoned(self, ledger: Ledger, project: str) -> None:
        queue(ledger, project, a_message(project), a_message(project), a_message(project, "chat"))
        assert ledger.outbox.abandon(project, "mail", "removed") == 2
        assert ledger.outbox.abandon(project, "mail", "removed") == 0
        assert ledger.outbox.waiting(project) == {"chat": 1}

    def test_messages_that_name_an_alert_are_listed(self, ledger: Ledger, project: str) -> None:
        named = a_message(project, message={"alerts": [{"id": "abc"}, {"id": "d%f"}]})
        queue(ledger, project, named, a_message(project))
        assert len(ledger.outbox.all(project, alert="d%f")) == 1
        assert ledger.outbox.all(project, alert="d") == []
