"""``why`` and ``cases``: how something came about, and whether the critical cases are answered as they must be."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relevo import disk
from relevo.cli.output import FAILED, document, say
from relevo.cli.trying import opened
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.living import Checked


def why(about: str, folder: Path, *, json: bool) -> None:
    """Print a story, a line for each event, with its time."""
    from relevo.why import why as tell

    workspace, name = opened(folder)
    events = tell(workspace.ledger, name, about)
    if json:
        document([event.to_json() for event in events])
        return
    say(t("Times are in UTC."))
    before = ""
    for event in events:
        time = event.at[:19].replace("T", " ")
        say(f"{time if time != before else ' ' * len(time)}  {event.text}")
        before = time


def cases(folder: Path, url: str, key_file: Path | None, *, json: bool) -> None:
    """Ask the critical cases, record what was answered, and end with exit code 1 when one fails."""
    from relevo import living
    from relevo.definition import load
    from relevo.living.service import KEY
    from relevo.workspace import Workspace

    definition = load(folder)
    workspace = Workspace.open(folder, create=False)
    if not definition.cases:
        if json:
            document({"cases": [], "passed": True})
        else:
            say(
                t(
                    "{project} has no critical cases; write cases.csv, and cases= in project.py.",
                    project=definition.name,
                )
            )
        return
    checked = living.check(definition, workspace, url=url, key=_key(key_file, os.environ.get(KEY, "")))
    window = living.record(definition, workspace, checked)
    if json:
        document({**checked.to_json(), "window": window.number})
    else:
        _show(checked)
    if not checked.passed:
        sys.exit(FAILED)


def _none(project: str) -> str:
    return t("{project} has no critical cases; write cases.csv, and cases= in project.py.", project=project)


def _key(file: Path | None, variable: str) -> str:
    if file is None:
        return variable.strip()
    with disk.explained(file):
        return file.read_text(encoding="utf-8").strip()


def _show(checked: Checked) -> None:
    if checked.note:
        say(checked.note)
    if checked.problem:
        say(t("The service at {url} does not answer: {problem}", url=checked.asked, problem=checked.problem))
        return
    for one in checked.results:
        facts = {"name": one.name, "answered": one.answered or one.problem, "expected": one.expected}
        wrong = t("{name}: {answered}; {expected} was expected", **facts)
        say(f"✓ {one.name}: {one.answered}" if one.passed else f"✗ {wrong}")
    figures = {"passed": len(checked.results) - len(checked.failed), "count": len(checked.results)}
    asked = t("the package") if checked.asked == "package" else checked.asked
    say(
        t(
            "{passed} of {count} critical cases are answered as expected, by {asked} with version {version}.",
            **figures,
            asked=asked,
            version=checked.version or "-",
        )
    )
