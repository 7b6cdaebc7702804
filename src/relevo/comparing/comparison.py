"""A reference and other rows compared, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from relevo.comparing.profiles import (
    Profile,
    Profiled,
    chosen,
    count_numbers,
    count_texts,
    groups,
    profiled,
)
from relevo.comparing.rows import opened
from relevo.drift import BOOLEAN, NUMBER, ORDERED, TEXT, TIME, Binning, shifts
from relevo.errors import DataError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from relevo.comparing.rows import Given, Rows
    from relevo.drift import Shift


@dataclass(frozen=True)
class Comparison:
    """How far each column has moved, the farthest first: by what it has moved at least, then by what it seems to.

    ``skipped`` has, by column, why it is not compared.
    """

    reference: str
    current: str
    reference_rows: int
    rows: int
    shifts: tuple[Shift, ...]
    skipped: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; ``signals`` as in a window's figures."""
        return {
            "reference": self.reference,
            "current": self.current,
            "reference_rows": self.reference_rows,
            "rows": self.rows,
            "signals": {shift.name: shift.to_json() for shift in self.shifts},
            "skipped": dict(self.skipped),
        }


def compare(
    reference: Given | Profile, current: Given, *, columns: Sequence[str] | None = None
) -> Comparison:
    """Compare the columns that both have, or some of them; a reference may be given as its ``profile``.

    Raises ``DataError`` when there is no such file, no column in common, or a column is of different kinds.
    """
    with opened(current) as rows:
        names, skipped = chosen(rows, columns)
        known = _profile(reference, rows, names, columns)
        common = [name for name in known.columns if name in names]
        if not common:
            raise _nothing_in_common(known, rows)
        fitted = _fitted(known, rows, common)
        counts = _counts(rows, fitted)
        found = shifts(
            [fitted[name].bins for name in common],
            [fitted[name].counts for name in common],
            [counts[name] for name in common],
        )
        found.sort(key=lambda shift: (-shift.tv.low, -shift.tv.value, shift.p))
        if columns is None:
            skipped |= {
                name: t("only in {file}", file=rows.name)
                for name in names
                if name not in {**known.columns, **known.skipped}
            }
        return Comparison(
            known.name, rows.name, known.rows, rows.count, tuple(found), {**known.skipped, **skipped}
        )


def _profile(
    reference: Given | Profile, rows: Rows, names: Sequence[str], columns: Sequence[str] | None
) -> Profile:
    """The reference's columns, where not asked for otherwise those that the other rows have too."""
    if not isinstance(reference, Profile):
        with opened(reference) as base:
            common = columns or [name for name in base.types if name in names]
            known = profiled(base, common)
            absent = [] if columns else [name for name in base.types if name not in rows.types]
            why = {name: t("only in {file}", file=base.name) for name in absent}
            return Profile(known.name, known.rows, known.columns, {**known.skipped, **why})
    for name in columns or ():
        if name not in reference.columns:
            raise DataError(
                t(
                    "{file} has no column “{name}”. Its columns are: {columns}.",
                    file=reference.name,
                    name=name,
                    columns=_listed(reference.columns),
                )
            )
    absent = [] if columns else [name for name in reference.columns if name not in rows.types]
    why = {name: t("only in {file}", file=reference.name) for name in absent}
    skipped = {} if columns else {**reference.skipped, **why}
    return Profile(reference.name, reference.rows, reference.columns, skipped)


def _nothing_in_common(known: Profile, rows: Rows) -> DataError:
    return DataError(
        t(
            "{reference} and {current} have no column in common that can be compared. The second's are: {columns}.",
            reference=known.name,
            current=rows.name,
            columns=_listed(rows.types),
        )
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _fitted(known: Profile, rows: Rows, names: Sequence[str]) -> dict[str, Profiled]:
    """The reference's columns; one of nothing but nulls takes the other's kind. Raises where kinds differ otherwise."""
    fitted, unlike = {}, {}
    for name in names:
        column, kind = known.columns[name], str(rows.kind(name))
        fitted[name] = column
        if kind == column.bins.kind or rows.empty(name):
            continue
        if column.empty:
            bins = Binning(name=name, kind=kind, bounded=kind in ORDERED)
            fitted[name] = Profiled(bins, (*[0] * (bins.count - 1), known.rows))
        else:
            unlike[name] = (_word(column.bins.kind), _word(kind))
    if unlike:
        shown = "; ".join(f"“{name}”: {first}, {second}" for name, (first, second) in unlike.items())
        raise DataError(
            t(
                "{reference} and {current} hold different things under one name: {columns}. Convert one of them, or"
                " name the columns to be compared with --columns.",
                reference=known.name,
                current=rows.name,
                columns=shown,
            )
        )
    return fitted


def _word(kind: str) -> str:
    return {NUMBER: t("numbers"), TEXT: t("texts"), BOOLEAN: t("yes or no"), TIME: t("times")}[kind]


def _counts(rows: Rows, columns: Mapping[str, Profiled]) -> dict[str, ArrayLike]:
    found: dict[str, ArrayLike] = {}
    ordered = []
    for name, column in columns.items():
        if column.bins.kind != rows.kind(name):  # it holds nothing but nulls
            found[name] = [*[0] * (column.bins.count - 1), rows.count]
        elif column.bins.kind in ORDERED:
            ordered.append(name)
        else:
            found[name] = count_texts(rows, column)
    for group in groups(ordered, len(ordered)):
        bins = [columns[name].bins for name in group]
        blocks = partial(rows.numbers, group)
        found |= zip(group, count_numbers(blocks, bins), strict=True)
    return found
