"""Models brought along end as released versions with their parity proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo.errors import TrainingError
from relevo.lifecycle import plan
from relevo.package import ModelPackage
from support import project

if TYPE_CHECKING:
    from pathlib import Path

NAME = "flights"
ROWS = 1500
IMPORTS = """
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from relevo import estimator, pretrained


def forest():
    one_hot = OneHotEncoder(handle_unknown="ignore")
    columns = [("codes", one_hot, ["airline", "destination"]), ("numbers", StandardScaler(), ["hour", "weekday"])]
    return Pipeline([("prepare", ColumnTransformer(columns)), ("model", RandomForestClassifier(20, n_jobs=2))])


def boosted():
    return HistGradientBoostingClassifier(max_iter=30)


"""
NUMBERS = """select
    case airline when 'LAN' then 0 when 'SKU' then 1 else 2 end as airline,
    cast(hour(scheduled_at) as integer) as hour,
    isodow(scheduled_at) as weekday,
    coalesce(h.day is not null, false) as holiday
from request
left join holidays h on h.day = cast(scheduled_at as date)
"""
CANDIDATES = "candidates=[logistic(), lightgbm()]"


def brought(folder: Path, candidates: str, *, features: str | None = None) -> Path:
    """A quick project with these candidates."""
    path = project.make(folder, ROWS) / "project.py"
    text = path.read_text(encoding="utf-8")
    first = text.index("from ")
    path.write_text(text[:first] + IMPORTS.lstrip() + text[first:], encoding="utf-8")
    project.edit(
        path,
        (CANDIDATES, f"candidates=[{candidates}]"),
        ('minimum={"roc_auc": 0.5}', "minimum={}"),  # what is proven here is not that they are good
        ('cases="cases.csv"', "cases=None"),
    )
    if features is not None:
        (folder / "features.sql").write_text(features, encoding="utf-8")
    return folder


def xgboost_file(path: Path) -> None:
    """A model of these numbers, made without Relevo, with its features in another order."""
    import xgboost

    draw = np.random.default_rng(0)
    matrix = np.column_stack([draw.integers(0, high, 2000) for high in (24, 3, 2, 8)]).astype(np.float32)
    late = draw.random(2000) < 0.1 + 0.4 * (matrix[:, 1] == 1) + 0.2 * (matrix[:, 0] > 15)
    data = xgboost.DMatrix(matrix, late, feature_names=["hour", "airline", "holiday", "weekday"])
    settings = {"objective": "binary:logistic", "nthread": 1, "max_depth": 5}
    xgboost.train(settings, data, 60).save_model(path)


def proof(folder: Path) -> dict[str, Any]:
    """The newest run's parity proof; the run must have released."""
    ledger = project.workspace(folder).ledger
    run = ledger.runs(NAME, limit=1)[0]
    assert (run.status, run.version) == ("released", "1.0.0"), run.message
    found = next(step for step in ledger.steps(run.id) if step.name == "audit").output
    assert found is not None
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "candidate",
    [
        'estimator(forest, {"model__max_depth": (3, 8)}, name="brought")',
        'estimator(make=boosted, space={"learning_rate": (0.02, 0.5)}, name="brought")',
        'pretrained("model.json", name="brought")',
    ],
    ids=["forest", "histogram", "xgboost"],
)
def test_each_is_released_with_parity_proven(candidate: str, tmp_path: Path) -> None:
    from_file = candidate.startswith("pretrained")
    folder = brought(tmp_path / "p", candidate, features=NUMBERS if from_file else None)
    if from_file:
        xgboost_file(folder / "model.json")
    project.run(folder)
    found = proof(folder)
    assert found["proven"]
    assert found["rows"] > 1000
    assert found["edges"] > 300
    assert found["largest"] <= 1e-9
    workspace = project.workspace(folder)
    champion = workspace.ledger.champion(NAME)
    assert champion is not None
    package = ModelPackage.load(workspace.blobs.folder(champion.digest))
    assert package.manifest.algorithm == ("pretrained" if from_file else "estimator")
    assert package.golden
    assert project.run(folder).status == "unchanged"


@pytest.mark.slow
def test_every_step_may_be_a_process_of_its_own(tmp_path: Path) -> None:
    """The proof needs the fitted forest, which the process that fitted it took along."""
    folder = brought(tmp_path / "p", 'estimator(forest, name="brought")')
    for step in plan(project.definition(folder)):
        words = ("step", step.name, "--run", "one", "--project", folder)
        if step.name in ("train:brought", "audit"):
            done = project.relevo(*words)
            assert done.returncode == 0, (step.name, done.stdout, done.stderr)
        else:
            assert project.call(*words).code == 0
    assert proof(folder)["proven"]


@pytest.mark.slow
def test_the_same_rows_and_seed_give_the_same_package(tmp_path: Path) -> None:
    """However many threads the estimator was to have."""
    digests = []
    for number, jobs in enumerate(("n_jobs=2", "n_jobs=1")):
        folder = brought(tmp_path / f"p{number}", 'estimator(forest, name="brought")')
        project.edit(folder / "project.py", ("n_jobs=2", jobs))
        project.run(folder)
        champion = project.workspace(folder).ledger.champion(NAME)
        assert champion is not None
        digests.append(champion.digest)
    assert digests[0] == digests[1]


def test_what_cannot_be_exported_fails_before_the_search(tmp_path: Path) -> None:
    candidate = (
        "estimator(lambda: Pipeline([('half', FunctionTransformer(lambda x: x / 2)),"
        " ('model', boosted())]), name='brought')"
    )
    folder = brought(tmp_path / "p", candidate)
    with pytest.raises(TrainingError, match=r"step 1 'half' \(FunctionTransformer\).*Python function"):
        project.run(folder)
    assert project.workspace(folder).ledger.trials(project.workspace(folder).ledger.runs(NAME)[0].id) == []


def test_a_changed_file_is_a_new_run(tmp_path: Path) -> None:
    folder = brought(tmp_path / "p", 'pretrained("model.json", name="brought")', features=NUMBERS)
    xgboost_file(folder / "model.json")
    before = project.definition(folder).digest
    text = (folder / "model.json").read_text(encoding="utf-8")
    (folder / "model.json").write_text(text + " ", encoding="utf-8")
    assert project.definition(folder).digest != before


@pytest.mark.slow
def test_no_pickle_is_in_the_workspace(tmp_path: Path) -> None:
    """Nor anything that a pickle could be read from: joblib's and pickle's first bytes are nowhere."""
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    folder = brought(tmp_path / "p", 'pretrained("m.joblib", trust=True, name="brought")', features=NUMBERS)
    draw = np.random.default_rng(0)
    matrix = draw.integers(0, 3, (500, 4))
    joblib.dump(
        RandomForestClassifier(10, random_state=0).fit(matrix, matrix[:, 0] == 1), folder / "m.joblib"
    )
    project.run(folder)
    assert proof(folder)["proven"]
    start = (folder / "m.joblib").read_bytes()[:64]
    kept = [path for path in (folder / ".relevo").rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if start in path.read_bytes()]
