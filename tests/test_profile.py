from __future__ import annotations

import json
from typing import Any

import numpy as np

from relevo.profile import LEVELS, QUANTILES, SCORE_BINS, profile
from relevo.sql import Column

SCORE = np.array([0.0, 0.049, 0.05, 0.5, 1.0])


def of(kind: Any, values: object) -> dict[str, Any]:
    """The profile of one feature, which JSON can hold."""
    found = profile((Column("x", kind),), {"x": values}, SCORE)
    json.dumps(found, allow_nan=False)
    return dict(found["features"]["x"])


def test_the_score_is_counted_over_twenty_equal_bins() -> None:
    found = profile((), {}, SCORE)["score"]
    assert (found["rows"], len(found["edges"]), len(found["counts"])) == (5, SCORE_BINS - 1, SCORE_BINS)
    assert (found["counts"][0], found["counts"][1], found["counts"][10], found["counts"][19]) == (2, 1, 1, 1)
    assert found["mean"] == SCORE.mean()


def test_a_number_is_counted_between_its_deciles() -> None:
    found = of("double", np.arange(1000.0))
    assert len(found["edges"]) == QUANTILES - 1
    assert found["counts"] == [100] * QUANTILES
    assert found["null"] == 0


def test_a_value_on_an_edge_belongs_above_it() -> None:
    found = of("integer", np.array([0] * 85 + [5] * 15))
    assert (found["edges"][0], found["edges"][-1]) == (0.0, 5.0)
    assert (found["counts"][0], found["counts"][-1]) == (0, 15)
    assert (found["min"], found["max"], found["null"]) == (0.0, 5.0, 0)


def test_a_value_that_is_several_deciles_has_a_bin_of_its_own() -> None:
    found = of("integer", np.array([0] * 85 + [1] * 9 + [5] * 6))
    assert found["edges"] == [0.0, np.nextafter(0.0, 1.0), 1.0]
    assert found["counts"] == [0, 85, 0, 15]


def test_nulls_and_infinities_are_counted_apart() -> None:
    values = np.ma.masked_array([1.0, 2.0, np.inf, -np.inf, np.nan], [False, True, False, False, False])
    found = of("double", values)
    assert found["null"] == 2
    assert sum(found["counts"]) == 3


def test_nothing_but_nulls() -> None:
    assert of("double", np.ma.masked_array([0.0, 0.0, 0.0], [True, True, True])) == {
        "type": "double",
        "edges": [],
        "counts": [0],
        "null": 3,
    }


def test_a_boolean() -> None:
    values = np.ma.masked_array([True, False, True, True], [False, False, False, True])
    assert of("boolean", values) == {"type": "boolean", "true": 2, "false": 1, "null": 1}


def test_the_most_frequent_texts_by_name_and_the_others_as_one() -> None:
    texts = [f"t{place:02}" for place in range(LEVELS + 5)]
    hidden = [False] * len(texts) + [True, False, False]
    found = of("text", np.ma.masked_array([*texts, "t03", "t24", "t24"], hidden))
    assert found["null"] == 1
    assert found["other"] == 5
    assert list(found["levels"]) == ["t24", *texts[: LEVELS - 1]]
