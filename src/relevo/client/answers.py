"""What a service answers, as facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Answer:
    """A prediction; ``id`` is what its label is given by, ``explanation`` what ``explain`` adds."""

    id: str
    probability: float
    decision: bool
    label: str
    threshold: float
    version: str
    explanation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Recommended:
    """One of the likeliest items; ``item`` is its value of the request's field ``field``."""

    field: str
    item: Any
    id: str
    probability: float
    decision: bool
    label: str
    version: str


@dataclass(frozen=True)
class Label:
    """What came of a prediction: the label's text or true for the positive one; ``at`` is when it was known."""

    id: str
    outcome: str | bool
    at: datetime | str | None = None

    def plain(self) -> dict[str, Any]:
        """The same for JSON, without what is not said."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Kept:
    """A label as the service keeps it; ``id`` is the label's own, the same for the same one."""

    id: str
    received_at: str
    outcome: bool
    label: str


class UnexpectedError(Exception):
    """An answer of success that is not what the service answers."""


def answer(found: Any, *, logged: bool = True) -> Answer:
    """Read one answer, without an id where it was not ``logged``; raises ``UnexpectedError``."""
    explanation = found.get("explanation") if isinstance(found, Mapping) else None
    return Answer(
        _get(found, "id", str) if logged else "",
        float(_get(found, "probability", float, int)),
        _get(found, "decision", bool),
        _get(found, "label", str),
        float(_get(found, "threshold", float, int)),
        _get(found, "version", str),
        explanation if isinstance(explanation, Mapping) else None,
    )


def answers(found: Any, count: int, *, logged: bool = True) -> list[Answer]:
    """Read a list of as many answers as there were rows; raises ``UnexpectedError``."""
    if not isinstance(found, list) or len(found) != count:
        raise UnexpectedError
    return [answer(one, logged=logged) for one in found]


def kept(found: Any, count: int) -> list[Kept]:
    """Read a list of as many labels as were sent; raises ``UnexpectedError``."""
    if not isinstance(found, list) or len(found) != count:
        raise UnexpectedError
    return [
        Kept(
            _get(one, "id", str),
            _get(one, "received_at", str),
            _get(one, "outcome", bool),
            _get(one, "label", str),
        )
        for one in found
    ]


_TOLD = {"id", "probability", "decision", "label"}


def recommended(found: Any) -> list[Recommended]:
    """Read recommendations; raises ``UnexpectedError``."""
    version, items = _get(found, "version", str), _get(found, "recommendations", list)
    return [_item(one, version) for one in items]


def _item(found: Any, version: str) -> Recommended:
    names = [name for name in found if name not in _TOLD] if isinstance(found, Mapping) else []
    if len(names) != 1:
        raise UnexpectedError
    return Recommended(
        names[0],
        found[names[0]],
        _get(found, "id", str),
        float(_get(found, "probability", float, int)),
        _get(found, "decision", bool),
        _get(found, "label", str),
        version,
    )


def _get(found: Any, name: str, *kinds: type) -> Any:
    value = found.get(name) if isinstance(found, Mapping) else None
    if type(value) not in kinds:
        raise UnexpectedError
    return value


def document(found: Any) -> dict[str, Any]:
    """Read an object; raises ``UnexpectedError``."""
    if not isinstance(found, dict):
        raise UnexpectedError
    return found
