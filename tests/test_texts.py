"""The catalogue of user-facing texts."""

from __future__ import annotations

import ast
import json
import string
from pathlib import Path

import pytest

from relevo.texts import catalogue, language, speaking, t

SOURCE = Path(__file__).parent.parent / "src" / "relevo"


def templates() -> set[str]:
    """Every text literal given to ``t`` in the source."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "t"
                and node.args
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_text_is_in_spanish() -> None:
    assert templates() - set(catalogue("es")) == set()


def test_translations_fill_the_same_places() -> None:
    wrong = {english for english, spanish in catalogue("es").items() if places(english) != places(spanish)}
    assert wrong == set()


def test_no_translation_is_left_over() -> None:
    kept = json.loads((SOURCE / "locale" / "es.json").read_text(encoding="utf-8"))
    computed = {english for english in kept if english.startswith("@")}
    assert set(kept) - templates() - computed == set()


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"RELEVO_LANG": "es"}, "es"),
        ({"LANG": "es_CL.UTF-8"}, "es"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"RELEVO_LANG": "en", "LANG": "es_CL.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: str
) -> None:
    for name in ("RELEVO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == wanted


def test_a_block_may_speak_another_language() -> None:
    with speaking("es"):
        assert language() == "es"
        assert t("no such text {x}", x=1) == "no such text 1"
