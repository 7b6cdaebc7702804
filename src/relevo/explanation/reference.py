"""What a request is compared with: a package's background rows as the model answers them now.

A composed request has some fields' values from the request and the others' from a background row, and goes
the way of any request: the package's compiled features, its encoding, its model. A feature of one field needs
no second computation, since its value is the request's or the row's; only the features of several fields, and
the joins, are computed for every composition.
"""

from __future__ import annotations

from itertools import compress
from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.explanation import shapley
from relevo.online import FeatureError
from relevo.package import probability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from relevo.package import ModelPackage

    Floats = NDArray[np.float64]
    Matrix = NDArray[np.float32]
    Truths = NDArray[np.bool_]

EVALUATIONS = 1250
"""Composed requests that one explanation is made of, about: 8 ms of a model of 200 trees."""
LEAST_ROWS = 16
"""Background rows that are taken however many fields there are."""
LEAST_WHOLE = 32
"""Background rows that must be left when every game is evaluated whole."""
SECONDS = 0.0015
"""What the model may take for the composed requests of one step, of which there are at least and at most:"""
LEAST_STEP, MOST_STEP = 8, 256
LARGEST_LOG_ODDS = 1e6
_SEED = 0
_SEVERAL = -1


class Reference:
    """Background rows with their probabilities; ``lookups`` is what the features look up in, histories included.

    Everything here is made once for a version and a state of its histories. ``evaluations`` are spent on each
    request, more with very many fields.
    """

    def __init__(
        self,
        package: ModelPackage,
        lookups: Mapping[str, Any] | None = None,
        *,
        evaluations: int = EVALUATIONS,
    ) -> None:
        self.package = package
        self._lookups = package.lookups if lookups is None else lookups
        reads = package.online.reads
        read = frozenset[str]().union(*reads.features)
        self.players = tuple(name for name in package.request.names if name in read)
        """Names of the fields that a feature is computed from."""
        several = [names for names in (*reads.features, *reads.joins) if len(names) > 1]
        together = frozenset[str]().union(*several)
        self._shared = [place for place, name in enumerate(self.players) if name in together]
        self._shared_names = [self.players[place] for place in self._shared]
        owners = [
            self.players.index(next(iter(names))) if len(names) == 1 else _SEVERAL for names in reads.features
        ]
        self._owner = np.array(owners, np.intp)
        self._mixed = np.flatnonzero([len(names) > 1 for names in reads.features])
        self._kept(evaluations)
        most = shapley.orders_at_most(len(self.players), self.allowance)
        shape = (most, len(self.rows), len(self.players))
        self._draws = np.random.default_rng(_SEED).random(shape)

    def _kept(self, evaluations: int) -> None:
        """Keep the first rows that have an answer now, as many as the evaluations allow."""
        rows, features = [], []
        for row in self.package.background:
            try:
                features.append(self.package.online(row, self._lookups))
            except FeatureError:
                continue  # looked up in another state of the histories, it may have had a value
            rows.append(row)
        matrix = self.package.matrix(features) if rows else np.empty((0, len(self._owner)), np.float32)
        outputs = self.outputs(matrix) if rows else np.empty((0, 2))
        fine = np.isfinite(outputs).all(axis=1)
        most = _rows(len(self.players), evaluations)
        places = np.flatnonzero(fine)[:most]
        self.rows = tuple(rows[place] for place in places)
        self.matrix = matrix[places]
        self.found = outputs[places]
        """(R, 2), as ``outputs`` gives them."""
        self.allowance = evaluations // max(1, len(places))
        began = thread_time()
        if rows:
            self.outputs(matrix)
        each = (thread_time() - began) / max(1, len(rows))
        self.step = int(min(MOST_STEP, max(LEAST_STEP, SECONDS / max(each, 1e-9))))
        """Composed requests that the model is asked at once. Its answers do not depend on it; others wait so long."""

    def outputs(self, matrix: Matrix) -> Floats:
        """Probability and log-odds, (n, 2), of an encoded matrix.

        Infinite log-odds, which are a probability of 0 or 1, become the largest that are told.
        """
        log_odds = self.package.log_odds(matrix)
        return np.stack([probability(log_odds), log_odds.clip(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)], axis=1)

    def plan(self, request: Mapping[str, Any], encoded: Matrix) -> shapley.Plan:
        """Which fields differ in each row, and so which coalitions to evaluate; ``encoded`` is (1, k)."""
        differs = ~((self.matrix == encoded) | (np.isnan(self.matrix) & np.isnan(encoded)))
        players = np.zeros((len(self.rows), len(self.players)), bool)
        for place in range(len(self.players)):
            players[:, place] = differs[:, self._owner == place].any(axis=1)
        for place in self._shared:
            name = self.players[place]
            players[:, place] = [row[name] != request[name] for row in self.rows]
        return shapley.plan(players, self._draws, self.allowance)

    def composed(
        self, request: Mapping[str, Any], encoded: Matrix, taken: Truths, rows: NDArray[np.intp]
    ) -> tuple[Matrix, Truths]:
        """Encode composed requests, (e, k), and tell which of them have no features, (e,)."""
        owned = np.where(self._owner >= 0, self._owner, 0)
        matrix = np.where(taken[:, owned], encoded, self.matrix[rows])
        failed = np.zeros(len(rows), bool)
        if not self._shared:
            return matrix, failed
        which, first = _distinct(rows, taken[:, self._shared])
        features = []
        for row, own in zip(rows[first].tolist(), taken[np.ix_(first, self._shared)].tolist(), strict=True):
            names = compress(self._shared_names, own)
            features.append(self._features(row, {name: request[name] for name in names}))
        worked = np.array([one is not None for one in features])
        found = self.package.matrix([one for one in features if one is not None])
        failed = ~worked[which]
        order = (np.cumsum(worked) - 1)[which[~failed]]
        matrix[np.ix_(~failed, self._mixed)] = found[np.ix_(order, self._mixed)]
        return matrix, failed

    def _features(self, row: int, changed: Mapping[str, Any]) -> tuple[Any, ...] | None:
        try:
            return self.package.online({**self.rows[row], **changed}, self._lookups)
        except FeatureError:
            return None


def _distinct(rows: NDArray[np.intp], taken: Truths) -> tuple[NDArray[np.intp], list[int]]:
    """Number (e,) compositions so that equal ones share a number, and give the place of each number's first."""
    keys = np.column_stack([rows.view(np.uint8).reshape(len(rows), -1), np.packbits(taken, axis=1)])
    text, width = keys.tobytes(), keys.shape[1]
    numbers: dict[bytes, int] = {}
    which: list[int] = []
    first: list[int] = []
    for place in range(len(rows)):
        number = numbers.setdefault(text[place * width : (place + 1) * width], len(first))
        if number == len(first):
            first.append(place)
        which.append(number)
    return np.array(which, np.intp), first


def _rows(fields: int, evaluations: int) -> int:
    """How many rows to take: many games evaluated whole if there are enough of them, else walked along once."""
    if fields < 2:  # noqa: PLR2004 - a game of one player needs no evaluation
        return evaluations
    if fields <= shapley.MOST_EXACT:
        whole = evaluations // ((1 << fields) - 2)
        if whole >= LEAST_WHOLE:
            return whole
    return max(LEAST_ROWS, evaluations // (2 * (fields - 1)))
