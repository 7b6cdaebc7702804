"""Others that look at the days of a stream, as they come: Evidently's drift preset, NannyML's drift and performance.

Each gets four weeks of the stream as its reference, and then day after day, with the model's probability, its decision
and the outcome. Evidently compares each day with the reference by its DataDriftPreset with tests; told is a day in
which a column's test fails, and on its own account one in which the data set's does (half of all columns). NannyML
takes a day as a chunk; told is one in which its UnivariateDriftCalculator or PerformanceCalculator (ROC-AUC) alerts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from support.drifts import PEERS, ran

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.season import Day

READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
folder, rows = sys.argv[1], int(sys.argv[2])
reference = pd.read_parquet(f"{folder}/reference.parquet")
days = pd.read_parquet(f"{folder}/days.parquet")
told = {}
"""
EVIDENTLY = """
from evidently import Report
from evidently.presets import DataDriftPreset
for case, case_days in days.groupby("case", sort=False):
    columns, whole = [], []
    for _, day in case_days.groupby("day"):
        found = Report([DataDriftPreset()], include_tests=True).run(day.drop(columns=["case", "day"]), reference).dict()
        failed = [one["name"] for one in found["tests"] if str(one["status"]).endswith("FAIL")]
        overall = [name for name in failed if "Share of Drifted Columns" in name]
        columns.append(len(failed) > len(overall))
        whole.append(bool(overall))
    told[case] = {"a column": columns, "the data set": whole}
print(json.dumps(told))
"""
NANNYML = """
import nannyml
from nannyml.performance_calculation import PerformanceCalculator
features = [name for name in reference.columns if name != "outcome"]
drift = nannyml.UnivariateDriftCalculator(features, chunk_size=rows).fit(reference)
quality = PerformanceCalculator(
    metrics=["roc_auc"], y_true="outcome", y_pred="decision", y_pred_proba="probability",
    problem_type="classification_binary", chunk_size=rows,
).fit(reference)
for case, case_days in days.groupby("case", sort=False):
    alerts = 0
    for calculator in (drift, quality):
        found = calculator.calculate(case_days.drop(columns=["case", "day"])).filter(period="analysis").to_df()
        alert = [column for column in found.columns if column[-1] == "alert"]
        alerts = alerts + found[alert].any(axis=1).to_numpy()
    told[case] = {"": [bool(one) for one in alerts]}
print(json.dumps(told))
"""
SCRIPTS = {"Evidently": READ + EVIDENTLY, "NannyML": READ + NANNYML}


def look(made: Path, reference: Sequence[Day], cases: dict[str, Sequence[Day]], rows: int) -> dict[str, Any]:
    """By peer, case and what told, of each day whether it was told; days have so many rows. Absent is who cannot."""
    folder = made / f"days{rows}"
    folder.mkdir()
    _frame(reference).to_parquet(folder / "reference.parquet")
    days = [
        _frame([day]).assign(case=case, day=place)
        for case, all_days in cases.items()
        for place, day in enumerate(all_days)
    ]
    pd.concat(days, ignore_index=True).to_parquet(folder / "days.parquet")
    found = {peer.name: ran(peer, made, SCRIPTS[peer.name], str(folder), str(rows)) for peer in PEERS}
    return {
        f"{name}, {what}".rstrip(", "): {case: one[what] for case, one in told.items()}
        for name, told in found.items()
        if told is not None
        for what in next(iter(told.values()))
    }


def _frame(days: Sequence[Day]) -> pd.DataFrame:
    columns = {name: np.concatenate([day.columns[name] for day in days]) for name in days[0].columns}
    probability = np.concatenate([day.probability for day in days])
    return pd.DataFrame(columns).assign(
        probability=probability,
        decision=(probability > 0.5).astype(int),
        outcome=np.concatenate([day.outcome for day in days]).astype(int),
    )


def first(told: Sequence[bool]) -> int | None:
    """The first day that was told, counted from one."""
    return next((place for place, one in enumerate(told, 1) if one), None)
