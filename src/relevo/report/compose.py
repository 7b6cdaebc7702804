"""Composing: a week's facts in plain words, in the language in force; what a person should look at comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import __version__
from relevo.records import now
from relevo.report import answers, look, parts
from relevo.report.document import Document, Items, Section, Text
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.report.document import Block
    from relevo.report.facts import Facts


def compose(facts: Facts) -> Document:
    """Write the report."""
    week = facts.week
    urgent = look.at(facts)
    first: list[Block] = [Items(urgent)] if urgent else [Text(t("Nothing."))]
    sections = [
        Section(t("What to look at"), first),
        Section(t("What was predicted"), answers.predicted(facts)),
        Section(t("How good it was"), answers.quality(facts)),
        Section(t("What changed"), parts.changed(facts)),
        Section(t("Alerts"), parts.alerts(facts)),
        Section(t("What was decided and done"), parts.decided(facts)),
        Section(t("What it cost"), parts.costs(facts)),
    ]
    if facts.unread:
        sections.append(Section(t("What could not be read"), [Items(list(facts.unread))]))
    span = t(
        "{first} to {last} ({timezone}). {description}",
        first=week.first,
        last=week.last,
        timezone=week.timezone,
        description=facts.description,
    ).strip()
    if not facts.over:
        span = f"{span} {t('The week is not over yet.')}"
    made = t(
        "Made by Relevo {version} at {time} UTC.", version=__version__, time=now()[:16].replace("T", " ")
    )
    return Document(
        t("{project}, week {week}", project=facts.project, week=week.name), span, sections, made, urgent
    )
