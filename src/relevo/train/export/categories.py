"""scikit-learn's category encoders as a table: what each category becomes, and what any other value does.

The table is asked of the fitted encoder itself, one category at a time, so that dropped and infrequent
categories, smoothed means and codes for the unknown are what the encoder makes of them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.texts import t
from relevo.train.export.graph import Part
from relevo.train.export.places import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from relevo.train.export.graph import Graph

    Floats = NDArray[np.float64]


MOST = 5000
"""Categories of all columns together: each is compared with at every answer."""


def export(graph: Graph, part: Part, encoder: Any, place: str) -> Part:
    """Add a fitted ``OneHotEncoder``, ``OrdinalEncoder`` or ``TargetEncoder``."""
    if getattr(encoder, "handle_unknown", None) == "error":
        raise refused(
            place,
            t(
                "it fails on a value that it has not learned from, and one will come."
                ' Write handle_unknown="ignore" (OneHotEncoder) or "use_encoded_value" (OrdinalEncoder).'
            ),
        )
    found = [np.asarray(values) for values in encoder.categories_]
    if any(values.dtype.kind not in "fiub" for values in found):
        raise refused(place, t("its categories are no numbers."))
    categories = [values.astype(np.float64) for values in found]
    if (count := sum(map(len, categories))) > MOST:
        raise refused(
            place,
            t(
                "it has {count:,} categories, and {most:,} are supported. Set min_frequency or"
                ' max_categories, or write estimator(…, text="mean").',
                count=count,
                most=MOST,
            ),
        )
    tables, unknown = _tables(encoder, categories)
    hit = _hits(graph, part, categories)
    known = np.zeros((sum(map(len, categories)), part.width))
    start = 0
    for column, values in enumerate(categories):
        known[start : start + len(values), column] = 1.0
        start += len(values)
    table = _diagonal(tables)
    missed = graph.add("Sub", graph.constant(1.0), graph.add("MatMul", hit, graph.constant(known)))
    if np.array_equal(table, np.eye(len(table))):
        name = hit
    else:
        name = graph.add("MatMul", hit, graph.constant(np.nan_to_num(table)))
    others = _diagonal([row.reshape(1, -1) for row in unknown])
    if np.nan_to_num(others).any():
        name = graph.add("Add", name, graph.add("MatMul", missed, graph.constant(np.nan_to_num(others))))
    if np.isnan(table).any() or np.isnan(others).any():
        blank = graph.add(
            "Add",
            graph.add("MatMul", hit, graph.constant(np.isnan(table).astype(np.float64))),
            graph.add("MatMul", missed, graph.constant(np.isnan(others).astype(np.float64))),
        )
        empty = graph.add("Greater", blank, graph.constant(0.0))
        name = graph.add("Where", empty, graph.constant(np.nan), name)
    return Part(name, table.shape[1])


def _hits(graph: Graph, part: Part, categories: list[Floats]) -> str:
    """(n, all categories): 1 where the column's value is the category; NaN is a category like any other."""
    every = np.concatenate(categories)
    wide = graph.take(part, np.repeat(np.arange(part.width), [len(values) for values in categories]))
    hit = graph.add("Equal", wide.name, graph.row(np.nan_to_num(every, nan=0.0)))
    blank = np.isnan(every)
    if blank.any():
        flags = blank.reshape(1, -1)
        missing = graph.add("And", graph.add("IsNaN", wide.name), graph.constant(flags, np.bool_))
        hit = graph.add("Or", graph.add("And", hit, graph.constant(~flags, np.bool_)), missing)
    return graph.cast(hit, "DOUBLE")


def _tables(encoder: Any, categories: list[Floats]) -> tuple[list[Floats], list[Floats]]:
    """For each column: what its categories become, (m, width), and what any other value does, (width,)."""
    base = np.array([values[0] for values in categories])
    rows = [base]
    for column, values in enumerate(categories):
        strange = np.max(values[~np.isnan(values)], initial=0.0) + 1.0
        for value in [*values, strange]:
            row = base.copy()
            row[column] = value
            rows.append(row)
    names = getattr(encoder, "feature_names_in_", None)
    asked: Any = np.array(rows)
    if names is not None:
        from relevo.extras import need

        asked = need("pandas", "estimators").DataFrame(asked, columns=names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a value is unknown, which is the question
        answered = encoder.transform(asked)
    answered = np.asarray(answered.toarray() if hasattr(answered, "toarray") else answered, np.float64)
    widths = list(getattr(encoder, "_n_features_outs", None) or [1] * len(categories))
    tables, unknown = [], []
    place, left = 1, 0
    for values, width in zip(categories, widths, strict=True):
        block = answered[place : place + len(values) + 1, left : left + width]
        tables.append(block[:-1])
        unknown.append(block[-1])
        place, left = place + len(values) + 1, left + width
    return tables, unknown


def _diagonal(blocks: list[Floats]) -> Floats:
    """Blocks along the diagonal, zeros elsewhere."""
    whole = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole
