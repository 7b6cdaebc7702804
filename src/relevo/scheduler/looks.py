"""What a task may need before it makes sense: cheap looks, so that no process is started for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import deliver, journal, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.workspace import Workspace


def _champion(workspace: Workspace, project: str) -> bool:
    return workspace.ledger.champion(project) is not None


def _no_champion(workspace: Workspace, project: str) -> bool:
    return workspace.ledger.champion(project) is None


def _deliveries(workspace: Workspace, project: str) -> bool:
    alerts = workspace.settings_now().alerts  # as the delivery will read them
    return deliver.due(workspace.ledger, project, alerts)


def _journal(workspace: Workspace, project: str) -> bool:  # noqa: ARG001 - as the others
    if any(journal.segments(workspace.logs, stream) for stream in journal.STREAMS):
        return True
    read = (journal.segments(folder, stream) for folder in workspace.journals for stream in journal.STREAMS)
    return any(not taken.is_marked(workspace.root, path.stem) for found in read for path in found)


LOOKS: Mapping[str, Callable[[Workspace, str], bool]] = {
    "champion": _champion,
    "no champion": _no_champion,
    "deliveries": _deliveries,
    "journal": _journal,
}
