"""Packs a fit: the model, the encoders, the look-ups and the proof rows become one data-only folder."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from relevo import package as packages
from relevo import validation
from relevo.errors import RelevoError
from relevo.examples import bound
from relevo.online import FeatureError
from relevo.package.values import to_json
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.package import ModelPackage
    from relevo.records import Snapshot
    from relevo.train import Fit

LIBRARIES = {"logistic": ("scikit-learn",), "lightgbm": ("lightgbm",), "xgboost": ("xgboost-cpu", "xgboost")}
SHARED_LIBRARIES = ("duckdb", "numpy", "onnx", "onnxruntime", "sqlglot")
GOLDEN_ROWS = 64


def pack(
    definition: Definition,
    lake: Lake,
    clean: Mapping[str, Snapshot],
    fit: Fit,
    folder: Path,
    *,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    reference: Mapping[str, Any] | None = None,
    golden: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write the package of a fit into an empty folder and return its digest."""
    project = definition.project
    return packages.write(
        folder,
        project=project.name,
        algorithm=fit.algorithm,
        settings=fit.settings,
        request=definition.request,
        sql=definition.plan.sql,
        tree=definition.plan.tree,
        encoders=fit.encoders,
        model=fit.onnx,
        lookups=_lookups(definition, lake, clean),
        labels=(project.target.negative, project.target.positive),
        calibration=fit.calibration,
        threshold=fit.threshold,
        metric=project.metric,
        metrics=metrics,
        data=data,
        libraries=libraries(fit.algorithm, fit.libraries),
        reference=reference,
        golden=golden,
    )


def _lookups(
    definition: Definition, lake: Lake, clean: Mapping[str, Snapshot]
) -> dict[str, tuple[dict[str, Any], bytes]]:
    found = {}
    with bound(definition, lake, clean) as connection:
        for use in definition.plan.lookups:
            columns = [*use.key, *use.columns]
            contract = definition.contracts[use.name]
            names = ", ".join(quote(name) for name in columns)
            rows = connection.execute(f"select {names} from {quote(use.name)}").fetchall()
            described = {
                "key": list(use.key),
                "columns": columns,
                "types": [contract[n].type for n in columns],
            }
            found[use.name] = (described, packages.lookup_lines(rows))
    return found


def libraries(algorithm: str, others: Sequence[str] = ()) -> dict[str, str]:
    """Versions of what made the model, ``others`` by distribution."""
    found = {"python": platform.python_version()}
    for name in (*SHARED_LIBRARIES, *LIBRARIES.get(algorithm, ()), *_renamed(others)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # xgboost goes by two names; one of them is installed
    return found


def _renamed(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(found for name in names for found in LIBRARIES.get(name, (name,)))


def golden_rows(package: ModelPackage, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first requests that ``package`` accepts, by alias, with what it answers them.

    ``requests`` are by field name; each goes through the validator as a client's would.
    """
    aliases = {field.name: field.alias for field in package.request.fields}
    found: list[dict[str, Any]] = []
    for request in requests:
        asked = {aliases[name]: to_json(value) for name, value in request.items()}
        try:
            valid = validation.validate(package.validators, asked)
            features = package.features(valid)
        except (RelevoError, FeatureError):
            continue  # an edge row that every path refuses is no example of an answer
        answer = package.predict([valid])[0]
        found.append(
            {
                "request": asked,
                "features": [to_json(value) for value in features],
                "probability": answer.probability,
                "decision": answer.decision,
            }
        )
        if len(found) == GOLDEN_ROWS:
            break
    return found
