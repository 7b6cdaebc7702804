"""The windows of a source that were looked at before: what was usual when another one began."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from relevo.monitor.silence import Usual

if TYPE_CHECKING:
    from relevo.monitor.champion import Watching
    from relevo.records import Window


class Past:
    """The windows of a source and a unit that were looked at; more are added as they are."""

    def __init__(self, watching: Watching, source: str, unit: str) -> None:
        self.windows = watching.before(source, unit)
        """The latest first."""
        self._usual = Usual(watching, source, unit)

    def until(self, name: str, began_at: str) -> list[Window]:
        """Those that had ended when the one of a name began: what came after it says nothing of what was usual."""
        moment = datetime.fromisoformat(began_at)
        return [
            one for one in self.windows if one.name != name and datetime.fromisoformat(one.ended_at) <= moment
        ]

    def empty(self, rows: int, began: str, began_at: str, before: list[Window]) -> bool:
        """Whether a window says nothing, since it has no rows and nothing usually came; see ``Usual.came``."""
        return not rows and not self._usual.came(began, began_at, before)

    def add(self, window: Window) -> Window:
        """Take in one that was looked at just now, for the first time or again; gives it back."""
        self._usual.add(window)
        others = [one for one in self.windows if one.name != window.name]
        self.windows = sorted([window, *others], key=lambda one: one.ended_at, reverse=True)
        return window
