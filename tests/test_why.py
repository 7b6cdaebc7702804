"""Stories: what led to something, and what followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo import clock
from relevo.errors import LedgerError
from relevo.findings import Finding
from relevo.ledger import Ledger
from relevo.records import Decision, Run, now
from relevo.texts import speaking
from relevo.why import why
from relevo.why.event import ORDER
from support import tale
from support.tale import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.why.event import Event


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, tale.Tale]:
    ledger = Ledger(tmp_path_factory.mktemp("why") / "ledger.db")
    return ledger, tale.told(ledger)


def tell(book: tuple[Ledger, tale.Tale], about: str, language: str = "en") -> list[Event]:
    with speaking(language), tale.at("2026-11-20T00:00:00"):
        return why(book[0], PROJECT, about)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def texts(events: list[Event], *wanted: str) -> list[str]:
    return [event.text for event in events if event.kind in wanted]


def test_a_version_is_told_from_the_finding_that_led_to_it_to_its_rollback(
    book: tuple[Ledger, tale.Tale],
) -> None:
    events = tell(book, "1.1.0")
    found = [event.text.replace(book[1].second, "RUN").replace(book[1].loss, "ALERT") for event in events]
    assert found == [
        "Window 2, day 2026-11-11 of new rows: 1,200 rows.",
        "roc_auc is 0.610 [0.580, 0.640] on 1,200 labelled rows; it was 0.700.",
        (
            "Alert ALERT (urgent): roc_auc is worse. "
            "roc_auc is 0.610 [0.580, 0.640] on 1,200 labelled rows; it was 0.700."
        ),
        (
            "Decided to make the model anew: "
            "The model is worse (roc_auc), and no broken data explains it: it is made anew."
        ),
        (
            "Run RUN begins. Because: The model is worse (roc_auc), and no broken data explains it: it is made anew. "
            "It learns from the last 180d only."
        ),
        "Data: departures, 3,000 rows. Files: 7 (…, data/2.csv, data/3.csv, data/4.csv, data/5.csv, data/6.csv).",
        "Candidate logistic: 3 settings tried; the best scores 0.3400, 0.0500 less than on what it learned from.",
        "logistic is chosen: roc_auc 0.7000 on rows that were held out.",
        "The gate accepts it.",
        "✓ 900 held-out rows judge.",
        "Version 1.1.0 (logistic) is registered: The first version.",
        "1.1.0 becomes champion in place of 1.0.0. run RUN: The gate accepted it.",
        "Run RUN ends. It released version 1.1.0.",
        (
            "Decided to roll back: On 800 rows since its release 1.1.0 reaches roc_auc 0.550, 1.0.0 0.680; "
            "that it is worse by more than the margin is 99.9% sure."
        ),
        (
            "Rolled back: 1.0.0 is champion again in place of 1.1.0. relevo: On 800 rows since its release 1.1.0 "
            "reaches roc_auc 0.550, 1.0.0 0.680; that it is worse by more than the margin is 99.9% sure."
        ),
        "1.0.0 is champion now.",
    ]


def test_an_alert_is_told_with_who_took_it_on_and_who_was_told(book: tuple[Ledger, tale.Tale]) -> None:
    events = tell(book, book[1].nulls[:6])
    alert = [text.replace(book[1].nulls, "ALERT") for text in texts(events, "alert")]
    assert alert == [
        (
            "Alert ALERT (warning): payer_code is missing. "
            "payer_code is missing in 60.0% of 900 rows; expected 2.0%."
        ),
        "Alert ALERT is taken on by ana@desk. I ask the hospital",
        "Alert ALERT is resolved by ana@desk: payer_code is missing. mended",
    ]
    assert texts(events, "message") == [
        "Sent through webhooks.ops: [flights] warning: payer_code is missing",
        "Given up after 1 tries through webhooks.ops: [flights] resolved: payer_code is missing. 503 Busy",
    ]
    assert texts(events, "decision") == [
        (
            "Decided to withhold data: Broken data (payer_code): data/9.csv is withheld from learning. "
            "Nothing is trained because of it."
        )
    ]
    assert book[1].second not in " ".join(event.text for event in events)


def test_an_alert_that_led_to_a_run_is_told_to_how_that_ended(book: tuple[Ledger, tale.Tale]) -> None:
    found = kinds(tell(book, f"alert:{book[1].loss}"))
    assert found == [
        "alert",
        "message",
        "decision",
        "run",
        "version",
        "release",
        "run",
        "decision",
        "release",
        "now",
    ]


def test_a_run_is_told_with_what_its_steps_cost(book: tuple[Ledger, tale.Tale]) -> None:
    events = tell(book, book[1].second)
    assert texts(events, "step")[0] == (
        "Step ingest: 2.0 s, 1.5 s of processor time, 300.0 MiB at most; 2,900 rows."
    )
    assert len(texts(events, "step")) == 5
    assert kinds(events)[:4] == ["window", "finding", "alert", "decision"]
    assert kinds(events)[-4:] == ["run", "decision", "release", "now"]


@pytest.mark.parametrize(("about", "refs"), [("retrained", "second"), ("lost", "second"), ("withheld", "")])
def test_a_decision_and_a_window_are_told_with_the_run_they_led_to(
    book: tuple[Ledger, tale.Tale], about: str, refs: str
) -> None:
    events = tell(book, str(getattr(book[1], about)))
    runs = {event.refs["run"] for event in events if event.kind == "run"}
    assert runs == ({getattr(book[1], refs)} if refs else set())
    assert ORDER.index(events[0].kind) == 0


def test_what_answered_is_told_with_what_was_decided_about_it(book: tuple[Ledger, tale.Tale]) -> None:
    events = tell(book, "1.0.0")
    assert len(texts(events, "decision")) == 3
    assert {event.refs["alert"] for event in events if event.kind == "alert"} == {book[1].nulls, book[1].loss}
    assert events[-1].text == "It is champion now."


@pytest.mark.parametrize("about", ["1.0.0", "1.1.0", "first", "second", "broken", "lost", "nulls", "loss", "withheld",
                                   "retrained", "rolled_back"])  # fmt: skip
def test_every_story_is_in_order_and_whole_in_both_languages(
    book: tuple[Ledger, tale.Tale], about: str
) -> None:
    wanted = str(getattr(book[1], about, about))
    english, spanish = tell(book, wanted), tell(book, wanted, "es")
    for events in (english, spanish):
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert all(event.text.strip() and event.kind in ORDER and event.at for event in events)
    assert [(event.at, event.kind, event.refs) for event in english[:-1]] == [
        (event.at, event.kind, event.refs) for event in spanish[:-1]
    ]
    same = {a.text for a, b in zip(english, spanish, strict=True) if a.text == b.text}
    kept = ("✓ 900 held-out rows judge.",)
    assert [text for text in same if not text.startswith(kept)] == []  # what is kept as a sentence only


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ("1.0.9", r"has no version, run, .*“1.0.9”. Near it are: .*version:1\.\d\.0"),
        ("zzz", r"has no .*“zzz”. The newest are: version:1.1.0, run:"),
        ("", "has no .*“”. The newest are"),
        ("99", "has no .*“99”"),
        ("run:1.0.0", "has no .*“run:1.0.0”"),
    ],
)
def test_an_unknown_id_is_an_error_that_names_what_is_near(
    book: tuple[Ledger, tale.Tale], about: str, said: str
) -> None:
    with pytest.raises(LedgerError, match=said):
        tell(book, about)


def test_an_id_that_may_be_several_things_is_an_error_that_lists_them(book: tuple[Ledger, tale.Tale]) -> None:
    with pytest.raises(LedgerError, match=r"may be any of these: version:1\.1\.0, version:1\.0\.0"):
        tell(book, "1.")
    assert tell(book, "window:1")[:-1] == tell(book, "1")[:-1] == tell(book, "window:01")[:-1]


def test_nothing_recorded_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="Nothing was recorded yet"):
        why(Ledger(tmp_path / "ledger.db"), PROJECT, "1.0.0")


_names = st.sampled_from(
    ["nulls", "drift", "loss", "cases", "labels", "volume", "estimated loss", "failures"]
)
_finding = st.builds(
    lambda kind, value, low, about: Finding(
        kind=kind, about=about, severity="warn", value=value, expected=low, low=low, high=value, rows=3
    ),
    _names,
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    st.one_of(st.none(), st.floats(0, 1)),
    st.text(max_size=12),
)
_decision = st.tuples(
    st.sampled_from(["broken data", "drift", "loss", "schedule", "fresh version", "no labels", "new cause"]),
    st.sampled_from(["retrain", "quarantine", "note", "wait", "roll back", "give back", "new action"]),
    st.sampled_from(["", "{said} so"]),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.lists(_finding, max_size=4), _decision), min_size=1, max_size=4), st.randoms())
def test_whatever_was_recorded_can_be_told(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[list[Finding], tuple[str, str, str, bool]]],
    random: object,
) -> None:
    """Records of any kind, also of kinds that are not known yet, with times that go back and forth."""
    ledger = Ledger(tmp_path_factory.mktemp("any") / "ledger.db")
    about = []
    for place, (findings, (cause, action, text, runs)) in enumerate(parts):
        with tale.at(f"2026-11-{random.randint(1, 28):02d}T00:00:00"):  # type: ignore[attr-defined]
            window = tale.a_window(ledger, "requests", "day", f"w{place}", findings)
            evidence = {"windows": [window.number], "findings": [one.to_json() for one in findings]}
            trial = {"to": "1.0.0", "trial": tale.TRIAL} if cause == "fresh version" else {}
            decision = ledger.watch.decide(
                Decision(id=f"{place}a", project=PROJECT, at=now(), cause=cause, action=action, text=text,
                         evidence={**evidence, **trial}, version="1.0.0")
            )  # fmt: skip
            about += [f"window:{window.number}", f"decision:{decision.id}"]
            if runs:
                run = Run(
                    id=f"{place}b",
                    project=PROJECT,
                    status="running",
                    started_at=now(),
                    plan={"because": f"{place}a"},
                )
                ledger.start_run(run)
                ledger.finish_run(run.id, status=random.choice(["failed", "refused", "odd"]))  # type: ignore[attr-defined]
                about.append(f"run:{run.id}")
    for one in about:
        for language in ("en", "es"):
            with speaking(language):
                events = why(ledger, PROJECT, one)
            assert [event.at for event in events] == sorted(event.at for event in events)
            assert all(event.text.strip() for event in events)
    assert clock.pace is None
