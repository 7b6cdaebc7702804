"""The report: what it holds, and what it never does."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from relevo.loadtest.charts import Line, chart
from relevo.loadtest.measured import Limits, Outcome
from relevo.loadtest.page import page
from relevo.loadtest.report import Report, command, verdict
from relevo.loadtest.tally import Tally
from relevo.loadtest.target import target
from relevo.texts import speaking


def outcome() -> Outcome:
    tally = Tally()
    for number in range(1000):
        tally.add(number / 100, 0.001 * (number + 1) / 10, "503" if number % 100 == 0 else "")
    return Outcome(tally, 10.0, 0.42, ("Mind <this>.",))


def report(limits: Limits = Limits(), kind: str = "closed") -> Report:  # noqa: B008 - a named tuple
    asked = target("http://127.0.0.1:8000", key="open-sesame")
    return Report(kind, asked, outcome(), limits, "2026-01-01T00:00:00+00:00", "relevo loadtest <x>")


def test_figures_are_of_all_requests() -> None:
    found = report().plain()
    figures = found["figures"]
    assert (figures["requests"], figures["rate"], figures["failed"]) == (1000, 100.0, 10)
    assert figures["failures"] == {"503": 10}
    assert figures["p50"] == pytest.approx(50, rel=0.006)
    assert figures["p95"] == pytest.approx(95, rel=0.006)
    assert figures["p99"] == pytest.approx(99, rel=0.006)
    assert figures["max"] == pytest.approx(100)
    assert [point["requests"] for point in found["course"]] == [100] * 10
    assert "sesame" not in json.dumps(found)


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        (Limits(), []),
        (Limits(0.2, 0.02), []),
        (Limits(0.09, 0.02), ["p95"]),
        (Limits(0.2, 0.001), ["errors"]),
        (Limits(0.01, 0.0), ["p95", "errors"]),
    ],
)
def test_limits_are_compared_with(limits: Limits, missed: list[str]) -> None:
    assert report(limits).missed == missed


def test_nothing_asked_keeps_no_limit_and_is_still_json() -> None:
    empty = Report("open", target("http://a"), Outcome(Tally(), 1.0, 0.0), Limits(0.1, 0.1), "", "")
    assert empty.missed == ["p95", "errors"]
    assert json.loads(json.dumps(empty.plain(), allow_nan=False))["figures"]["p95"] is None
    assert "<svg" in page(empty)


def test_a_second_without_requests_is_a_gap() -> None:
    tally = Tally()
    tally.add(3.0, 0.001)
    tally.add(5.0, 0.001)
    course = Outcome(tally, 3.0, 0.0).course()
    assert [(point["second"], point["requests"], point["p95"] is None) for point in course] == [
        (0, 1, False),
        (1, 0, True),
        (2, 1, False),
    ]


class Page(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]


def test_the_page_is_one_file_with_charts_and_nothing_from_elsewhere() -> None:
    text = page(report(Limits(0.2, 0.02)))
    found = Page()
    found.feed(text)
    assert found.outside == []
    assert found.tags.count("svg") == 2
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "Mind &lt;this&gt;." in text
    assert "relevo loadtest &lt;x&gt;" in text
    assert "{{" not in text


def test_the_page_speaks_spanish() -> None:
    with speaking("es"):
        text = page(report())
    assert '<html lang="es">' in text
    assert "Cómo se midió" in text


def test_a_chart_is_well_formed_and_breaks_its_line_at_a_gap() -> None:
    drawn = chart("a & b", [Line("x", "a", [1, 2, None, 3])], x="s", y="ms")
    paths = [one.attrib["d"] for one in ET.fromstring(drawn).iter("path")]  # noqa: S314 - our own
    assert [len(re.findall("M", path)) for path in paths] == [2]


def test_a_long_course_is_thinned_by_its_peaks() -> None:
    values: list[float | None] = [1.0] * 100_000
    values[777] = 50.0
    drawn = chart("a", [Line("x", "a", values)], x="s", y="ms")
    assert len(drawn) < 20_000
    assert " 12.0" in drawn  # the peak is at the top


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["relevo", "--key", "abc", "x"], "relevo --key … x"),
        (["relevo", "--key=abc", "--header=A: b"], "relevo --key=… --header=…"),
        (["relevo", "--header", "A: b", "--key", "--key"], "relevo --header … --key …"),
        (["relevo", "--path", "a b"], "relevo --path 'a b'"),
    ],
)
def test_the_command_is_shown_without_secrets(words: list[str], shown: str) -> None:
    assert command(words) == shown


def test_a_verdict_says_whether_the_capacity_is_a_lower_bound() -> None:
    def said(**found: object) -> str:
        facts = {
            "capacity": {"users": 8, "lower_bound": False, "confirmed": True, "interrupted": False} | found
        }
        whole = Outcome(Tally(), 1.0, 0.0, (), facts)
        return verdict(Report("capacity", target("http://a"), whole, Limits(0.1), "", ""))

    assert said() == "8 users are answered within the limits."
    assert said(lower_bound=True).startswith("At least 8 users")
    assert said(users=0) == "Not even one user is answered within the limits."
    assert (
        said(users=0, interrupted=True) == "The search was interrupted before any number of users was found."
    )
    assert "not confirmed" in said(confirmed=False)
