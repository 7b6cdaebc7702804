"""Plots of an evaluation as small SVG files, made from what its record holds: no plotting library is needed.

The ROC curve goes through the points that the ten bins of equal size give, which lie on the true curve; the area that
is written beside it is that of all rows.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SIZE, _EDGE = 320, 48
_BLUE, _GREY, _SOFT = "#1f6feb", "#57606a", "#d0d7de"
_Points = list[tuple[float, float]]


def of(record: Mapping[str, Any]) -> dict[str, str]:
    """The plots of an evaluation's record, by name."""
    found, bins = record["evaluation"], record["evaluation"]["bins"]
    metrics = found["metrics"]
    made = {
        "confusion": confusion(found["confusion"]),
        "metrics": intervals(metrics, {name: one["metrics"] for name, one in record["baselines"].items()}),
    }
    if bins:
        made["calibration"] = calibration(bins)
        made["roc"] = roc(bins, metrics.get("roc_auc") or {})
    return made


def calibration(bins: Sequence[Mapping[str, Any]]) -> str:
    """Predicted and observed share of positives of each bin."""
    points = [(float(one["predicted"]), float(one["observed"])) for one in bins]
    most = max(1e-9, *(max(pair) for pair in points))
    scaled = [(x / most, y / most) for x, y in points]
    ends = (f"0 … {most:.3g}", f"0 … {most:.3g}")
    return _square("Calibration", ("predicted", "observed"), ends, scaled, dots=True)


def roc(bins: Sequence[Mapping[str, Any]], area: Mapping[str, Any]) -> str:
    """True and false positive rates when the cut lies between two bins."""
    yes = sum(one["observed"] * one["rows"] for one in bins)
    no = sum((1 - one["observed"]) * one["rows"] for one in bins)
    points: _Points = [(0.0, 0.0)]
    hits = false = 0.0
    for one in sorted(bins, key=lambda b: float(b["predicted"]), reverse=True):
        hits += one["observed"] * one["rows"]
        false += (1 - one["observed"]) * one["rows"]
        points.append((false / no if no else 0.0, hits / yes if yes else 0.0))
    said = (
        f"ROC, area {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]"
        if area.get("value")
        else "ROC"
    )
    return _square(said, ("false positive rate", "true positive rate"), ("0 … 1", "0 … 1"), points)


def confusion(counts: Mapping[str, int]) -> str:
    """The four counts, shaded by their share of the rows of one outcome."""
    cells = []
    for row, names in enumerate((("tn", "fp"), ("fn", "tp"))):
        whole = sum(counts[name] for name in names) or 1
        for column, name in enumerate(names):
            x, y, share = _EDGE + column * 130, _EDGE + row * 110, counts[name] / whole
            cells.append(
                f'<rect x="{x}" y="{y}" width="126" height="106" fill="{_BLUE}" fill-opacity="{share:.3f}" '
                f'stroke="{_SOFT}"/>' + _label(x + 63, y + 50, f"{counts[name]:,}", size=18)
                + _label(x + 63, y + 72, f"{share:.1%}")
            )  # fmt: skip
    heads = [_label(_EDGE + 63 + 130 * place, 40, text) for place, text in enumerate(("said no", "said yes"))]
    sides = [
        f'<text transform="translate(36,{_EDGE + 53 + 110 * place}) rotate(-90)" text-anchor="middle" '
        f'font-size="12" fill="{_GREY}">{text}</text>'
        for place, text in enumerate(("was no", "was yes"))
    ]
    return _svg(330, 300, [_label(165, 20, "Held-out rows", size=14), *heads, *sides, *cells])


def intervals(metrics: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str:
    """Each metric between 0 and 1 with its interval, and the best of what needs no model as a grey line."""
    names = [name for name, said in metrics.items() if _unit(said)]
    lines, height = [], 48 + 30 * len(names)
    for place, name in enumerate(names):
        y, said = 48 + 30 * place, metrics[name]
        low, high, value = (120 + 260 * float(said[part]) for part in ("low", "high", "value"))
        others = [one[name]["value"] for one in baselines.values() if _unit(one.get(name))]
        lines += [
            _label(112, y + 4, name, anchor="end"),
            f'<line x1="120" x2="380" y1="{y}" y2="{y}" stroke="{_SOFT}"/>',
            *(f'<line x1="{120 + 260 * o:.1f}" x2="{120 + 260 * o:.1f}" y1="{y - 7}" y2="{y + 7}" stroke="{_GREY}"/>'
              for o in others),
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{_BLUE}" stroke-width="4"/>',
            f'<circle cx="{value:.1f}" cy="{y}" r="5" fill="{_BLUE}"/>',
            _label(388, y + 4, f"{said['value']:.3f}", anchor="start"),
        ]  # fmt: skip
    return _svg(440, height, [_label(220, 20, "Held-out metrics; grey: without a model", size=14), *lines])


def _unit(said: Mapping[str, Any] | None) -> bool:
    parts = [(said or {}).get(part) for part in ("value", "low", "high")]
    return all(isinstance(part, int | float) and 0 <= part <= 1 for part in parts)


def _square(
    title: str, axes: tuple[str, str], ends: tuple[str, str], points: _Points, *, dots: bool = False
) -> str:
    """A curve in a square from (0, 0) to (1, 1), with the diagonal."""
    side = _SIZE - 2 * _EDGE + 40

    def place(x: float, y: float) -> str:
        return f"{_EDGE + side * x:.1f},{_EDGE + side * (1 - y):.1f}"

    marks = [f'<circle cx="{p.partition(",")[0]}" cy="{p.partition(",")[2]}" r="3.5" fill="{_BLUE}"/>'
             for p in (place(x, y) for x, y in points)] if dots else []  # fmt: skip
    path = " ".join(place(x, y) for x, y in points)
    return _svg(
        _SIZE + 24,
        _SIZE + 36,
        [
            _label((_SIZE + 24) / 2, 22, title, size=14),
            f'<rect x="{_EDGE}" y="{_EDGE}" width="{side}" height="{side}" fill="none" stroke="{_SOFT}"/>',
            f'<polyline points="{place(0, 0)} {place(1, 1)}" stroke="{_GREY}" stroke-dasharray="4 4" fill="none"/>',
            f'<polyline points="{path}" stroke="{_BLUE}" stroke-width="2" fill="none"/>',
            *marks,
            _label(_EDGE + side / 2, _EDGE + side + 24, f"{axes[0]} ({ends[0]})"),
            (
                f'<text transform="translate(28,{_EDGE + side / 2}) rotate(-90)" text-anchor="middle" font-size="12" '
                f'fill="{_GREY}">{escape(axes[1])} ({escape(ends[1])})</text>'
            ),
        ],
    )


def _label(x: float, y: float, text: str, *, size: int = 12, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{_GREY}">{escape(text)}</text>'


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts)
        + "</svg>\n"
    )
