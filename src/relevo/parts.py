"""Parts: which rows teach, which judge, and the folds that cut the teaching ones.

``part`` is ``train``, ``test`` or ``gap``; ``fold`` is the number of the fold that a training row
validates, or -1 for rows that are only ever learned from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from relevo import durations
from relevo.errors import TrainingError
from relevo.split import GroupSplit, RepeatedStratifiedSplit, TimeSplit
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from relevo.split import Split, StratifiedSplit

    Labels = NDArray[np.str_]
    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.int64]


FIRST_BLOCK = 1 / 3
"""Share of the training rows before the first validated block of time."""


@dataclass(frozen=True)
class Parts:
    """The part and the fold of each of n rows; the fold is -1 outside the training part."""

    part: Labels
    fold: Numbers


def assign(
    split: Split,
    *,
    time: NDArray[np.datetime64] | None,
    group: Sequence[str | None] | None,
    target: Flags,
    ids: Sequence[str],
    known: NDArray[np.datetime64] | None = None,
) -> Parts:
    """Give each row its part and fold; raises ``TrainingError`` when a part lacks rows or a class.

    ``time`` and ``known``, when the outcome became known (datetime64[us]), are read by ``TimeSplit``,
    ``group`` by ``GroupSplit``, ``ids`` by the splits that draw by hash: digests of the rows, and for
    ``RepeatedStratifiedSplit``, whose parts are those of its first repeat, of the requests. The order of
    the rows does not matter.
    """
    _check_classes(target)
    if split.folds < 2:  # noqa: PLR2004 - one fold has nothing to learn from
        raise TrainingError(t("split: {folds} fold is too few. Write folds=2 or more.", folds=split.folds))
    if isinstance(split, TimeSplit):
        if time is None:
            raise TrainingError(t("split: TimeSplit needs a time. Give the table an event_time."))
        found = _by_time(split, time, known)
    elif isinstance(split, RepeatedStratifiedSplit):
        found = Parts(np.full(len(target), "train", "<U5"), drawn(split, target, ids)[0])
    elif not 0 < split.test < 1:
        raise TrainingError(
            t("split: test={test} is not a share. Write a number between 0 and 1.", test=split.test)
        )
    elif isinstance(split, GroupSplit):
        if group is None:
            raise TrainingError(t("split: GroupSplit needs the column {by}.", by=split.by))
        found = _by_group(split, group, target, ids)
    else:
        found = _by_row(split, target, ids)
    _check_parts(found, target, split)
    return found


def drawn(split: RepeatedStratifiedSplit, target: Flags, ids: Sequence[str]) -> Numbers:
    """The fold of each of n rows in each repeat, (repeats, n); rows that share their id share their folds."""
    whole = [
        _grouped(f"{split.seed}.{repeat}", ids, target, 0.0, split.folds).fold
        for repeat in range(split.repeats)
    ]
    return np.stack(whole)


def _by_time(split: TimeSplit, time: NDArray[np.datetime64], known: NDArray[np.datetime64] | None) -> Parts:
    moments = time.astype("datetime64[us]")
    unknown = int(np.isnat(moments).sum())
    if unknown:
        raise TrainingError(
            t(
                "split: {rows} rows have no event time. Make the column required, or leave them out with `where`.",
                rows=unknown,
            )
        )
    test, gap = _duration(split.test, "test"), _duration(split.gap, "gap")
    first, last = moments.min(), moments.max()
    if last - first <= test + gap:
        raise TrainingError(
            t(
                "split: the data covers {first} to {last}, and the newest {test} (and gap {gap}) leave nothing"
                " to learn from. Shorten test.",
                first=first,
                last=last,
                test=split.test,
                gap=split.gap,
            )
        )
    part = np.full(len(moments), "train", "<U5")
    part[moments > last - test - gap] = "gap"
    if known is not None:
        part[known.astype("datetime64[us]") > last - test] = "gap"  # not known when the test part begins
    part[moments > last - test] = "test"
    training = part == "train"
    fold = np.full(len(moments), -1, np.int64)
    fold[training] = _blocks(moments[training], split.folds)
    return Parts(part, fold)


def _blocks(moments: NDArray[np.datetime64], folds: int) -> Numbers:
    """Cut time in a first block, only ever learned from, and ``folds`` equal ones, never within one moment.

    However many rows share the earliest moment, they are in the first block.
    """
    ordered = np.sort(moments)
    earliest = int(np.searchsorted(ordered, ordered[0], side="right"))
    if earliest == len(ordered):
        return np.full(len(moments), -1, np.int64)
    start = max(FIRST_BLOCK * len(ordered), earliest)
    places = start + (len(ordered) - start) * np.arange(folds) / folds
    cuts = ordered[places.astype(np.int64)]
    found: Numbers = np.searchsorted(cuts, moments, side="right").astype(np.int64) - 1
    return found


def _duration(text: str, field: str) -> np.timedelta64:
    try:
        return np.timedelta64(durations.parse(text))
    except ValueError as error:
        raise TrainingError(f"split: {field}: {error}") from error


def _by_row(split: StratifiedSplit, target: Flags, ids: Sequence[str]) -> Parts:
    weight = np.ones(len(target), np.int64)
    return _ranked(_hashes(str(split.seed), ids), target, weight, split.test, split.folds)


def _by_group(split: GroupSplit, group: Sequence[str | None], target: Flags, ids: Sequence[str]) -> Parts:
    """Draw whole groups; a row without a group is one of its own."""
    names = [f"row {row}" if name is None else f"group {name}" for name, row in zip(group, ids, strict=True)]
    return _grouped(str(split.seed), names, target, split.test, split.folds)


def _grouped(seed: str, names: Sequence[str], target: Flags, test: float, folds: int) -> Parts:
    """Draw rows of one name together. Strata: names with and without a positive row."""
    place: dict[str, int] = {}
    of_row = np.fromiter((place.setdefault(name, len(place)) for name in names), np.int64, len(names))
    rows = np.bincount(of_row)
    any_positive = np.bincount(of_row, weights=target) > 0
    found = _ranked(_hashes(seed, list(place)), any_positive, rows, test, folds)
    return Parts(found.part[of_row], found.fold[of_row])


def _hashes(seed: str, names: Sequence[str]) -> NDArray[np.uint64]:
    """The first 8 bytes of SHA-256 of seed and name: the same for a name whatever else there is."""
    start = f"{seed}:".encode()
    sha256: Callable[[bytes], hashlib._Hash] = hashlib.sha256
    raw = b"".join(sha256(start + name.encode()).digest()[:8] for name in names)
    return np.frombuffer(raw, np.dtype(">u8")).astype(np.uint64)


def _ranked(hashes: NDArray[np.uint64], stratum: Flags, rows: Numbers, test: float, folds: int) -> Parts:
    """Cut each stratum, ordered by hash, at shares of its rows; a new row moves only those next to a cut."""
    part = np.full(len(hashes), "train", "<U5")
    fold = np.full(len(hashes), -1, np.int64)
    for which in (False, True):
        members = np.flatnonzero(stratum == which)
        members = members[np.argsort(hashes[members], kind="stable")]
        if not len(members):
            continue
        middle = np.cumsum(rows[members]) - rows[members] / 2
        share = middle / rows[members].sum()
        part[members[share < test]] = "test"
        left = members[share >= test]
        fold[left] = ((share[share >= test] - test) / (1 - test) * folds).astype(np.int64).clip(0, folds - 1)
    return Parts(part, fold)


def _check_classes(target: Flags) -> None:
    positive = int(np.count_nonzero(target))
    if positive in (0, len(target)):
        raise TrainingError(
            t(
                "All {rows} labelled rows have the same outcome ({value}), so there is nothing to tell apart."
                " Check the target's expression, or wait for rows of the other class.",
                rows=len(target),
                value="true" if positive else "false",
            )
        )


def _check_parts(parts: Parts, target: Flags, split: Split) -> None:
    training, test = parts.part == "train", parts.part == "test"
    if not isinstance(split, RepeatedStratifiedSplit):
        _check_part(t("test part"), target[test], t("Give it a larger share or a longer time."))
    _check_part(t("training part"), target[training], t("Make the test part smaller, or bring more rows."))
    fewer = t("Write fewer folds, or bring more rows.")
    for number in range(split.folds):
        _check_part(t("fold {number}", number=number), target[training & (parts.fold == number)], fewer)
    if isinstance(split, TimeSplit):
        _check_part(t("first block of time"), target[training & (parts.fold == -1)], fewer)


def _check_part(name: str, target: Flags, remedy: str) -> None:
    positive = int(np.count_nonzero(target))
    if positive in (0, len(target)):
        raise TrainingError(
            t(
                "split: the {part} has {rows} rows, {positive} of them positive: both classes are needed. {remedy}",
                part=name,
                rows=len(target),
                positive=positive,
                remedy=remedy,
            )
        )
