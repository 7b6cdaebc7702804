"""Bins: where the values of features and scores are counted, as a package's reference profile cuts them.

All counts of a package lie in one vector of whole numbers, signal after signal, so that those of workers, hours and
machines add up by adding vectors. A signal's cells part its values; the two after them count what is missing and
what is strange: a text that was never learned from, a number outside the range that was.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import digest as digests
from relevo.encoding import is_masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.package import ModelPackage

    Numbers = NDArray[np.int64]

SCORE = "(score)"
"""The signal of the probabilities answered."""
OTHER = "…"
COARSE = 4
"""Cells of a feature within a pair: quarters of a number's bins, a text's top levels."""
REQUESTS, RECOMMENDATIONS, SCORES = "requests", "recommendations", "scores"
"""Where what was counted came from: what was asked, what was chosen for somebody, and a population."""
VERSION = 2
"""Raised when the same reference would be cut otherwise."""


@dataclass(frozen=True)
class Signal:
    """A feature, a pair of them, or the score. ``kind``: ``number``, ``text``, ``boolean``, ``score`` or ``pair``.

    Its K cells begin at ``start`` of the vector; missing and strange values are counted at ``start + K`` and
    ``start + K + 1``.
    """

    name: str
    kind: str
    cells: tuple[str, ...]
    start: int
    edges: tuple[float, ...] = ()
    """Between the cells of a number or the score."""

    @property
    def missing(self) -> int:
        """Where missing values are counted."""
        return self.start + len(self.cells)

    @property
    def strange(self) -> int:
        """Where strange values are counted; they count in a cell too."""
        return self.start + len(self.cells) + 1

    def of(self, counts: Numbers) -> Numbers:
        """The K cells' part of a vector, or of the rows of a matrix."""
        return counts[..., self.start : self.start + len(self.cells)]


class Bins:
    """How a package's features and score are counted. ``size`` is the vector's length, ``digest`` what cuts it so.

    The vector's order is the features' names', so it is one whichever way the reference was written.
    """

    def __init__(
        self,
        reference: Mapping[str, Any],
        levels: Mapping[str, Mapping[Any, Any]] | None = None,
        order: Sequence[str] | None = None,
    ) -> None:
        """``levels`` are, by text feature, all that were learned from; by default the reference's top levels.

        ``order`` is that of the features in rows: a reference that was read from a package has lost it.
        """
        known = levels or {}
        self._columns: list[_Column] = []
        start = 0
        for name, part in sorted(reference["features"].items()):
            column = _column(name, part, known.get(name), start)
            self._columns.append(column)
            start = column.signal.strange + 1
        score = reference["score"]
        fine = score.get("quantiles") or {"edges": score["edges"]}
        edges = np.asarray(fine["edges"], np.float64)
        self._score = _Cut(
            Signal(SCORE, "score", _ranges(edges), start, tuple(edges.tolist())), edges, 0.0, 1.0
        )
        start = self._score.signal.strange + 1
        places = {column.signal.name: place for place, column in enumerate(self._columns)}
        self._pairs: list[_Pair] = []
        for one, other in reference.get("pairs", ()):
            pair = _Pair.of(self._columns, places[one], places[other], start)
            self._pairs.append(pair)
            start = pair.signal.strange + 1
        self.size = start
        self.signals = tuple(part.signal for part in (*self._columns, self._score, *self._pairs))
        """In the vector's order."""
        self.features: tuple[str, ...] = tuple(reference["features"] if order is None else order)
        """Names, in the order in which rows hold them."""
        self.single = tuple(part.signal for part in (*self._columns, self._score))
        """The signals but the pairs."""
        self.missing = np.array([signal.missing for signal in self.single])
        self.strange = np.array([signal.strange for signal in self.single])
        """Places in the vector, of single signals in order."""
        parts = (*self._columns, self._score)
        self._into = np.concatenate([part.signal.start + part.into for part in parts])
        strange = np.concatenate([part.signal.strange * part.odd for part in parts])
        self._odd = np.flatnonzero(strange)
        self._strange = strange[self._odd]

    @classmethod
    def of(cls, package: ModelPackage) -> Bins | None:
        """The bins of a package, with its levels and its rows' order; None for one whose reference has none of them."""
        names = package.online.names
        try:
            whole = set(package.reference["features"]) == set(names)
            return cls(package.reference, package.levels, names) if whole else None
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ):  # a draft's is empty, a foreign one's may be anything
            return None

    @cached_property
    def digest(self) -> str:
        """Two vectors may be added when these are equal."""
        return digests.of_json([VERSION, *([s.name, s.kind, list(s.cells)] for s in self.signals)])

    def rows(self, rows: Sequence[Sequence[Any]], scores: Any) -> Numbers:
        """Count n feature tuples and their n probabilities."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._columns)
        return self.columns(dict(zip(self.features, columns, strict=True)), scores)

    def columns(self, columns: Mapping[str, Any], scores: Any) -> Numbers:
        """Count columns of n values: sequences with None, or arrays, masked where null; and n probabilities.

        Without scores (none at all) only the features are counted.
        """
        found = [column.codes(columns[column.signal.name]) for column in self._columns]
        codes = [*found, self._score.codes(scores)]
        parts = (*self._columns, self._score)
        raw = np.concatenate(
            [np.bincount(one, minlength=len(part.into)) for one, part in zip(codes, parts, strict=True)]
        )
        # Sums of doubles are exact here: nobody counts 2**53 rows at once.
        counts = np.bincount(self._into, raw, minlength=self.size).astype(np.int64)
        counts += np.bincount(self._strange, raw[self._odd], minlength=self.size).astype(np.int64)
        for pair in self._pairs:
            signal = pair.signal
            signal.of(counts)[:] = np.bincount(pair.codes(found), minlength=len(signal.cells))
        return counts

    def reference(self, reference: Mapping[str, Any]) -> Numbers:
        """The counts that a reference profile holds itself; of pairs it holds none."""
        counts = np.zeros(self.size, np.int64)
        for column in self._columns:
            part = reference["features"][column.signal.name]
            counts[column.signal.start : column.signal.missing + 1] = column.held(part)
        score = reference["score"]
        self._score.signal.of(counts)[:] = (score.get("quantiles") or score)["counts"]
        return counts


class _Cut:
    """A number: its K bins by K - 1 inner edges.

    Codes are 0 for what is below the range, 1 to K for the bins, K + 1 for above it, and K + 2 for NaN, which
    sorts last: one search tells all. ``into`` is where each is counted from the signal's start, ``odd`` whether
    it is strange.
    """

    def __init__(self, signal: Signal, edges: NDArray[np.float64], low: float, high: float) -> None:
        self.signal = signal
        cells = len(edges) + 1
        least, most = (min(low, edges[0]), max(high, edges[-1])) if len(edges) else (low, high)
        above = np.nextafter(most, np.inf) if np.isfinite(most) else np.nan
        self._edges = np.concatenate(([least], edges, [above, np.nan]))
        self.into = np.array([0, *range(cells), cells - 1, cells])
        self.odd = np.array([1, *[0] * cells, 1, 0])

    def codes(self, values: Any) -> Numbers:
        """The code of each value."""
        return self._edges.searchsorted(_numbers(values), side="right")

    def held(self, part: Mapping[str, Any]) -> list[int]:
        """The profile's counts of the cells, then of the missing."""
        return [*part["counts"], part["null"]]

    @property
    def coarse(self) -> Numbers:
        """The coarse cell of each code; the missing are one of their own."""
        cells = len(self.signal.cells)
        some = min(COARSE, cells)
        return np.append(self.into[:-1] * some // cells, some)


class _Choice:
    """A text or a boolean. Codes are its K cells', K for what is missing, and K + 1 for a text never learned from."""

    def __init__(
        self, signal: Signal, levels: Sequence[Any], known: Mapping[Any, Any] | None, *, other: bool
    ) -> None:
        self.signal = signal
        self._levels = levels
        cells = len(signal.cells)
        self._code = _Code({level: code for code, level in enumerate(levels)} | {None: cells})
        if other:
            self._code.known, self._code.rare, self._code.new = known, cells - 1, cells + 1
        self._small = cells + 1 < 1 << 8  # the codes fit into bytes, which are faster
        self.into = np.array([*range(cells + 1), cells - 1])
        self.odd = np.array([*[0] * (cells + 1), 1])

    def codes(self, values: Any) -> Numbers:
        """The code of each value."""
        values = _listed(values)
        if self.signal.kind == "boolean":
            with suppress(TypeError):  # some are missing
                return np.frombuffer(bytes(values), np.uint8)
        codes = [*map(self._code.__getitem__, values)]
        return np.frombuffer(bytes(codes), np.uint8) if self._small else np.array(codes, np.intp)

    def held(self, part: Mapping[str, Any]) -> list[int]:
        """The profile's counts of the cells, then of the missing."""
        if "levels" not in part:
            return [part["false"], part["true"], part["null"]]
        return [*(part["levels"][level] for level in self._levels), part["other"], part["null"]]

    @property
    def coarse(self) -> Numbers:
        """The coarse cell of each code; the missing are one of their own."""
        cells = len(self.signal.cells)
        some = min(COARSE, cells)
        return np.append(np.minimum(np.arange(cells), some - 1), [some, some - 1])


class _Code(dict[Any, int]):
    """The codes of values; of others than these ``rare`` when they are ``known``, or nobody can tell, else ``new``."""

    __slots__ = ("known", "new", "rare")
    known: Mapping[Any, Any] | None
    rare: int
    new: int

    def __missing__(self, value: Any) -> int:
        if self.known is not None and value not in self.known:
            return self.new
        if self.known is not None:  # from now on found at once; as many as were learned from
            self[value] = self.rare
        return self.rare


_Column = _Cut | _Choice


@dataclass(frozen=True)
class _Pair:
    """Two features together, in coarse cells."""

    signal: Signal
    one: int
    other: int
    coarse: tuple[Numbers, Numbers]

    @classmethod
    def of(cls, columns: Sequence[_Column], one: int, other: int, start: int) -> _Pair:
        """Make the pair of two columns."""
        coarse = columns[one].coarse, columns[other].coarse
        wide, deep = (int(codes.max()) + 1 for codes in coarse)
        cells = tuple(f"{a}/{b}" for a in range(wide) for b in range(deep))
        name = f"{columns[one].signal.name} × {columns[other].signal.name}"  # noqa: RUF001 - a product
        return cls(Signal(name, "pair", cells, start), one, other, coarse)

    def codes(self, found: Sequence[Numbers]) -> Numbers:
        """The cell of each row, from the codes of all columns."""
        deep = int(self.coarse[1].max()) + 1
        return self.coarse[0][found[self.one]] * deep + self.coarse[1][found[self.other]]


def _column(name: str, part: Mapping[str, Any], known: Mapping[Any, Any] | None, start: int) -> _Column:
    kind = part["type"]
    if kind == "text":
        levels = sorted(part["levels"], key=lambda level: (-part["levels"][level], level))
        cells = (*levels, OTHER)
        top = dict.fromkeys(levels) if part["other"] == 0 else None  # otherwise some levels have no name here
        return _Choice(Signal(name, "text", cells, start), levels, known or top, other=True)
    if kind == "boolean":
        return _Choice(Signal(name, "boolean", ("false", "true"), start), (False, True), None, other=False)
    edges = np.asarray(part["edges"], np.float64)
    signal = Signal(name, "number", _ranges(edges), start, tuple(edges.tolist()))
    return _Cut(signal, edges, part.get("min", -np.inf), part.get("max", np.inf))


def _ranges(edges: NDArray[np.float64]) -> tuple[str, ...]:
    """Names of the bins: a bin holds its lower edge."""
    if not len(edges):
        return ("all",)
    shown: list[str] = []
    for digits in range(4, 18):  # as few as tell them apart
        shown = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(shown)) == len(edges):
            break
    return (
        f"< {shown[0]}",
        *(f"{a} to {b}" for a, b in pairwise(shown)),
        f"≥ {shown[-1]}",
    )


def _numbers(values: Any) -> NDArray[np.float64]:
    """Doubles, NaN where null."""
    if isinstance(values, np.ndarray):
        if is_masked(values):
            return np.where(np.ma.getmaskarray(values), np.nan, values.data.astype(np.float64))
        if values.dtype != object:
            return values.astype(np.float64)
    for make in (_all_known, np.array, _each):
        try:
            return make(values, np.float64)
        except (TypeError, OverflowError):
            continue
    raise AssertionError(values)


def _all_known(values: Any, kind: Any) -> NDArray[np.float64]:
    return np.fromiter(values, kind, len(values))  # twice as fast as np.array, which makes NaN of None


def _each(values: Any, kind: Any) -> NDArray[np.float64]:
    return np.fromiter((_double(value) for value in values), kind, len(values))


def _double(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except OverflowError:  # a whole number beyond doubles
        return float("inf") if value > 0 else float("-inf")


def _listed(values: Any) -> Sequence[Any]:
    """Texts and booleans as Python's own, None where masked."""
    return values.tolist() if isinstance(values, np.ndarray) else values  # type: ignore[no-any-return]


def merged(parts: Iterator[Numbers] | Sequence[Numbers], size: int) -> Numbers:
    """Add up vectors of counts."""
    whole = np.zeros(size, np.int64)
    for part in parts:
        whole += part
    return whole
