"""Recording what became of the critical cases: a window of the hour, and alerts about what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import alerting, clock, spans
from relevo import digest as digests
from relevo.living.outcome import SERVICE
from relevo.records import Window, now

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.living.outcome import Checked
    from relevo.workspace import Workspace

SOURCE = "cases"


def record(definition: Definition, workspace: Workspace, checked: Checked) -> Window:
    """Record what was answered, and alert about it; the same answers in the same hour are recorded once."""
    ledger, project = workspace.ledger, definition.name
    hour = spans.span("hour", definition.project.monitor.timezone, clock.now())
    findings = checked.findings()
    champion = ledger.champion(project)
    window = ledger.watch.add_window(
        Window(
            project=project,
            source=SOURCE,
            unit="hour",
            name=hour.name,
            began_at=hour.began_at.isoformat(timespec="microseconds"),
            ended_at=hour.ended_at.isoformat(timespec="microseconds"),
            version=checked.version or (champion.version if champion is not None else ""),
            rows=len(checked.results),
            inputs=digests.of_json(
                [hour.name, checked.problem != "", [vars(one) for one in checked.results]]
            ),
            figures={
                "rows": len(checked.results),
                "asked": checked.asked,
                "passed": len(checked.results) - len(checked.failed),
                "failed": [vars(one) for one in checked.failed],
                "problem": checked.problem,
                "note": checked.note,
            },
            findings=tuple(one.to_json() for one in findings),
            made_at=now(),
        )
    )
    settings = workspace.settings.alerts
    if findings:
        alerting.raise_findings(ledger, project, findings, window=window.number, settings=settings)
    alerting.quiet(
        ledger,
        project,
        window=window.number,
        seen=_looked_for(workspace, project, checked),
        found=[one.signal for one in findings],
        settings=settings,
    )
    return window


def _looked_for(workspace: Workspace, project: str, checked: Checked) -> list[str]:
    """The signals of which these answers can say that they are over: none of a case that nobody answered."""
    if checked.problem:
        return []
    mine = [alarm.alert.signal for alarm in workspace.ledger.alerts.all(project)]
    return [one for one in mine if one.startswith("cases:") or one == f"failures:{SERVICE}"]
