"""How a reference's columns are distributed, and how other rows are over the same bins.

Numbers are cut at the reference's deciles, found in a sample where there are many rows; what is counted is all rows.
Texts have a bin for each of the most frequent levels. Of several ways measured, comparing a column with each edge in
numpy is the fastest: a fifth of the time of a binary search, and less than the engine takes to do the same in SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.comparing.rows import opened
from relevo.drift import BOOLEAN, ORDERED, TEXT, Binning
from relevo.errors import DataError
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.comparing.rows import Floating, Given, Rows

    Blocks = Callable[[], Iterable[list[Floating]]]

QUANTILES = 10
LEVELS = 20
"""Texts with a bin of their own; of numbers, distinct values up to which each has one."""
KNOWN = 10_000
"""Levels kept, so that one never seen before can be told; a column with more is taken for an identifier."""
SAMPLE = 100_000
"""Values, about, from which quantiles are found."""
ATOM = 0.05
"""A value that is this share of all has a bin of its own."""
HELD = 1 << 24
"""Numbers held at once, 128 MB, while their bins are found; a longer column is read twice."""
GROUP = 16
"""Columns read at once when no number needs to be held."""


@dataclass(frozen=True)
class Profiled:
    """One column of a reference. ``known`` are all of a text's levels, or none where there are too many."""

    bins: Binning
    counts: tuple[int, ...]
    known: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it holds nothing but nulls."""
        return sum(self.counts) == self.counts[-1]


@dataclass(frozen=True)
class Profile:
    """What a reference is compared by; may be kept as JSON. ``skipped`` has why a column is not in it."""

    name: str
    rows: int
    columns: Mapping[str, Profiled]
    skipped: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        columns = [
            {"bins": one.bins.to_json(), "counts": list(one.counts), "known": list(one.known)}
            for one in self.columns.values()
        ]
        return {"name": self.name, "rows": self.rows, "columns": columns, "skipped": dict(self.skipped)}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Profile:
        """Read ``to_json`` back."""
        columns = [
            Profiled(Binning.of_json(one["bins"]), tuple(one["counts"]), tuple(one["known"]))
            for one in data["columns"]
        ]
        return cls(data["name"], data["rows"], {one.bins.name: one for one in columns}, data["skipped"])


def profile(reference: Given, *, columns: Sequence[str] | None = None) -> Profile:
    """Bin and count the columns of a reference, or some of them; raises ``DataError`` for one that is not there.

    A reference is a file (Parquet, CSV, JSON lines), a folder or a pattern of such, a Delta table, or numpy arrays by
    name.
    """
    with opened(reference) as rows:
        return profiled(rows, columns)


def profiled(rows: Rows, columns: Sequence[str] | None) -> Profile:
    """Profile rows that are open."""
    names, skipped = chosen(rows, columns)
    found = {name: _texts(rows, name) for name in names if rows.kind(name) not in ORDERED}
    ordered = [name for name in names if name not in found]
    for group in groups(ordered, HELD // max(rows.count, 1)):
        found |= {one.bins.name: one for one in _numbers(rows, group)}
    return Profile(rows.name, rows.count, {name: found[name] for name in names}, skipped)


def chosen(rows: Rows, columns: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """The columns that can be compared, in order, and why others cannot; raises ``DataError`` for one asked for."""
    missing = [name for name in columns or () if name not in rows.types]
    if missing:
        raise DataError(
            t(
                "{file} has no column “{name}”. Its columns are: {columns}.",
                file=rows.name,
                name=missing[0],
                columns=", ".join(rows.types),
            )
        )
    names = list(rows.types if columns is None else columns)
    skipped = {name: t("holds {type}", type=rows.types[name]) for name in names if rows.kind(name) is None}
    if skipped and columns is not None:
        name, why = next(iter(skipped.items()))
        raise DataError(
            t(
                "{file}: the column “{name}” {why}, which cannot be compared. Leave it out.",
                file=rows.name,
                name=name,
                why=why,
            )
        )
    return [name for name in names if name not in skipped], skipped


def groups(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Take some columns at a time."""
    size = max(1, min(size, GROUP))
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _numbers(rows: Rows, names: Sequence[str]) -> list[Profiled]:
    held = list(rows.numbers(names)) if rows.count * len(names) <= HELD else None

    def blocks() -> Iterable[list[Floating]]:
        return rows.numbers(names) if held is None else held

    kinds = [rows.kind(name) for name in names]
    bins = [
        Binning(name=name, kind=str(kind), edges=edges, bounded=True)
        for name, kind, edges in zip(names, kinds, _edges(blocks, rows.count, len(names)), strict=True)
    ]
    counts = count_numbers(blocks, bins)
    return [Profiled(one, tuple(counted.tolist())) for one, counted in zip(bins, counts, strict=True)]


def _edges(blocks: Blocks, count: int, columns: int) -> list[tuple[float, ...]]:
    """Where each column is cut: its least and greatest value, its deciles, and around values that are frequent.

    A sample has one row of each ``count / SAMPLE`` that follow each other, drawn with a fixed seed.
    """
    stride = max(1, count // SAMPLE)
    generator = np.random.default_rng(0)
    least, most = np.full(columns, np.inf), np.full(columns, -np.inf)
    samples: list[list[Floating]] = [[] for _ in range(columns)]
    for block in blocks():
        starts = np.arange(0, len(block[0]), stride)
        drawn = np.minimum(starts + generator.integers(stride, size=len(starts)), len(block[0]) - 1)
        for place, values in enumerate(block):
            samples[place].append(values[drawn])
            low, high = np.fmin.reduce(values), np.fmax.reduce(values)
            if np.isinf(low) or np.isinf(high):
                finite = values[np.isfinite(values)]
                if not len(finite):
                    continue
                low, high = finite.min(), finite.max()
            least[place], most[place] = np.fmin(least[place], low), np.fmax(most[place], high)
    return [
        _cuts(np.concatenate(sample) if sample else np.empty(0), float(low), float(high))
        for sample, low, high in zip(samples, least, most, strict=True)
    ]


def _cuts(sample: NDArray[Any], least: float, most: float) -> tuple[float, ...]:
    if least > most:
        return ()
    values = np.sort(sample[np.isfinite(sample)]).astype(np.float64)
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf))
    distinct, counts = values[starts], np.diff(starts, append=len(values))
    if len(distinct) <= LEVELS:
        cuts = distinct
    else:
        deciles = values[[len(values) * part // QUANTILES for part in range(1, QUANTILES)]]
        frequent = distinct[counts >= ATOM * len(values)]
        cuts = np.concatenate([deciles, frequent, np.nextafter(frequent, np.inf)])
    inside = cuts[(cuts > least) & (cuts <= most)]
    return tuple(np.unique([least, *inside, np.nextafter(most, np.inf)]).tolist())


def count_numbers(blocks: Blocks, bins: Sequence[Binning]) -> list[NDArray[np.int64]]:
    """Count values between edges, and NaN as null: for each column len(edges) + 2."""
    below = [np.zeros(len(one.edges), dtype=np.int64) for one in bins]
    known, total = np.zeros(len(bins), dtype=np.int64), 0
    thresholds: dict[Any, list[list[Any]]] = {}
    for block in blocks():
        total += len(block[0])
        for place, values in enumerate(block):
            if values.dtype not in thresholds:
                thresholds[values.dtype] = [_thresholds(one.edges, values.dtype) for one in bins]
            known[place] += np.count_nonzero(values == values)  # noqa: PLR0124 - NaN differs from itself
            for cut, threshold in enumerate(thresholds[values.dtype][place]):
                below[place][cut] += np.count_nonzero(values < threshold)
    return [
        np.diff([0, *under, some, total]).astype(np.int64) for under, some in zip(below, known, strict=True)
    ]


def _thresholds(edges: Sequence[float], dtype: Any) -> list[Any]:
    """The least numbers of a type that are not below the edges: what is below them is the same."""
    exact = np.array(edges, dtype=np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(dtype)
    return list(np.where(near < exact, np.nextafter(near, np.array(np.inf, dtype)), near))


def _texts(rows: Rows, name: str) -> Profiled:
    """The most frequent levels; true and false of booleans."""
    cell = _text(name)
    found = rows.query(
        f"select {cell}, count(*) from {rows.relation} group by 1"
        f" order by {cell} is null desc, 2 desc, 1 limit {KNOWN + 2}"
    )
    null = found[0][1] if found and found[0][0] is None else 0
    counted = [row for row in found if row[0] is not None]
    kind = BOOLEAN if rows.kind(name) == BOOLEAN else TEXT
    if kind == BOOLEAN:
        by_level = {"false": 0, "true": 0} | dict(counted)
        counted = sorted(by_level.items())
    top = counted[:LEVELS]
    bins = Binning(name=name, kind=kind, levels=tuple(level for level, _ in top))
    own = [number for _, number in top]
    other = rows.count - null - sum(own)
    known = tuple(level for level, _ in counted) if len(counted) <= KNOWN else ()
    return Profiled(bins, (*own, other, 0, null), known)


def count_texts(rows: Rows, column: Profiled) -> list[int]:
    """Count a text's levels in other rows: for each its number, others, those never seen before, nulls."""
    bins = column.bins
    levels = list(column.known or bins.levels)
    # grouped first, since a column with few levels is grouped by its dictionary
    query = (
        f"select place, sum(number)::bigint, text is null from"
        f" (select {_text(bins.name)} as text, count(*) as number from {rows.relation} group by 1)"
        " left join (select unnest(?::varchar[]) as text, unnest(range(?)) as place) using (text) group by all"
    )
    counts = [0] * bins.count
    own = len(bins.levels)
    # without all levels at hand, one that is not there may still be the reference's
    absent = own + 1 if column.known or column.empty else own
    for place, number, null in rows.query(query, [levels, len(levels)]):
        counts[-1 if null else absent if place is None else min(place, own)] += number
    return counts


def _text(name: str) -> str:
    return f"cast({quote(name)} as varchar)"
