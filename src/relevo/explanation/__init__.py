"""Why a request is answered as it is: what each of its fields adds to the probability.

The players are the request's own fields, not the features made of them, and what is explained is the answer of
the one prediction path. See ``shapley`` for what is computed and ``reference`` for what it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import validation
from relevo.errors import DataError
from relevo.explanation import shapley
from relevo.explanation.reference import EVALUATIONS, Reference
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from relevo.contract import Field
    from relevo.package import ModelPackage

__all__ = ["EVALUATIONS", "Explanation", "Reference", "Share", "explain", "of", "steps"]


@dataclass(frozen=True)
class Share:
    """What one field of the request adds to the probability, and to the log-odds.

    ``error`` is the contribution's standard error, by its spread over the background rows: these are a sample,
    and the orders of the fields are drawn. It is None for a single row.
    """

    field: Field
    value: Any
    contribution: float
    error: float | None
    log_odds: float
    read: bool
    """Whether any feature is computed from the field; else the rest is 0."""


@dataclass(frozen=True)
class Explanation:
    """``base``, the mean probability of the background rows, plus all contributions is ``probability``."""

    labels: tuple[str, str]
    probability: float
    base: float
    log_odds: float
    base_log_odds: float
    shares: tuple[Share, ...]
    """The largest first; of equals the request's order."""
    rows: int
    evaluations: int
    exact: bool
    """Whether every coalition of fields was evaluated, rather than some orders of them drawn."""


def explain(
    package: ModelPackage, request: Mapping[str, Any], *, evaluations: int = EVALUATIONS
) -> Explanation:
    """Explain one request, given as a client would.

    Raises ``RequestError`` when it breaks the contract, ``FeatureError`` when it has no features, and
    ``DataError`` when there is nothing to compare it with.
    """
    row = validation.validate(package.validators, request)
    return of(Reference(package, evaluations=evaluations), row, package.features(row))


def of(reference: Reference, row: Mapping[str, Any], features: tuple[Any, ...]) -> Explanation:
    """Explain a validated request with its features; raises ``DataError``."""
    walk = steps(reference, row, features)
    while True:
        try:
            next(walk)
        except StopIteration as end:
            found: Explanation = end.value
            return found


def steps(
    reference: Reference, row: Mapping[str, Any], features: tuple[Any, ...]
) -> Generator[None, None, Explanation]:
    """Explain a validated request with its features, in steps of about 2 ms between which others may work.

    A background row is left out when it cannot be composed with the request: where a composed request has no
    features or no finite probability. Raises ``DataError`` when no row is left, or the
    request itself has no finite probability.
    """
    package = reference.package
    encoded = package.matrix([features])
    asked = reference.outputs(encoded)[0]
    if not np.isfinite(asked).all():
        raise DataError(t("the model has no probability for this request: a number is out of all range."))
    plan = reference.plan(row, encoded)
    found, fine = [np.empty((0, 2))], np.ones(len(reference.rows), bool)
    for taken, rows in shapley.coalitions(plan, reference.step):
        yield
        matrix, failed = reference.composed(row, encoded, taken, rows)
        outputs = reference.outputs(matrix)
        fine[rows[failed | ~np.isfinite(outputs).all(axis=1)]] = False
        found.append(outputs)
    if not fine.any():
        raise DataError(
            t(
                "There is nothing to compare the request with: the package holds no row that the model answers"
                " for now. The next version that `relevo run` makes holds such rows."
            )
        )
    with np.errstate(invalid="ignore"):  # in rows that are left out
        values = shapley.values(plan, np.concatenate(found), reference.found, asked)[fine]
    base = reference.found[fine].mean(axis=0)
    return Explanation(
        labels=package.labels,
        probability=float(asked[0]),
        base=float(base[0]),
        log_odds=float(asked[1]),
        base_log_odds=float(base[1]),
        shares=_shares(reference, row, values),
        rows=len(values),
        evaluations=plan.evaluations,
        exact=not len(plan.walks.rows),
    )


def _shares(reference: Reference, row: Mapping[str, Any], values: NDArray[np.float64]) -> tuple[Share, ...]:
    """Average the (R, n, 2) values of the rows' games."""
    mean = values.mean(axis=0)
    errors = values[:, :, 0].std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    places = {name: place for place, name in enumerate(reference.players)}
    shares = []
    for field in reference.package.request.fields:
        place = places.get(field.name, -1)
        added, odds = mean[place].tolist() if place >= 0 else (0.0, 0.0)
        error = 0.0 if place < 0 else None if errors is None else float(errors[place])
        shares.append(Share(field, row[field.name], added, error, odds, place >= 0))
    shares.sort(key=lambda share: -abs(share.contribution))
    return tuple(shares)
