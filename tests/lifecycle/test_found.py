"""A run's figures, as scripts read them."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import relevo
from relevo import Workspace, load
from support import shop

if TYPE_CHECKING:
    from pathlib import Path


def test_results_hold_the_candidate_beside_the_baselines_also_after_nothing_was_new(tmp_path: Path) -> None:
    rng = random.Random(3)
    folder = shop.write(tmp_path / "p", shop.stream(rng, 300), shop.tiers(rng))
    workspace = Workspace.open(folder)
    first = relevo.results(workspace, relevo.run(load(folder), workspace))
    assert first.status == "released"
    assert first.chosen == "Relevo (lightgbm)"
    assert set(first.models) == {first.chosen, "majority", "always-yes", "prior-random", "tree"}
    assert (first.rows, first.repeats, first.spread) == (120, 1, {})
    assert 0 <= first.value("f1") <= 1
    assert math.isclose(first.value("roc_auc", "always-yes"), 0.5)
    again = relevo.results(workspace, relevo.run(load(folder), workspace))
    assert again.status == "unchanged"
    assert (again.models, again.version) == (first.models, first.version)
