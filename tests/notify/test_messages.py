"""How messages read."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from relevo import clock
from relevo.alarm import Alarm, opening
from relevo.findings import BROKEN, LOST, NOTE, PAGE, WARN, Finding
from relevo.notify import messages, wording
from relevo.records import Alert, AlertEvent
from relevo.texts import speaking

WINDOW = {
    "window": 3, "source": "requests", "unit": "day", "name": "2026-01-05", "version": "1.2.0",
    "began_at": "2026-01-05T00:00:00.000000+00:00", "ended_at": "2026-01-06T00:00:00.000000+00:00",
}  # fmt: skip
NULLS = Finding(
    kind="nulls", about="payer_code", severity=WARN, value=0.97, expected=0.401, low=0.961, high=0.978,
    rows=15_000, p=3e-4, facts={"private": "a row"},
)  # fmt: skip


def alarm(finding: Finding = NULLS, identity: str = "3f9a", **evidence: Any) -> Alarm:
    alert = Alert(
        id=identity, project="flights", signal=finding.signal, severity=finding.severity, title="", text="",
        evidence={}, opened_at="",
    )  # fmt: skip
    event = AlertEvent(
        alert="", number=0, at="2026-01-06T00:05:00.000000+00:00", event="", who="relevo", text="",
        evidence={**WINDOW, "finding": finding.to_json(), **evidence},
    )  # fmt: skip
    return opening(None, alert, event)


def told(*alarms: Alarm, kind: str = "alert", language: str = "en") -> dict[str, Any]:
    return messages.about(kind, "flights", alarms, alarms[0].severity, language)


TEXT = """\
[flights] warning: payer_code is missing, and 1 more

payer_code is missing in 97.0% of 15,000 rows; expected 40.1%.
  Alert 3f9a, since 2026-01-06 00:05 UTC.
  Window: day 2026-01-05 of requests, version 1.2.0.
  The value lies between 0.961 and 0.978. Were nothing changed, as much would be seen with probability 0.0003.

payer_code is missing in 97.0% of 15,000 rows; expected 40.1%.
  Alert 77aa, since 2026-01-06 00:05 UTC.
  Window: day 2026-01-05 of requests, version 1.2.0.
  The value lies between 0.961 and 0.978. Were nothing changed, as much would be seen with probability 0.0003.

What it means:
  The data, or the way to it, looks broken. Mend that before anything else; no model is trained on it.

What to do next:
  relevo why 3f9a
  relevo alerts ack 3f9a 77aa --why "I look into it"
"""


def test_a_message_says_what_since_when_how_sure_what_it_means_and_what_to_do() -> None:
    message = told(alarm(), alarm(identity="77aa"))
    assert message["text"] == TEXT
    assert message["window"] == {name: value for name, value in WINDOW.items() if name != "window"}
    assert "a row" not in str(message)


def test_a_message_speaks_the_channels_language() -> None:
    message = told(alarm(), language="es")
    assert message["subject"] == "[flights] aviso: Falta payer_code"
    assert "Qué hacer ahora:\n  relevo why 3f9a\n" in message["text"]


def test_a_long_list_is_cut_and_a_long_subject_too() -> None:
    many = [alarm(identity=f"{number:04x}") for number in range(25)]
    message = told(*many)
    assert message["text"].count("  Alert ") == 20
    assert "And 5 more: relevo alerts" in message["text"]
    assert len(message["alerts"]) == 25
    assert len(told(alarm(replace(NULLS, about="x" * 500)))["subject"]) == 120


def test_a_name_cannot_add_a_header_or_markup() -> None:
    message = told(alarm(replace(NULLS, about="a\r\nBcc: eve@x <script>alert(1)</script>")))
    assert "\n" not in message["subject"]
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the library's signature
            seen.append(tag)

    Reader().feed(message["html"])
    assert set(seen) == {"h2", "ul", "li", "b", "br", "h3", "p", "pre"}
    assert "&lt;script&gt;" in message["html"]


def test_a_resolved_alert_says_how_it_ended_and_asks_for_nothing() -> None:
    event = AlertEvent(
        alert="", number=0, at=clock.now().isoformat(), event="resolved", who="ana", text="Mended."
    )
    message = told(alarm().having(event), kind="resolved")
    assert message["subject"] == "[flights] resolved: payer_code is missing"
    assert "It ended: Mended." in message["text"]
    assert "What to do next" not in message["text"]
    assert message["alerts"][0]["state"] == "resolved"


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("kind", sorted(BROKEN | LOST | {"drift", "multivariate", "score", "labels"}))
def test_every_kind_of_finding_has_words_of_its_own(kind: str, language: str) -> None:
    finding = Finding(kind=kind, about="x", severity=NOTE if kind == "drift" else PAGE)
    message = told(alarm(finding), language=language)
    assert finding.signal not in message["subject"]
    assert finding.signal not in message["text"]


def test_how_sure_something_is_is_said_only_where_it_is_known() -> None:
    with speaking("en"):
        assert (
            wording.sure({})
            == wording.sure({"finding": Finding(kind="cases", about="x", severity=PAGE).to_json()})
            == ""
        )
        tiny = replace(NULLS, p=1e-12, low=None).to_json()
        assert wording.sure({"finding": tiny}) == (
            "Were nothing changed, as much would be seen less than once in a million times."
        )
        volume = Finding(kind="volume", about="", severity=WARN, value=3, low=10, high=20, p=0.01).to_json()
        assert "between" not in wording.sure({"finding": volume})
