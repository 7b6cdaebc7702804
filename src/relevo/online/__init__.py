"""The feature tree of a package as one Python function: no SQL parser and no dataframe library."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from relevo.online import moments, runtime
from relevo.online.emit import Emitter, SourceTooLargeError
from relevo.online.reads import looks_up, reads
from relevo.online.tree import read_tree, refuse
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.online.tree import Tree

__all__ = ["FeatureError", "OnlineFeatures", "compile_tree"]

_FAILURES = (ArithmeticError, ValueError, TypeError, AttributeError, LookupError)


class FeatureError(ValueError):
    """A feature has no value for this request, where DuckDB would stop with an error too.

    ``feature`` names it; it is empty when the request itself cannot be read or looked up.
    """

    def __init__(self, message: str, *, feature: str = "") -> None:
        super().__init__(message)
        self.feature = feature


def _namespace(constants: list[object]) -> dict[str, object]:
    names: dict[str, object] = {"date": date, "datetime": datetime, "__builtins__": {}}
    for builtin in (abs, float, len, repr, str):
        names[builtin.__name__] = builtin
    for name in ("log", "log10", "log2", "sqrt", "cbrt", "radians", "degrees", "isinf", "isfinite", "sin", "cos",
                 "tan", "asin", "acos", "atan", "atan2"):  # fmt: skip
        names[name] = getattr(math, name)
    for module in (runtime, moments):
        names.update({name: value for name, value in vars(module).items() if not name.startswith("_")})
    names.update({f"k{number}": constant for number, constant in enumerate(constants)})
    return names


def _evaluate(source: str, constants: list[object]) -> object:
    return eval(source, _namespace(constants))  # noqa: S307 - written from an allow-list only


def _explainer(tree: Tree) -> Callable[[int, Exception], FeatureError]:
    def explain(at: int, failure: Exception) -> FeatureError:
        reason = f"{type(failure).__name__}: {failure}"
        if at < 0:
            return FeatureError(t("The request cannot be read or looked up: {reason}.", reason=reason))
        name = tree.features[at][0]
        return FeatureError(
            t("The feature {name} has no value: {reason}.", name=name, reason=reason), feature=name
        )

    return explain


class OnlineFeatures:
    """The features of one request, as fast as plain Python is.

    ``lookups`` has (name, key columns, other columns) of each table: what a call's ``lookups`` must hold.
    ``reads`` tells which fields of the request each feature is computed from, ``looks_up`` on which look-ups it hangs.
    """

    def __init__(self, tree: Tree) -> None:
        self.names = tuple(name for name, _, _ in tree.features)
        self.types = tuple(type_ for _, type_, _ in tree.features)
        self.lookups = tuple(
            (table.name, tuple(name for name, _ in table.key), tuple(name for name, _ in table.columns))
            for table in tree.lookups
        )
        self.reads = reads(tree)
        self.looks_up = looks_up(tree)
        emitter = Emitter(tree, _evaluate)
        self.source = emitter.source()
        namespace: dict[str, Any] = _namespace(emitter.constants)
        namespace |= {"FAILURES": _FAILURES, "explain": _explainer(tree)}
        exec(compile(self.source, "<features>", "exec"), namespace)  # noqa: S102 - written from an allow-list only
        self._features = namespace["features"]

    def __call__(
        self, request: Mapping[str, object], lookups: Mapping[str, Mapping[Any, tuple[object, ...]]]
    ) -> tuple[object, ...]:
        """Compute one value per feature.

        A look-up's key is the bare value, or a tuple for several key columns; its value is the tuple of the
        used other columns. Raises FeatureError where DuckDB would stop.
        """
        answer: tuple[object, ...] = self._features(request, lookups)
        return answer


def compile_tree(tree: Mapping[str, object]) -> OnlineFeatures:
    """Check a package's tree against the allow-list and compile it; raises PackageError on anything foreign."""
    checked = read_tree(tree)
    try:
        return OnlineFeatures(checked)
    except (SourceTooLargeError, RecursionError, MemoryError, SyntaxError):
        refuse("its expressions are too large")
