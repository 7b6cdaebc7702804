"""``monitor`` and ``withheld``: what was seen, what was decided, and what data is kept from learning."""

from __future__ import annotations

import getpass
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from relevo import withheld
from relevo.cli.output import document, say, table
from relevo.cli.progress import listener
from relevo.cli.running import sets_of
from relevo.definition import load
from relevo.findings import Finding
from relevo.monitor import monitor as look
from relevo.renewal import carry_out, renew, waiting_runs
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relevo.records import Decision, Release, Run, Window


def monitor(project: Path, pairs: list[str], *, act: bool, runs: bool, json: bool) -> None:
    """Look at the windows that have ended, alert about them, decide, and do what was decided; ``runs`` too or not.

    With ``json`` what the steps say goes to standard error.
    """
    sets = sets_of(pairs)
    definition = load(project, sets=sets)
    workspace = Workspace.open(project)
    with ExitStack() as stack:
        listen = stack.enter_context(listener(to=sys.stderr if json else None))
        windows = look(definition, workspace, sets=sets, listen=listen)
        decisions = renew(definition, workspace, windows)
        done = carry_out(definition, workspace, sets=sets, runs=runs, listen=listen) if act else []
    waiting = waiting_runs(workspace.ledger, definition.name)
    if json:
        document(
            {
                "windows": [asdict(window) for window in windows],
                "decisions": [asdict(decision) for decision in decisions],
                "done": [asdict(one) for one in done],
                "waiting": [asdict(one) for one in waiting],
            }
        )
    else:
        _tell(windows, decisions, done)
        for one in waiting:
            say(
                t(
                    "waits: relevo step ingest --run {run} --because {decision}",
                    run=one.run,
                    decision=one.decision,
                )
            )


def _tell(windows: Sequence[Window], decisions: Sequence[Decision], done: Sequence[Run | Release]) -> None:
    if not windows:
        say(t("Nothing is new."))
    for window in windows:
        findings = [Finding.of_json(one) for one in window.findings]
        where = f"{window.source} {window.unit} {window.name}"
        say(t("{where}: {rows:,} rows, {count} findings", where=where, rows=window.rows, count=len(findings)))
        for finding in findings:
            say(f"  {finding.severity}: {finding.told()}")
    for decision in decisions:
        say(f"{decision.action}: {decision.text}")
    for one in done:
        say(getattr(one, "message", "") or getattr(one, "why", ""))


def list_withheld(project: Path, *, json: bool) -> None:
    """List the pieces that are withheld."""
    workspace = Workspace.open(project, create=False)
    held = withheld.withheld(workspace.ledger, workspace.project_name())
    rows = [
        {"piece": digest, "name": one.evidence["pieces"][digest], "since": one.at, "why": one.text}
        for digest, one in held.items()
    ]
    if json:
        document(rows)
    elif rows:
        table(
            [t("piece"), t("name"), t("since"), t("why")],
            [[row["piece"], row["name"], row["since"][:19], row["why"]] for row in rows],
        )
    else:
        say(t("Nothing is withheld."))


def give_back(piece: str, project: Path, why: str, *, json: bool) -> None:
    """Let a piece be learned from again."""
    workspace = Workspace.open(project, create=False)
    decision = withheld.give_back(
        workspace.ledger, workspace.project_name(), piece, who=getpass.getuser(), why=why
    )
    if json:
        document(asdict(decision))
    else:
        say(decision.text)
