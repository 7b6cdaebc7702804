"""What is exported answers as the fitted estimator does; what is not is refused by its step."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from relevo.errors import TrainingError
from relevo.package.onnx_audit import audit
from relevo.train import algorithms, export
from relevo.train.export.answers import refusal
from relevo.train.export.check import answered, gaps
from relevo.train.export.graph import handed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NAMES = tuple(f"f{place}" for place in range(6))
ROWS = 1200


@cache
def drawn() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Four numbers with nulls, and two codes."""
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(ROWS, 6)).astype(np.float32)
    matrix[:, 4], matrix[:, 5] = draw.integers(0, 12, ROWS), draw.integers(0, 5, ROWS)
    chance = matrix[:, 0] + (matrix[:, 4] == 3) - (matrix[:, 5] == 2) + draw.normal(size=ROWS)
    matrix[:, :4][draw.random((ROWS, 4)) < 0.05] = np.nan
    return matrix, (chance > 0.7).astype(np.int64)


def awkward() -> NDArray[np.float32]:
    """Learned rows, their neighbours, values never seen, infinities."""
    matrix = drawn()[0]
    draw = np.random.default_rng(1)
    beyond = np.nextafter(matrix, np.float32(draw.choice([-np.inf, np.inf])))
    strange = np.vstack([np.full((1, 6), 77, np.float32), np.full((1, 6), -1e6, np.float32)])
    return np.vstack([matrix, beyond, strange])


def imputed(*steps: Any) -> Any:
    return make_pipeline(SimpleImputer(), *steps)


def by_name(final: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    chosen = [
        ("codes", OneHotEncoder(handle_unknown="ignore"), ["f4", "f5"]),
        ("numbers", numbers, list(NAMES[:4])),
    ]
    return make_pipeline(ColumnTransformer(chosen), final)


def codes() -> Any:
    unknown = {"handle_unknown": "use_encoded_value"}
    return ColumnTransformer(
        [
            ("target", TargetEncoder(random_state=0), [4, 5]),
            ("ordinal", OrdinalEncoder(**unknown, unknown_value=-1), [4]),
            ("blank", OrdinalEncoder(**unknown, unknown_value=np.nan, min_frequency=100), [5]),
        ],
        remainder="passthrough",
    )


def rare() -> Any:
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=100, drop="first")
    return ColumnTransformer([("codes", encoder, [4, 5])], remainder=SimpleImputer(add_indicator=True))


def forest(trees: int = 20) -> RandomForestClassifier:
    return RandomForestClassifier(trees, random_state=0)


EXACT: dict[str, Callable[[], Any]] = {
    "forest by name": lambda: by_name(forest(50)),
    "histogram": lambda: HistGradientBoostingClassifier(random_state=0, max_iter=40),
    "histogram with categories": lambda: HistGradientBoostingClassifier(
        random_state=0, max_iter=40, categorical_features=[4, 5]
    ),
    "forest": forest,
    "extra trees": lambda: ExtraTreesClassifier(20, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "stump of nothing": lambda: RandomForestClassifier(3, min_samples_split=ROWS * 2, random_state=0),
    "boosting": lambda: imputed(GradientBoostingClassifier(random_state=0, n_estimators=30)),
    "lightgbm": lambda: LGBMClassifier(n_estimators=100, verbose=-1, n_jobs=1),
    "xgboost": lambda: XGBClassifier(n_estimators=200, n_jobs=1),
    "lightgbm by name": lambda: by_name(LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1)),
    "xgboost on a sparse matrix": lambda: by_name(XGBClassifier(n_estimators=50, n_jobs=1)),
    "logistic": lambda: imputed(StandardScaler(), LogisticRegression()),
    "stochastic": lambda: imputed(RobustScaler(), SGDClassifier(random_state=0)),
    "linear svc": lambda: imputed(MinMaxScaler(clip=True), LinearSVC(random_state=0)),
    "ridge": lambda: imputed(MaxAbsScaler(), RidgeClassifier()),
    "discriminant": lambda: imputed(LinearDiscriminantAnalysis()),
    "components": lambda: imputed(PCA(3), LogisticRegression()),
    "products": lambda: imputed(PolynomialFeatures(2), StandardScaler(), LogisticRegression()),
    "bins": lambda: imputed(
        KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), LogisticRegression()
    ),
    "chosen": lambda: imputed(SelectKBest(k=3), LogisticRegression()),
    "codes": lambda: make_pipeline(codes(), HistGradientBoostingClassifier(random_state=0, max_iter=20)),
    "rare categories": lambda: make_pipeline(rare(), LogisticRegression(max_iter=500)),
    "union": lambda: make_pipeline(
        FeatureUnion([("values", SimpleImputer()), ("gaps", MissingIndicator(features="all"))]),
        LogisticRegression(),
    ),
    "votes": lambda: imputed(
        VotingClassifier([("a", LogisticRegression()), ("b", forest())], voting="soft", weights=[1, 3])
    ),
    "bag": lambda: BaggingClassifier(forest(3), n_estimators=4, random_state=0, max_features=0.5),
    "stack": lambda: imputed(StackingClassifier([("a", LogisticRegression()), ("b", forest())])),
    "identity": lambda: imputed(FunctionTransformer(), LogisticRegression()),
}
CLOSE: dict[str, Callable[[], Any]] = {
    "naive bayes": lambda: imputed(GaussianNB()),
    "network": lambda: imputed(StandardScaler(), MLPClassifier((8,), max_iter=10, random_state=0)),
    "calibrated": lambda: imputed(CalibratedClassifierCV(LogisticRegression())),
    "quantiles": lambda: imputed(QuantileTransformer(n_quantiles=50), LogisticRegression()),
    "svc": lambda: imputed(StandardScaler(), SVC()),
    "polynomial svc": lambda: imputed(StandardScaler(), SVC(kernel="poly")),
}


def fitted(make: Callable[[], Any], names: tuple[str, ...] | None = None) -> Any:
    matrix, target = drawn()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make().fit(handed(matrix, names), target)


def used(name: str) -> tuple[str, ...] | None:
    return NAMES if "by name" in name or "sparse" in name else None


@pytest.mark.parametrize("name", EXACT)
def test_it_answers_to_the_bit(name: str) -> None:
    """Many rows at a time or one: thresholds, leaves and the order of the sums are the library's."""
    estimator = fitted(EXACT[name], used(name))
    onnx = export.to_onnx(estimator, 6)
    matrix = awkward()
    with algorithms.steady(quiet=True):
        native = export.fitted_margin(estimator, matrix, used(name))
    found = answered(onnx, matrix).ravel()
    assert gaps(native, found).max() <= 1e-12
    if "svc" not in name:
        assert np.mean(native == found) > 0.99
    assert [answered(onnx, matrix[at : at + 1])[0, 0] for at in range(20)] == found[:20].tolist()
    assert audit(onnx) > 3


@pytest.mark.parametrize("name", CLOSE)
def test_it_answers_within_the_tolerance(name: str) -> None:
    estimator = fitted(CLOSE[name])
    matrix = awkward()[:-2]
    found = answered(export.to_onnx(estimator, 6), matrix).ravel()
    assert gaps(export.fitted_margin(estimator, matrix, None), found).max() <= 2e-7


class Halved(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of the user's own."""

    def fit(self, *learned: Any) -> Halved:
        assert learned
        return self

    def transform(self, asked: Any) -> Any:
        return asked / 2


REFUSED = [
    (lambda: imputed(KNeighborsClassifier()), r"step 2 'kneighborsclassifier' \(KNeighbors.*operator Scan"),
    (
        lambda: imputed(AdaBoostClassifier(n_estimators=3)),
        r"step 2 'adaboostclassifier' \(AdaBoostClassifier\)",
    ),
    (lambda: imputed(Halved(), GaussianNB()), r"step 2 'halved' \(Halved\).*no class of scikit-learn"),
    (
        lambda: make_pipeline(FunctionTransformer(np.nan_to_num), GaussianNB()),
        r"step 1 'functiontransformer'",
    ),
    (
        lambda: make_pipeline(ColumnTransformer([("c", OneHotEncoder(), [4])]), LogisticRegression()),
        r"step 1 'columntransformer' \(ColumnTransformer\) → 'c' \(OneHotEncoder\).*handle_unknown",
    ),
    (
        lambda: imputed(VotingClassifier([("a", GaussianNB())], voting="hard")),
        r"step 2 'votingclassifier'",
    ),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_a_step_without_an_export_is_named(make: Callable[[], Any], words: str) -> None:
    matrix, target = drawn()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = make().fit(handed(matrix, None), target)
    with pytest.raises(TrainingError, match=words):
        export.to_onnx(estimator, 6)


def test_a_step_that_answers_otherwise_is_named() -> None:
    """As a wrong converter would have it: the scaler is altered behind the export's back."""
    estimator = fitted(lambda: imputed(StandardScaler(), LogisticRegression()))
    onnx = export.to_onnx(estimator, 6)
    estimator.steps[2][1].coef_ = estimator.steps[2][1].coef_ * 1.01
    with pytest.raises(TrainingError, match=r"step 3 'logisticregression' .*answers otherwise"):
        export.compare(estimator, onnx, drawn()[0], None)


def test_nulls_are_refused_by_the_step_that_takes_none() -> None:
    matrix, target = drawn()
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    with pytest.raises(ValueError, match="NaN") as caught:
        estimator.fit(handed(matrix, None), target)
    found = str(refusal(estimator, caught.value))
    assert found.startswith("step 2 'logisticregression' (LogisticRegression) refuses nulls")
    assert "SimpleImputer" in found


def test_a_sure_forest_has_finite_log_odds() -> None:
    matrix = np.repeat(np.arange(2, dtype=np.float32), 50).reshape(-1, 1)
    estimator = forest().fit(matrix, matrix.ravel() == 1)
    found = answered(export.to_onnx(estimator, 1), matrix).ravel()
    assert np.isfinite(found).all()
    assert np.array_equal(found, export.fitted_margin(estimator, matrix, None))


def test_too_many_trees_are_refused_before_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from relevo.train.export import forests

    monkeypatch.setattr(forests, "MOST_NODES", 100)
    with pytest.raises(TrainingError, match="max_depth"):
        export.to_onnx(fitted(forest), 6)
