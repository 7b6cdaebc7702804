"""Grafana's dashboards as JSON: a panel is what it asks, in which unit, where it becomes worrying, and why one looks.

The form is that of Grafana's dashboard JSON model, schema version 39 (Grafana 10 and later read it).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMA = 39
_COLUMNS, _HEIGHT = 24, 8
_COLOURS = ("green", "orange", "red")
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel. ``asks`` are pairs of an expression and the legend of its lines.

    ``steps`` are the values from which it is orange and red; one that falls is worrying where it is small. ``kind`` is
    one of Grafana's: ``timeseries``, ``stat``, ``bargauge``, ``table``.
    """

    title: str
    about: str
    asks: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    steps: Sequence[float] = ()
    width: int = 8
    stacked: bool = False
    least: float | None = 0

    def plain(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel's JSON at a place of the grid."""
        at_once = self.kind != "timeseries"
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": _SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": _HEIGHT},
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "targets": [
                {
                    "refId": chr(ord("A") + place),
                    "datasource": _SOURCE,
                    "expr": expression,
                    "legendFormat": legend,
                    "instant": at_once,
                    "range": not at_once,
                }
                for place, (expression, legend) in enumerate(self.asks)
            ],
        }

    def _defaults(self) -> dict[str, Any]:
        falling = any(one > other for one, other in pairwise(self.steps))
        values = sorted(self.steps)
        colours = [*reversed(_COLOURS[: len(values) + 1])] if falling else [*_COLOURS]
        steps = [
            {"color": colour, "value": value} for colour, value in zip(colours, [None, *values], strict=False)
        ]
        lines: dict[str, Any] = {"thresholdsStyle": {"mode": "line" if self.steps else "off"}}
        lines |= {"fillOpacity": 10, "stacking": {"mode": "normal" if self.stacked else "none"}}
        return {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": steps},
            "custom": lines if self.kind == "timeseries" else {},
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            **({} if self.least is None else {"min": self.least}),
        }

    def _options(self) -> dict[str, Any]:
        if self.kind == "timeseries":
            return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        reduced = {"calcs": ["lastNotNull"], "values": False}
        if self.kind == "bargauge":
            return {"reduceOptions": reduced, "orientation": "horizontal", "displayMode": "basic"}
        return {"reduceOptions": reduced, "textMode": "auto"}


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard: rows of panels, each with a heading."""

    uid: str
    title: str
    about: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    chosen: str
    """What the choice of the service is called."""

    def text(self) -> str:
        """The file."""
        return json.dumps(self._plain(), ensure_ascii=False, indent=1) + "\n"

    def _plain(self) -> dict[str, Any]:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["relevo"],
            "schemaVersion": _SCHEMA,
            "version": 1,
            "editable": True,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": [_sources(), _services(self.chosen)]},
            "annotations": {"list": []},
            "links": [_links()],
            "panels": self._panels(),
        }

    def _panels(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        y = 0
        for heading, panels in self.rows:
            found.append(_row(heading, len(found) + 1, y))
            x, y = 0, y + 1
            for panel in panels:
                if x + panel.width > _COLUMNS:
                    x, y = 0, y + _HEIGHT
                found.append(panel.plain(len(found) + 1, x, y))
                x += panel.width
            y += _HEIGHT
        return found


def _row(title: str, number: int, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _sources() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _services(label: str) -> dict[str, Any]:
    asked = "label_values(relevo_workers, job)"
    return {
        "name": "job",
        "type": "query",
        "label": label,
        "datasource": _SOURCE,
        "definition": asked,
        "query": {"query": asked, "refId": "job"},
        "refresh": 2,
        "sort": 1,
    }


def _links() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "tags": ["relevo"],
        "title": "Relevo",
        "asDropdown": True,
        "includeVars": True,
    }
