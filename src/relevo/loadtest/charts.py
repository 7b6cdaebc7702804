"""Small line charts as SVG: no script, colours from the page, each line also told apart by its dashes."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 28
_POINTS = 600
"""Points of a line; longer courses are thinned by the largest of each stretch."""


class Line(NamedTuple):
    """A name, the CSS class that colours it, and a value for each second, None for a gap."""

    name: str
    style: str
    values: Sequence[float | None]


def chart(title: str, lines: Sequence[Line], *, x: str, y: str) -> str:
    """Draw lines over seconds, from 0 up."""
    count = max((len(line.values) for line in lines), default=0)
    top = _round_up(max((v for line in lines for v in line.values if v is not None), default=1.0))
    scale_x = (WIDTH - _LEFT - _RIGHT) / max(1, count - 1)
    scale_y = (HEIGHT - _TOP - _BOTTOM) / top
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">',
        f"<title>{html.escape(title)}</title>",
    ]
    for share in (0.0, 0.5, 1.0):
        at = HEIGHT - _BOTTOM - share * top * scale_y
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{share * top:,.4g}</text>')
    floor = HEIGHT - 8
    parts.append(f'<text x="{_LEFT}" y="{floor}">0</text>')
    parts.append(
        f'<text x="{WIDTH - _RIGHT}" y="{floor}" text-anchor="end">{max(0, count - 1)} {html.escape(x)}</text>'
    )
    parts.append(f'<text x="{_LEFT + 6}" y="{_TOP + 10}">{html.escape(y)}</text>')
    parts += [_path(line, scale_x, scale_y) for line in lines]
    return "".join([*parts, "</svg>"])


def legend(lines: Sequence[Line]) -> str:
    """Name the lines."""
    return "".join(f'<span class="key {line.style}">{html.escape(line.name)}</span>' for line in lines)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10, 20) if step * power >= value)


def _path(line: Line, scale_x: float, scale_y: float) -> str:
    stretch = max(1, math.ceil(len(line.values) / _POINTS))
    steps, pen = [], "M"
    for place in range(0, len(line.values), stretch):
        known = [v for v in line.values[place : place + stretch] if v is not None]
        if not known:
            pen = "M"
            continue
        x, y = _LEFT + place * scale_x, HEIGHT - _BOTTOM - max(known) * scale_y
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return f'<path class="{line.style}" d="{" ".join(steps)}"/>' if steps else ""
