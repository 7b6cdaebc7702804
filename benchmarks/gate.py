"""How often the gate lets a worse model through: challengers that truly lie just the margin below, by rows that judge.

python benchmarks/gate.py [--check] [--pairs 400]

The champion finds 70 % of the positives; the challenger answers a share of them otherwise, more often wrongly, so that
its recall is truly .02 lower, which is the default margin. Each pair of answers is new. In groups, each outcome is that
of 1 to 19 rows, and all of them are answered alike, as a patient's are. The gate says that it lets 5 % through; with
--check the script exits with 1 when it is more than 8 % where the docs promise that (``gate.ENOUGH``).
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from support.measuring import below, tell

from relevo import evaluate
from relevo.gate import ENOUGH, Gate

POSITIVES = (10, 20, 50, 100, 200, 500)
OTHERWISE = (0.04, 0.1, 0.2)
NEGATIVES = 5
"""For each positive."""
LARGEST = 19
"""Rows of a group."""
RECALL, FALSE = 0.7, 0.1
LIMIT = 0.08
RESAMPLES = 500
WORKERS = 2


def through(positives: int, otherwise: float, largest: int, pairs: int) -> float:
    """The share of pairs that the gate lets through; each outcome is that of a group of 1 to ``largest`` rows."""
    gate = Gate()
    draw = np.random.default_rng([positives, round(otherwise * 1000)])
    truth = np.arange(positives * (1 + NEGATIVES)) < positives
    of = np.repeat(
        np.arange(len(truth)), np.random.default_rng(positives).integers(1, largest + 1, len(truth))
    )
    lost, won = (otherwise + gate.margin) / 2 / RECALL, (otherwise - gate.margin) / 2 / (1 - RECALL)
    passed = 0
    for number in range(pairs):
        champion = draw.random(len(truth)) < np.where(truth, RECALL, FALSE)
        chance = draw.random(len(truth))
        changed = truth & (chance < np.where(champion, lost, won))
        found = evaluate.paired(
            champion[of].astype(float), 0.5, (champion ^ changed)[of].astype(float), 0.5, truth[of], "recall",
            group=of, seed=number, resamples=RESAMPLES,
        )  # fmt: skip
        passed += found.worse(gate.margin) <= 1 - gate.confidence
    return passed / pairs


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--pairs", type=int, default=400, help="pairs of models for each figure")
    given = parser.parse_args()
    rows = [(otherwise, largest) for largest in (1, LARGEST) for otherwise in OTHERWISE]
    cells = [(positives, *row) for row in rows for positives in POSITIVES]
    with ProcessPoolExecutor(WORKERS) as pool:
        shares = pool.map(through, *zip(*cells, strict=True), [given.pairs] * len(cells))
        found = dict(zip(cells, shares, strict=True))
    print(f"{'positives':>24}" + "".join(f"{positives:8,}" for positives in POSITIVES))
    for row in rows:
        print(f"{_named(*row):>24}" + "".join(f"{found[one, *row]:8.1%}" for one in POSITIVES))
    promises = dict(
        below(f"let through with {positives} positives, {_named(*row)}", share, LIMIT)
        for (positives, *row), share in found.items()
        if positives >= ENOUGH
    )
    return tell(promises, fail=given.check)


def _named(otherwise: float, largest: int) -> str:
    return f"{otherwise:.0%} otherwise" + (", in groups" if largest > 1 else "")


if __name__ == "__main__":
    sys.exit(main())
