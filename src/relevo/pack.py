"""Packs a fit: the model, the encoders, the look-ups and the proof rows become one data-only folder."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from relevo import package as packages
from relevo import validation
from relevo.decisions import BestThreshold, Costs, ExpectedF1, TopK, fixed_threshold
from relevo.errors import RelevoError
from relevo.examples import bound
from relevo.online import FeatureError
from relevo.package.values import to_json
from relevo.sql import LookupUse, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relevo.asof import Asked
    from relevo.decisions import Decision
    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.package import ModelPackage
    from relevo.records import Snapshot
    from relevo.train import Fit

LIBRARIES = {"logistic": ("scikit-learn",), "lightgbm": ("lightgbm",), "xgboost": ("xgboost-cpu", "xgboost")}
SHARED_LIBRARIES = ("duckdb", "numpy", "onnx", "onnxruntime", "sqlglot")
GOLDEN_ROWS = 64
BACKGROUND_ROWS = 128


def pack(
    definition: Definition,
    lake: Lake,
    tables: Mapping[str, Snapshot],
    fit: Fit,
    folder: Path,
    *,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    reference: Mapping[str, Any] | None = None,
    golden: Sequence[Mapping[str, Any]] = (),
    background: Sequence[Mapping[str, Any]] = (),
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
        lookups=_lookups(definition, lake, tables),
        histories=histories(definition),
        nulls=_nulls(definition),
        naive=definition.naive_sql,
        decision=_decision(project.decision),
        recommend=asdict(project.recommend) if project.recommend else None,
        labels=(project.target.negative, project.target.positive),
        calibration=fit.calibration,
        threshold=fixed_threshold(project.decision, fit.threshold),
        metric=project.metric,
        metrics=metrics,
        data=data,
        libraries=libraries(fit.algorithm, fit.libraries),
        reference=reference,
        golden=golden,
        background=background,
    )


def _lookups(
    definition: Definition, lake: Lake, tables: Mapping[str, Snapshot]
) -> dict[str, tuple[dict[str, Any], bytes]]:
    found = {}
    with bound(definition, lake, tables) as connection:
        for use in (*definition.plan.lookups, *_recommended(definition)):
            if use.known_at:
                continue
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


def _recommended(definition: Definition) -> list[LookupUse]:
    """The list of what is recommended, where no feature looks anything up in it."""
    wanted = definition.project.recommend
    if wanted is None or wanted.among in {use.name for use in definition.plan.lookups}:
        return []
    table = next(table for table in definition.project.lookups if table.name == wanted.among)
    return [LookupUse(table.name, table.keys, ())]


def histories(definition: Definition) -> list[dict[str, Any]]:
    """What is looked up as of a time, and how it is made: its rows live beside the package."""
    made = {history.name: history for history in definition.histories}
    found = []
    for use in definition.plan.lookups:
        if use.known_at:
            history = made[use.name]
            columns = [*use.key, *use.columns]
            found.append(
                {
                    "name": use.name,
                    "key": list(use.key),
                    "columns": columns,
                    "types": [history.relation.type_of(name) for name in columns],
                    "known_at": history.known_at,
                    "sql": history.relation.sql,
                    "shape": history.shape,
                }
            )
    return found


def _nulls(definition: Definition) -> tuple[str, ...]:
    """The texts that mean null in files like the one that the examples came from."""
    project = definition.project
    return () if project.examples else tuple(project.main_table.nulls)


def _decision(rule: Decision) -> dict[str, Any]:
    names = {BestThreshold: "best_threshold", ExpectedF1: "expected_f1", TopK: "top_k", Costs: "costs"}
    return {"rule": names[type(rule)], **asdict(rule)}


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


def golden_rows(package: ModelPackage, asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """The first requests that ``package`` accepts, by alias, with what it answers them.

    Each goes through the validator as a client's would. A row holds the rows of history it was answered
    with, so that it can be asked again anywhere and at any time.
    """
    aliases = {field.name: field.alias for field in package.request.fields}
    found: list[dict[str, Any]] = []
    for one in asked:
        body = {aliases[name]: to_json(value) for name, value in one.request.items()}
        try:
            valid = validation.validate(package.validators, body)
            features = package.features(valid, one.histories)
        except (RelevoError, FeatureError):
            continue  # an edge row that every path refuses is no example of an answer
        probability = float(package.score([features])[0])
        row = {
            "request": body,
            "features": [to_json(value) for value in features],
            "probability": probability,
            "decision": probability >= package.threshold,
        }
        if package.histories:
            row["histories"] = {name: _lines(rows) for name, rows in one.histories.items()}
        found.append(row)
        if len(found) == GOLDEN_ROWS:
            break
    return found


def background_rows(package: ModelPackage, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The requests that ``package`` accepts, by alias: what explanations compare with."""
    aliases = {field.name: field.alias for field in package.request.fields}
    found = []
    for request in requests:
        body = {aliases[name]: to_json(value) for name, value in request.items()}
        try:
            validation.validate(package.validators, body)
        except RelevoError:
            continue  # a number that JSON lacks, say: no client could ask it
        found.append(body)
    return found


def _lines(rows: Mapping[Any, tuple[Any, ...]]) -> list[list[Any]]:
    """Rows of history as JSON values, the key's first."""
    keyed = [(*(key if isinstance(key, tuple) else (key,)), *row) for key, row in rows.items()]
    return [[to_json(value) for value in row] for row in keyed]
