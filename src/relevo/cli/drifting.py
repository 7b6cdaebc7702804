"""``drift``: two sets of rows compared, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.cli.output import document, say, table
from relevo.comparing import compare
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.drift import Distance, Shift


def drift(reference: str, current: str, columns: str, top: int, *, json: bool) -> None:
    """Compare two files, folders or patterns, and show the columns that moved most."""
    chosen = [name.strip() for name in columns.split(",") if name.strip()]
    found = compare(reference, current, columns=chosen or None)
    if json:
        document(found.to_json())
        return
    say(
        t(
            "{rows:,} rows of {current} against {reference_rows:,} of {reference}; {columns:,} columns.",
            rows=found.rows,
            current=found.current,
            reference_rows=found.reference_rows,
            reference=found.reference,
            columns=len(found.shifts),
        )
    )
    heads = (t("column"), t("moved"), "95 %", "PSI", "p", t("null"), t("where"))
    table(heads, [_row(shift) for shift in found.shifts[:top]])
    if len(found.shifts) > top:
        say(t("{count:,} more moved less; --top shows them.", count=len(found.shifts) - top))
    if found.skipped:
        shown = "; ".join(f"{name} ({why})" for name, why in found.skipped.items())
        say(t("Not compared: {columns}.", columns=shown))


def _row(shift: Shift) -> tuple[str, ...]:
    null = f"{shift.null:.1%}"
    return (
        shift.name,
        f"{shift.tv.value:.1%}",
        _interval(shift.tv),
        f"{shift.psi.value:.3f}",
        f"{shift.p:.2g}",
        null if shift.null == shift.reference_null else f"{shift.reference_null:.1%} → {null}",
        shift.moved,
    )


def _interval(distance: Distance) -> str:
    return f"[{distance.low:.1%}, {distance.high:.1%}]"
