"""The native side: what the fitted estimator itself answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.errors import TrainingError
from relevo.texts import t
from relevo.train.export import places
from relevo.train.export.classifiers import answers_by
from relevo.train.export.graph import handed, log_odds, margin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]


def native_margin(estimator: Any, asked: Any) -> Floats:
    """Margins, shape (n,), of what ``handed`` gives, by the estimator's own methods."""
    by = answers_by(estimator)
    if by == "decision_function":
        return margin(estimator.decision_function(asked))
    if by == "raw_score":
        return margin(estimator.predict(asked, raw_score=True))
    if by == "output_margin":
        return margin(estimator.predict(asked, output_margin=True))
    return margin(log_odds(estimator.predict_proba(asked)[:, 1]))


def fitted_margin(estimator: Any, matrix: Matrix, names: Sequence[str] | None) -> Floats:
    """The same of an encoded matrix; raises ``TrainingError`` naming the step that refuses it."""
    try:
        return native_margin(estimator, handed(matrix, names))
    except Exception as error:  # an estimator raises what it likes
        raise refusal(estimator, error) from error


def refusal(estimator: Any, error: Exception) -> TrainingError:
    """What an estimator's error means, and where it arose."""
    if isinstance(error, TrainingError):
        return error
    place, text = places.blame(estimator, error), str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    if "NaN" in text:
        return TrainingError(
            t(
                "{place} refuses nulls (NaN). Put a SimpleImputer before it in a Pipeline, or write"
                " coalesce(…) in features.sql.",
                place=place,
            )
        )
    return TrainingError(t("{place} failed: {problem}", place=place, problem=first[:300]))
