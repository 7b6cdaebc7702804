"""Report: one week of a project in plain words, for people who decide: as HTML and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import clock, disk
from relevo.report import html, markdown
from relevo.report.compose import compose
from relevo.report.gather import gather
from relevo.report.weeks import read
from relevo.texts import speaking

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.report.facts import Facts
    from relevo.workspace import Workspace

__all__ = ["Report", "report"]
FOLDER = "reports"


@dataclass(frozen=True)
class Report:
    """What was written, and what it says in figures."""

    facts: Facts
    look: tuple[str, ...]
    """What a person should look at, by consequence."""
    html: Path
    markdown: Path


def report(
    definition: Definition,
    workspace: Workspace,
    *,
    week: str = "",
    language: str = "en",
    out: Path | None = None,
) -> Report:
    """Write the report of a week (``2026-W46``; the last whole one by default) into ``out``.

    That is ``reports/`` in the workspace by default. A report that is there is replaced, whole. Raises
    ``RequestError`` when ``week`` is none.
    """
    span = read(week, definition.project.monitor.timezone, clock.now())
    facts = gather(definition, workspace, span)
    with speaking(language):
        document = compose(facts)
    folder = out if out is not None else workspace.root / FOLDER
    written = {
        "html": html.render(document, language),
        "md": markdown.render(document),
    }
    places = {ending: folder / f"{span.name}.{language}.{ending}" for ending in written}
    with workspace.scratch() as scratch:
        for ending, text in written.items():
            place = places[ending]
            with disk.explained(place):
                folder.mkdir(parents=True, exist_ok=True)
                beside = folder / f".{scratch.name}.{ending}" if out is not None else scratch / place.name
                disk.write_synced(beside, text.encode())  # on the disk that it stays on
                disk.publish(beside, place)
    return Report(facts, tuple(document.look), places["html"], places["md"])
