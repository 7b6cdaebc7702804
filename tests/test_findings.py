"""Findings are told in words, in either language, and survive being written down."""

from __future__ import annotations

from relevo import texts
from relevo.findings import BROKEN, LOST, NOTE, WARN, Finding


def test_a_finding_is_told_with_its_figures() -> None:
    found = Finding(kind="nulls", about="payer_code", severity=WARN, value=0.79, expected=0.4, rows=15_000)
    assert found.told() == "payer_code is missing in 79.0% of 15,000 rows; expected 40.0%."
    assert found.signal == "nulls:payer_code"


def test_what_is_not_known_is_told_all_the_same() -> None:
    kinds = BROKEN | LOST | {"drift", "multivariate", "score", "labels"}
    for kind in sorted(kinds):
        assert Finding(kind=kind, about="x", severity=NOTE).told()


def test_a_finding_is_read_back() -> None:
    found = Finding(kind="loss", about="f1", severity="page", value=0.3, facts={"by": {"airline": 2}})
    assert Finding.of_json(found.to_json()) == found


def test_a_finding_is_told_in_spanish() -> None:
    found = Finding(kind="volume", about="", severity=WARN, value=3, low=10, high=20)
    with texts.speaking("es"):
        assert found.told() == "Llegaron 3 filas; se esperaban de 10 a 20."
