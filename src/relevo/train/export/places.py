"""Where in an estimator something is: the words that errors name a step by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.errors import TrainingError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator


def title(estimator: Any) -> str:
    """The class's name."""
    return type(estimator).__name__


def inside(place: str, name: str, estimator: Any, *, number: int | None = None) -> str:
    """The place of a part of what is at ``place``."""
    shown = f"'{name}' ({title(estimator)})"
    if number is not None:
        shown = t("step {number} {shown}", number=number, shown=shown)
    return f"{place} → {shown}" if place else shown


def parts(estimator: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every estimator within ``estimator``, itself included, fitted or not, with its place; the innermost last."""
    yield place or title(estimator), estimator
    if hasattr(estimator, "steps"):
        for number, (name, step) in enumerate(estimator.steps, 1):
            yield from _part(step, inside(place, name, step, number=number))
        return
    found = getattr(estimator, "transformers_", None) or getattr(estimator, "transformers", None)
    if found is None:
        found = getattr(estimator, "transformer_list", None)
    for name, step, *_ in found or ():
        yield from _part(step, inside(place, name, step))
    settings = estimator.get_params(deep=False)
    for parameter in ("estimator", "final_estimator"):
        yield from _part(settings.get(parameter), inside(place, parameter, settings.get(parameter)))
    for name, inner in getattr(estimator, "estimators", None) or ():
        yield from _part(inner, inside(place, name, inner))


def _part(step: Any, place: str) -> Iterator[tuple[str, Any]]:
    if hasattr(step, "get_params"):
        yield from parts(step, place)


def refused(place: str, problem: str) -> TrainingError:
    """What a step that cannot be exported raises."""
    return TrainingError(t("{place} cannot be exported: {problem}", place=place, problem=problem))


def blame(estimator: Any, error: BaseException) -> str:
    """The place of the innermost part of ``estimator`` that was at work when ``error`` arose.

    Pipelines fit clones of what they hold, so that a part is known by its class.
    """
    known = {type(part): place for place, part in reversed(list(parts(estimator)))}
    found, trace = title(estimator), error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if type(owner) in known:
            found = known[type(owner)]
        trace = trace.tb_next
    return found
