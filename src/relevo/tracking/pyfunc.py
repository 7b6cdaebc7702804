"""What MLflow loads a package with: ``mlflow.pyfunc.load_model`` finds this module's name in the model's own file.

It needs the package's floor and pandas, which MLflow brings; none of what a model is trained with. The package is
checked as ever: its digests, its graph, and its golden rows.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import lookups, validation
from relevo.errors import RequestError
from relevo.online import FeatureError
from relevo.package import ModelPackage
from relevo.records import Materialisation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGE, LOOKUPS, HISTORIES = "package", "lookups", "histories.json"
"""What there is in a model's folder of data."""
_MOST = 20  # problems that are told at once


class Model:
    """Answers requests with the one prediction path."""

    def __init__(self, folder: Path) -> None:
        self.package = ModelPackage.load(folder / PACKAGE)
        if (folder / HISTORIES).is_file():
            rows = json.loads((folder / HISTORIES).read_text(encoding="utf-8"))
            made = {row["name"]: Materialisation(**row) for row in rows}
            self.package.bind(lookups.opened(folder / LOOKUPS, self.package, made))
        self._fields = {spelling: f for f in self.package.request.fields for spelling in (f.name, f.alias)}

    def predict(self, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow gives it
        """Answer a DataFrame, or a request or a list of them, as a DataFrame: probability, decision and label.

        Columns are the request's fields, by name or alias. Raises ``RequestError`` naming each row that breaks the
        contract.
        """
        import pandas as pd

        rows = _rows(model_input)
        found = self.package.predict(self._validated(rows))
        answers = {
            "probability": [one.probability for one in found],
            "decision": [one.decision for one in found],
            "label": [one.label for one in found],
        }
        return pd.DataFrame(
            answers, index=model_input.index if isinstance(model_input, pd.DataFrame) else None
        )

    def _validated(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        problems: list[dict[str, object]] = []
        for number, row in enumerate(rows, 1):
            try:
                request = validation.validate(self.package.validators, self._request(row))
                self.package.features(request)
                found.append(request)
            except RequestError as error:
                problems += [{**problem, "row": number} for problem in error.problems]
            except FeatureError as error:
                problems.append({"field": "features", "problem": str(error), "row": number})
        if problems:
            raise RequestError([{**p, "field": f"row {p['row']}: {p['field']}"} for p in problems[:_MOST]])
        return found

    def _request(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as a request is written: by alias, times as text, and without what is absent."""
        found = {}
        for name, value in row.items():
            field, plain = self._fields.get(str(name)), _plain(value)
            if field is None:
                found[str(name)] = plain
            elif plain is not None or field.nullable:
                found[field.alias] = _whole(plain) if field.type == "integer" else plain
        return found


def _rows(given: Any) -> list[Mapping[str, Any]]:
    if hasattr(given, "to_dict"):
        return [dict(row) for row in given.to_dict(orient="records")]
    return [given] if isinstance(given, dict) else list(given)


def _plain(value: Any) -> Any:
    """A cell without numpy's and pandas' own types; what is missing there is None."""
    if type(value).__name__ in {"NaTType", "NAType"}:
        return None
    value = value.item() if hasattr(value, "item") and not isinstance(value, date) else value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else value


def _whole(value: Any) -> Any:
    """A whole number that pandas made a float, since others are missing beside it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _load_pyfunc(path: str) -> Model:
    """Load a model from its folder of data; MLflow calls this."""
    return Model(Path(path))
