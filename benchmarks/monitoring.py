"""A year in which nothing changes, and changes of many sizes: false alarms, and days until something is told.

python benchmarks/monitoring.py [--check] [--years 20] [--delays] [--peers]

The project's budget is one false alarm a month; a quarter of a year is the reference. Each simulated day and week is
looked at as `relevo monitor` does: distributions, missing and strange values, the score, what hangs together, the
volume, and the realised ROC-AUC, outcomes being known the same day. A false alarm is a window of which something is
told. --delays injects shifts into days of a given size and counts the days until they are told, up to 14. --peers lets
Evidently and NannyML look at the same days with their defaults (support/lookers.py), and at four weeks without a shift.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from support.measuring import below, options, tell
from support.season import FEATURES, NUMBERS, TEXTS, Day, Stream

from relevo import intervals, multivariate, performance, volume
from relevo.baseline import Baseline
from relevo.bins import Bins
from relevo.budget import risks
from relevo.examine import examine, phases
from relevo.multivariate import Reconstruction
from relevo.profile import profile
from support import lookers

if TYPE_CHECKING:
    from relevo.findings import Finding

REFERENCE, YEAR = 91, 364
UNITS = ("day", "week")
BUDGET = 1.0
DRIFT, LOSS = 0.05, 0.02
LONGEST, CALM = 14, 28
BESIDE = 28
"""Days that others get as their reference."""
SHIFTS = {
    "mean": (0.1, 0.2, 0.5),
    "variance": (0.2, 0.5),
    "new category": (0.03, 0.1),
    "nulls": (0.03, 0.1),
    "label flip": (0.05, 0.15),
    "unit change": (10.0,),
}
SIZES = (200, 2000, 20_000)
REPEATS = 5
MONDAY = np.datetime64("2024-01-01", "h")


class Watcher:
    """What `relevo monitor` knows of a reference, day by day."""

    def __init__(self, days: list[Day]) -> None:
        whole = {name: np.concatenate([day.columns[name] for day in days]) for name in days[0].columns}
        masked = {name: _masked(values) for name, values in whole.items()}
        probability = np.concatenate([day.probability for day in days])
        outcome = np.concatenate([day.outcome for day in days])
        self._levels = {name: sorted({v for v in whole[name] if v is not None}) for name in TEXTS}
        self.bins = Bins(profile(FEATURES, masked, probability))
        self._made = Reconstruction.fit(self._matrix(whole)[:: max(1, len(probability) // 20_000)])
        counts = np.stack([self.count(day) for day in days])
        errors = np.stack([self.errors(day) for day in days])
        places = np.arange(len(days))
        weeks = len(days) // 7
        self._baselines = {
            "day": Baseline(self.bins.digest, "day", counts, places % 7, errors),
            "week": Baseline(
                self.bins.digest,
                "week",
                counts[: weeks * 7].reshape(weeks, 7, -1).sum(axis=1),
                np.zeros(weeks, np.int64),
                errors[: weeks * 7].reshape(weeks, 7, -1).sum(axis=1),
            ),
        }
        self._expected = performance.plain(
            intervals.metrics(probability, probability > 0.5, outcome)["roc_auc"]
        )
        self._volumes: dict[str, list[tuple[int, int]]] = {unit: [] for unit in UNITS}

    def count(self, day: Day) -> Any:
        """Count a day."""
        return self.bins.columns(day.columns, day.probability)

    def errors(self, day: Day) -> Any:
        """The reconstruction errors of a day."""
        assert self._made is not None
        return self._made.errors(self._matrix(day.columns))

    def _matrix(self, columns: dict[str, Any]) -> Any:
        texts = []
        for name in TEXTS:
            place: dict[Any, float] = {level: float(i) for i, level in enumerate(self._levels[name])}
            texts.append(np.array([place.get(value, np.nan) for value in columns[name]]))
        return np.stack([*(columns[name] for name in NUMBERS), *texts], axis=1)

    def look(self, unit: str, began: int, counts: Any, errors: Any, day: Day) -> list[Finding]:
        """What is told of a window; ``day`` holds its probabilities and outcomes."""
        baseline, share = self._baselines[unit], risks(BUDGET, UNITS, unit)
        phase = int(phases(unit, [MONDAY + 24 * began])[0])
        found: list[Finding | None] = []
        found += examine(self.bins, baseline, counts, phase=phase, risks=share, drift=DRIFT).findings
        assert baseline.errors is not None
        unlike = multivariate.compare(baseline.errors, baseline.phase, errors, phase)
        found.append(multivariate.finding(unlike, share.of("multivariate")))
        rows = len(day.probability)
        found.append(volume.judge(rows, self._volumes[unit][-56:], phase, share)[0])
        self._volumes[unit].append((phase, rows))
        answered = performance.Answered(
            probability=day.probability,
            decision=day.probability > 0.5,
            outcome=day.outcome.astype(np.float64),
        )
        risk = share.of("loss")
        found.append(performance.loss(answered, self._expected, metric="roc_auc", margin=LOSS, risk=risk))
        return [one for one in found if one is not None]


def _masked(values: Any) -> Any:
    if values.dtype == object:
        return np.ma.masked_array([v or "" for v in values], [v is None for v in values])
    return np.ma.masked_invalid(values)


def year(seed: int) -> tuple[int, list[str]]:
    """Watch one year; how many windows something was told of, and what."""
    stream = Stream(seed)
    watcher = Watcher([stream.day(day) for day in range(REFERENCE)])
    alarms, told = 0, []
    week: list[tuple[Any, Any, Day]] = []
    for day in range(REFERENCE, REFERENCE + YEAR):
        made = stream.day(day)
        counts, errors = watcher.count(made), watcher.errors(made)
        week.append((counts, errors, Day({}, made.probability, made.outcome)))
        looks = [("day", day, counts, errors, made)]
        if day % 7 == 6:
            whole = Day({}, *(np.concatenate([one[2][place] for one in week]) for place in (1, 2)))
            looks.append(("week", day - 6, sum(one[0] for one in week), sum(one[1] for one in week), whole))
            week = []
        for unit, began, *rest in looks:
            found = watcher.look(unit, began, *rest)
            alarms += bool(found)
            told += [f"{unit} {one.signal}" for one in found]
    return alarms, told


def delay(seed: int, kind: str, size: float, rows: int) -> list[int | None]:
    """Days until a shift is told, once for each repeat; None when not within ``LONGEST``."""
    stream = Stream(seed)
    watcher = Watcher([stream.day(day) for day in range(REFERENCE)])
    found: list[int | None] = []
    for repeat in range(REPEATS):
        took = None
        for day in range(LONGEST):
            made = stream.day(REFERENCE + repeat + day, rows, (kind, size))
            if watcher.look("day", REFERENCE + repeat + day, watcher.count(made), watcher.errors(made), made):
                took = day + 1
                break
        found.append(took)
    return found


def same_days(rows: int) -> tuple[list[Day], dict[str, list[Day]], dict[str, list[bool]]]:
    """For others' eyes: their reference, the days of each case, and on which of them Relevo tells something."""
    stream = Stream(1000 + rows)
    watcher = Watcher([stream.day(day) for day in range(REFERENCE)])
    reference = [stream.day(day, rows) for day in range(REFERENCE - BESIDE, REFERENCE)]
    shifts = {f"{kind} {size:g}": (kind, size) for kind, sizes in SHIFTS.items() for size in sizes}
    days, told = {}, {}
    for case, shift in {"none": None, **shifts}.items():
        length = LONGEST if shift else CALM
        days[case] = [stream.day(REFERENCE + day, rows, shift) for day in range(length)]
        told[case] = [
            bool(watcher.look("day", REFERENCE + place, watcher.count(day), watcher.errors(day), day))
            for place, day in enumerate(days[case])
        ]
    return reference, days, told


def beside(rows: int) -> None:
    """Print when each tells a shift, and how many days without one it tells."""
    reference, days, mine = same_days(rows)
    with tempfile.TemporaryDirectory() as made:
        found = {"Relevo": mine, **lookers.look(Path(made), reference, days, rows)}
    print(f"\n{rows:,} rows a day: the first day that is told (- is none of {LONGEST})")
    print(f"{'':<18}" + "".join(f"{name:>24}" for name in found))
    calm = "".join(f"{sum(told['none']):>21}/{CALM}" for told in found.values())
    print(f"{'none, days told':<18}{calm}")
    for case in days:
        if case != "none":
            shown = "".join(f"{lookers.first(told[case]) or '-':>24}" for told in found.values())
            print(f"{case:<18}{shown}")


def main() -> int:
    """Simulate, print the tables and check the promise; returns the exit code."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--delays", action="store_true", help="inject shifts")
    parser.add_argument(
        "--peers", action="store_true", help="let Evidently and NannyML look at the shifts too"
    )
    chosen = parser.parse_args()
    promises: list[tuple[str, bool]] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        if chosen.years:
            began = time.perf_counter()
            years = list(pool.map(year, range(chosen.years)))
            print(f"{'seed':>5} {'false alarms':>13}  told of")
            for seed, (alarms, told) in enumerate(years):
                print(f"{seed:>5} {alarms:>13}  {', '.join(told)}")
            mean = statistics.mean(alarms for alarms, _ in years)
            print(
                f"{chosen.years} years in {time.perf_counter() - began:.0f} s; mean {mean:.2f} false alarms a year\n"
            )
            promises.append(below("false alarms a year, mean", mean, 12.001))
        if chosen.delays:
            show(pool)
    for rows in SIZES if chosen.peers else ():
        beside(rows)
    return tell(dict(promises), fail=chosen.check)


def show(pool: ProcessPoolExecutor) -> None:
    """Print the days until each shift is told, by the size of the days."""
    cases = [(kind, size, rows) for kind, sizes in SHIFTS.items() for size in sizes for rows in SIZES]
    found = pool.map(delay, range(100, 100 + len(cases)), *zip(*cases, strict=True))
    print(
        f"{'shift':<14} {'size':>6} {'rows a day':>11}  days until told ({REPEATS} times; - is never in {LONGEST})"
    )
    for (kind, size, rows), days in zip(cases, found, strict=True):
        shown = " ".join(f"{day or '-':>3}" for day in sorted(days, key=lambda day: day or LONGEST + 1))
        print(f"{kind:<14} {size:>6} {rows:>11,}  {shown}")


if __name__ == "__main__":
    sys.exit(main())
