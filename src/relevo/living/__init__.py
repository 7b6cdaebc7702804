"""Living cases: the project's critical cases, asked of what answers now, hour after hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.living import packaged, service
from relevo.living.outcome import Checked
from relevo.living.record import record

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.workspace import Workspace

__all__ = ["Checked", "check", "record"]


def check(definition: Definition, workspace: Workspace, *, url: str = "", key: str = "") -> Checked:
    """Ask every critical case of the service at ``url``, or of the champion's package with the newest histories.

    Without a ``url`` a service of this workspace is asked, if one listens; where it wants a key and none is given,
    the package answers in its stead, and the ``note`` says so. Raises ``LedgerError`` when nothing was released,
    ``KeyWantedError`` when the service does not let us ask, ``RequestError`` about the URL.
    """
    place = service.at(url, key) if url else service.near(workspace, key)
    if place is None:
        return packaged.ask(definition, workspace)
    try:
        return service.ask(definition, place)
    except service.KeyWantedError as error:
        if url or key:
            raise
        return packaged.ask(definition, workspace, note=str(error))
