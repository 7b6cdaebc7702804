"""The weekly report: a real ledger and lake, in both languages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from markdown_it import MarkdownIt

from relevo import alerting
from relevo.definition import load
from relevo.errors import RequestError
from relevo.findings import NOTE, WARN, Finding
from relevo.report import markdown, report
from relevo.report.document import Document, Grid, Items, Section, Text
from relevo.report.weeks import read
from relevo.texts import catalogue
from relevo.workspace import Workspace
from support import project, small, tale, weekly
from support.tale import PROJECT, SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.report import Report

REALISED = {
    "rows": 180,
    "positives": 40,
    "coverage": 0.9,
    "delay": {"median_days": 1.0, "p90_days": 3.0},
    "metrics": {"roc_auc": {"value": 0.71, "low": 0.66, "high": 0.76}},
}
ESTIMATED = {
    "metrics": {"roc_auc": {"value": 0.69, "low": 0.65, "high": 0.73}},
    "holds": False,
    "reasons": ["The scores lie elsewhere."],
}
DAYS = ("2026-11-09T00:00:00.000000+00:00", "2026-11-10T00:00:00.000000+00:00")
SPANISH = (
    "Qué mirar",
    "Qué se predijo",
    "Qué tan bueno fue",
    "Qué cambió",
    "Alertas",
    "Qué se decidió y se hizo",
)
ENGLISH = ("What to look at", "What was predicted", "How good it was", "What changed", "Alerts")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


def definition(zone: str = "UTC", **changes: Any) -> Definition:
    made = small.definition()
    monitor = replace(made.project.monitor, timezone=zone)
    return replace(made, project=replace(made.project, monitor=monitor, **changes))


def write(workspace: Workspace, week: str = "2026-W46", language: str = "en", **options: Any) -> Report:
    with tale.at("2026-11-16T06:00:00"):
        return report(options.pop("made", definition()), workspace, week=week, language=language, **options)


def predict(workspace: Workspace, *answers: tuple[str, bool, str]) -> None:
    """Add predictions to the lake: when, what was decided, by which version."""
    rows = " union all ".join(
        f"select '{n}' as id, timestamp '{at}' as \"at\", '{PROJECT}' as project, '{version}' as version,"
        f" 'd' as digest, 0.5::double as probability, {yes} as decision, 'x' as label,"
        " null::varchar as histories, '{}' as request"
        for n, (at, yes, version) in enumerate(answers)
    )
    with duckdb.connect() as connection:
        workspace.lake.append("predictions", connection.sql(rows), transaction=f"t{len(answers)}")


def test_a_week_with_a_story_is_told_with_what_to_look_at_first(workspace: Workspace) -> None:
    book = tale.told(workspace.ledger)
    done = write(workspace)
    assert done.look == (
        f"roc_auc is worse, since 2026-11-12 00:05; nobody has taken it on. See relevo why {book.loss}.",
        "Messages do not go out through webhooks.ops: who should be told was not.",
        "Data is withheld from learning until a person gives it back: data/9.csv. See relevo withheld list.",
    )
    text = done.markdown.read_text()
    assert text.startswith(
        "# flights, week 2026-W46\n\n2026-11-09 to 2026-11-15 (UTC). Will this flight leave"
    )
    for part in (
        "- warning: payer\\_code is missing in 60.0% of 900 rows; expected 2.0%. (batch data/9.csv of files)",
        "- 2026-11-12 00:10: 1.1.0 becomes champion in place of 1.0.0.",
        "- 2026-11-12 00:10: A run ended. It released version 1.1.0.",
        "- 2026-11-14 00:10: Rolled back: 1.0.0 is champion again in place of 1.1.0. (relevo)",
        "resolved by ana@desk at 2026-11-11 06:05",
        "Before its release version 1.0.0 reached ROC-AUC 0.700 \\[0.660, 0.740\\] on rows that were held out.",
        "A run takes 10 s, 8 s of processor time, and 300.0 MiB of memory.",
    ):
        assert part in text
    assert "The week is not over yet" not in text
    assert [one.finding.kind for one in done.facts.changed] == ["loss", "nulls"]


def test_what_happened_in_another_week_is_not_told(workspace: Workspace) -> None:
    tale.told(workspace.ledger)
    before, after = write(workspace, "2026-W45"), write(workspace, "2026-W47")
    assert "1.0.0 becomes champion, the first one." in before.markdown.read_text()
    assert [len(one) for one in (before.facts.alarms, before.facts.decisions, before.facts.windows)] == [
        0,
        0,
        0,
    ]
    assert before.look == ()
    assert "\n\nNothing.\n\n" in before.markdown.read_text()
    assert [alarm.state for alarm in after.facts.alarms] == ["open"]  # of which nobody took care
    assert "The week is not over yet." in after.markdown.read_text()
    assert "Nothing was decided, and nothing was done." in after.markdown.read_text()


@pytest.mark.parametrize(("language", "titles"), [("en", ENGLISH), ("es", SPANISH)])
def test_every_part_is_there_in_both_languages_even_of_an_empty_project(
    workspace: Workspace, language: str, titles: tuple[str, ...]
) -> None:
    empty = write(workspace, language=language)
    tale.told(workspace.ledger)
    full = write(workspace, language=language)
    for one in (empty, full):
        for title in titles:
            assert f"\n## {title}\n" in one.markdown.read_text()
            assert f">{title}</h2>" in one.html.read_text()
    assert empty.html == full.html
    assert empty.html.name == f"2026-W46.{language}.html"
    no_version = "No version answers. relevo run makes one."
    assert empty.look == (no_version if language == "en" else catalogue("es")[no_version],)
    assert f'<html lang="{language}">' in full.html.read_text()
    if language == "es":
        said = full.markdown.read_text()
        assert [text for text in catalogue("es") if len(text) > 20 and "{" not in text and text in said] == []


def test_predictions_are_counted_in_the_weeks_of_the_time_zone(workspace: Workspace) -> None:
    predict(
        workspace,
        ("2026-11-09 02:59:59", True, "1.0.0"),  # Sunday evening in Santiago
        ("2026-11-09 03:00:00", True, "1.0.0"),
        ("2026-11-12 12:00:00", False, "1.1.0"),
        ("2026-11-16 02:59:59", False, "1.1.0"),
        ("2026-11-16 03:00:00", True, "1.1.0"),
    )
    done = write(workspace, made=definition("America/Santiago"))
    assert [(one.version, one.rows, one.positive) for one in done.facts.answered] == [
        ("1.0.0", 1, 1),
        ("1.1.0", 2, 0),
    ]
    text = done.markdown.read_text()
    assert "The service answered 3 requests, 33.3% of them “late”." in text
    assert "| 1.1.0 | 2 | 0.0% |" in text
    assert sum(one.rows for one in write(workspace).facts.answered) == 3


def test_quality_is_shown_beside_its_coverage_its_estimate_and_doubts(workspace: Workspace) -> None:
    with tale.at("2026-11-10T00:05:00"):
        for figures, name in (
            ({"realised": REALISED}, "2026-11-09"),
            ({"estimated": ESTIMATED}, "2026-11-10"),
        ):
            tale.a_window(
                workspace.ledger, "requests", "day", name, [], figures=figures, rows=200, began=DAYS[0], ended=DAYS[1]
            )  # fmt: skip
    text = write(workspace).markdown.read_text()
    assert "| day 2026-11-09 | 200 | 180 (90%) | 0.710 \\[0.660, 0.760\\] | - | - |" in text
    assert "| day 2026-11-10 | 200 | - | - | - | ROC-AUC 0.690 \\[0.650, 0.730\\] |" in text
    assert "The estimates are not to be relied on: The scores lie elsewhere." in text
    assert "Nothing beyond chance. Windows looked at: 2." in text


def test_answers_without_outcomes_are_something_to_look_at(workspace: Workspace) -> None:
    with tale.at("2026-11-10T00:05:00"):
        tale.a_run(workspace.ledger, "1.0.0")
        tale.a_window(workspace.ledger, "requests", "day", "2026-11-09", [], began=DAYS[0], ended=DAYS[1])
    done = write(workspace)
    assert done.look == ("Nobody knows how good the answers were: no outcomes came for them.",)
    assert "No labels yet, or too few: nothing is realised." in done.markdown.read_text()


def test_a_day_without_requests_lacks_no_outcomes(workspace: Workspace) -> None:
    with tale.at("2026-11-10T00:05:00"):
        tale.a_run(workspace.ledger, "1.0.0")
        tale.a_window(
            workspace.ledger, "requests", "day", "2026-11-09", [], rows=0, began=DAYS[0], ended=DAYS[1]
        )
    done = write(workspace)
    assert done.look == ()
    assert "nothing is realised" not in done.markdown.read_text()


def test_a_window_looked_at_much_later_belongs_to_the_week_of_the_look(workspace: Workspace) -> None:
    with tale.at("2026-11-10T00:05:00"):
        tale.a_window(
            workspace.ledger, "arrivals", "day", "2017-05-01", [], began="2017-05-01T00:00:00.000000+00:00",
            ended="2017-05-02T00:00:00.000000+00:00",
        )  # fmt: skip
    with tale.at("2026-11-16T00:05:00"):  # on Monday, of the Sunday before
        tale.a_window(
            workspace.ledger, "arrivals", "day", "2026-11-15", [], began="2026-11-15T00:00:00.000000+00:00",
            ended="2026-11-16T00:00:00.000000+00:00",
        )  # fmt: skip
    assert [one.name for one in write(workspace).facts.windows] == ["2017-05-01", "2026-11-15"]
    assert write(workspace, "2026-W47").facts.windows == []


def test_at_most_five_things_and_ten_findings_are_told(workspace: Workspace) -> None:
    kinds = ("nulls", "unseen", "range", "drift")
    with tale.at("2026-11-10T00:05:00"):
        for n in range(40):
            severity = WARN if n % 4 < 3 else NOTE
            found = Finding(
                kind=kinds[n % 4],
                about=f"f{n}",
                severity=severity,
                value=0.5,
                expected=0.1,
                rows=9,
                p=n / 1000,
            )
            window = tale.a_window(workspace.ledger, "arrivals", "day", f"d{n}", [found])
            alerting.raise_findings(
                workspace.ledger, PROJECT, [found], window=window.number, settings=SETTINGS
            )
    tale.told(workspace.ledger)
    done = write(workspace)
    text = done.markdown.read_text()
    assert len(done.look) <= 5
    assert done.look[0].startswith("roc_auc is worse")
    assert done.look[2].startswith("30 alerts are open (warning): f0 is missing")
    assert "And 32 more findings." in text
    assert text.count("\n- warning: f") == 8  # of ten, the loss and the broken file among them


HOSTILE = '<script>alert("x")</script> | `a` [b](http://evil.example) **c** <!-- &amp; \n# d www.evil.example'
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "h1",
    "p",
    "main",
    "section",
    "h2",
    "ul",
    "li",
}
ALLOWED |= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "footer"}


class Seen(HTMLParser):
    """The tags and attributes of a page, and the text that a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def test_names_in_the_data_are_never_markup(workspace: Workspace) -> None:
    found = Finding(kind="nulls", about=HOSTILE, severity=WARN, value=0.5, expected=0.1, rows=9)
    with tale.at("2026-11-10T00:05:00"):
        window = tale.a_window(
            workspace.ledger, "files", "batch", HOSTILE, [found], pieces={"ab" * 8: HOSTILE}
        )
        alerting.raise_findings(workspace.ledger, PROJECT, [found], window=window.number, settings=SETTINGS)
        tale._decide(workspace.ledger, [window], "1.0.0")
        run = tale.a_run(workspace.ledger, "1.0.0")
        workspace.ledger.finish_run(run.id, status="failed", message=HOSTILE)
    done = write(workspace, made=definition(description=HOSTILE))
    page = Seen()
    page.feed(done.html.read_text())
    page.close()
    assert set(page.tags) <= ALLOWED
    assert page.attributes <= {
        "lang", "charset", "name", "content", "http-equiv", "id", "aria-labelledby", "aria-label", "class", "role",
        "tabindex", "scope",
    }  # fmt: skip
    assert page.text.count("<script>alert") >= 5
    made = Seen()
    made.feed(
        MarkdownIt("commonmark").enable("table").enable("strikethrough").render(done.markdown.read_text())
    )
    made.close()
    assert set(made.tags) <= ALLOWED | {"hr"}
    assert made.attributes == set()
    assert made.text.count("<script>alert") >= 5
    assert "http:" not in done.markdown.read_text()  # which some make a link of


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("- a", "\\- a"), ("1. a", "1\\. a"), ("12) a", "12\\) a"), ("+ a", "\\+ a"), ("=== a", "\\=== a"),
        ("# a", "\\# a"), ("a\n\nb", "a b"), ("> a", "\\> a"), ("2026-11-09", "2026-11-09"), ("a_b", "a\\_b"),
    ],
)  # fmt: skip
def test_what_begins_a_line_is_not_markup(text: str, written: str) -> None:
    made = Document(
        text, text, [Section(text, [Text(text), Items([text]), Grid(text, [text], [[text]])])], text
    )
    said = markdown.render(made)
    assert f"\n\n{written}\n\n" in said
    assert f"\n- {written}\n" in said


def test_a_page_is_whole_by_itself_and_fits_a_telephone(workspace: Workspace) -> None:
    tale.told(workspace.ledger)
    page = write(workspace).html.read_text()
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    for outside in ("http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link"):
        assert outside not in page
    assert page.index("<h1>") < page.index("What to look at") < page.index("What was predicted")


def test_a_report_is_replaced_and_goes_where_it_is_wanted(workspace: Workspace, tmp_path: Path) -> None:
    first = write(workspace)
    tale.told(workspace.ledger)
    again, elsewhere = write(workspace), write(workspace, out=tmp_path / "out" / "deep")
    assert first.html == again.html == workspace.root / "reports" / "2026-W46.en.html"
    assert elsewhere.markdown.read_text() == again.markdown.read_text()
    assert sorted(path.name for path in elsewhere.html.parent.iterdir()) == [
        "2026-W46.en.html",
        "2026-W46.en.md",
    ]


@pytest.mark.parametrize(
    ("text", "now", "name", "began"),
    [
        ("", "2026-11-16T06:00:00", "2026-W46", "2026-11-09T00:00:00"),
        ("", "2026-11-15T23:59:59", "2026-W45", "2026-11-02T00:00:00"),
        ("2026-W53", "2026-11-16T06:00:00", "2026-W53", "2026-12-28T00:00:00"),
        ("2027-W01", "2026-11-16T06:00:00", "2027-W01", "2027-01-04T00:00:00"),
    ],
)
def test_weeks_are_those_of_iso_8601(text: str, now: str, name: str, began: str) -> None:
    week = read(text, "UTC", datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (week.name, week.began_at.isoformat()[:19]) == (name, began)
    assert (week.ended_at - week.began_at).days == 7


def test_a_week_in_which_clocks_change_is_an_hour_longer_or_shorter() -> None:
    week = read("2026-W43", "Europe/Berlin", datetime(2026, 11, 16, tzinfo=UTC))
    assert (week.ended_at - week.began_at).total_seconds() == 7 * 86400 + 3600
    assert (week.first.isoformat(), week.last.isoformat()) == ("2026-10-19", "2026-10-25")


@pytest.mark.parametrize("text", ["2026-46", "2026-W54", "2025-W53", "0000-W01", "w", "2026-W46 "])
def test_what_is_no_week_is_an_error(text: str) -> None:
    with pytest.raises(RequestError, match="is no week"):
        read(text, "UTC", datetime(2026, 11, 16, tzinfo=UTC))


def test_a_table_that_cannot_be_read_is_said_and_the_rest_is_there(workspace: Workspace) -> None:
    tale.told(workspace.ledger)
    predict(workspace, ("2026-11-10 02:59:59", True, "1.0.0"))
    for path in (workspace.root / "lake" / "predictions").glob("*.parquet"):
        path.unlink()
    done = write(workspace)
    assert len(done.facts.unread) == 1
    text = done.markdown.read_text()
    assert "\n## What could not be read\n" in text
    assert "1.1.0 becomes champion" in text


@pytest.mark.slow
def test_a_project_that_only_scores_batches_is_told_by_its_periods_and_reviews(tmp_path: Path) -> None:
    folder, week = scored_in_one_week(tmp_path)
    done = report(load(folder), Workspace.open(folder), week=week)
    assert [one.period for one in done.facts.scored] == ["2024-11-11", "2024-11-18"]
    text = done.markdown.read_text()
    assert "| 2024-11-18 | 1.0" in text
    assert "2024-11-11, 1.0.0, expected\\_f1: F1 0." in text
    assert done.look == ()


def scored_in_one_week(tmp_path: Path) -> tuple[Path, str]:
    """A project whose two runs fell into one week of the calendar, and that week."""
    while True:
        week = f"{datetime.now(UTC):%G-W%V}"
        folder = weekly.make(tmp_path / week)
        weekly.run(folder)
        weekly.write_weeks(folder, weekly.WEEKS, weekly.WEEKS + 1)
        weekly.run(folder)
        if f"{datetime.now(UTC):%G-W%V}" == week:
            return folder, week


@pytest.mark.slow
def test_the_command_writes_a_real_projects_report(released: Path) -> None:
    (release,) = project.workspace(released).ledger.releases("flights")
    week = f"{datetime.fromisoformat(release.released_at):%G-W%V}"
    done = project.call("report", released, "--week", week, "--lang", "es", "--json").document
    assert done["look"] == []
    assert "1.0.0 pasa a ser champion, la primera." in (released / done["markdown"]).read_text()
    wrong = project.call("report", released, "--lang", "fr")
    assert (wrong.code, wrong.err) == (1, "Error: lang: “fr” is neither en nor es.\n")
    shown = project.call("trends", released)
    assert shown.out.splitlines()[1].startswith("run ")
    assert "No step became dearer" in shown.out
