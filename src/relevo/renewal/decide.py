"""Decide: what follows from what windows showed, by its cause.

Broken data is withheld, and nothing is trained; a distribution that moved without a loss is noted; a loss that no
broken data explains leads to a run. The decisions about the same windows are the same whoever makes them, and have
the same id, so that one that was made is not made again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import durations
from relevo.findings import BROKEN, LOST, SPOILING, Finding
from relevo.monitoring import CHANGE
from relevo.records import Decision
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.monitoring import Retrain
    from relevo.records import Window

RETRAIN, WITHHOLD, NOTE, WAIT, ROLL_BACK = "retrain", "quarantine", "note", "wait", "roll back"
EXPLAINED = "explained"
BROKEN_DATA, DRIFT, LOSS, NO_LABELS, FRESH = "broken data", "drift", "loss", "no labels", "fresh version"
CASES = "cases"
"""The source of windows in which the critical cases were asked."""
_MONTH = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a decision hangs on, beside the windows: the champion, and the runs that renewal began in 30 days.

    ``runs`` are the times at which they ended, ``hours`` the processor time they took.
    """

    project: str
    version: str
    at: str
    runs: Sequence[str] = ()
    hours: float = 0.0
    newest: datetime | None = None
    """The time of the newest example; None where examples have no time."""
    judging: timedelta = timedelta(0)
    """How long before it a run learns from nothing, since those rows judge."""
    lost: Sequence[Window] = ()
    """The windows of this version that showed a loss and nothing broken; some may have rows of broken pieces."""
    withheld: Mapping[str, Any] = field(default_factory=dict)
    given_back: frozenset[str] = frozenset()
    """Pieces that a person gave back: they are not withheld again."""
    pending: bool = False
    """Whether a run that was decided on has still to end."""


def decide(windows: Sequence[Window], retrain: Retrain | None, situation: Situation) -> list[Decision]:
    """Decide about windows that nothing was decided about yet: whatever was found in them, something is said of it."""
    data = [window for window in windows if _of_data(window, situation)]
    broken = [(window, found) for window in data for found in _of(window, BROKEN)]
    spoiled = _spoiled([*windows, *situation.lost], broken, situation)
    lost = [
        (window, found) for window in windows for found in _of(window, LOST) if window.number not in spoiled
    ]
    decisions = []
    if broken:
        decisions.append(_broken(broken, situation))
    realised = [pair for pair in lost if pair[1].kind == "loss"]
    if realised:
        before = [window for window in situation.lost if window.number not in spoiled]
        decisions.append(_lost(realised, retrain, replace(situation, lost=before)))
    elif lost:
        decisions.append(_waiting(lost, situation))
    silent = [(window, found) for window in windows for found in _of(window, {"labels"})]
    if silent:
        text = t("Labels do not come; the realised quality is not known. Nothing is trained without them.")
        decisions.append(_decision(situation, NO_LABELS, WAIT, text, silent))
    explained = spoiled | {window.number for window, _ in lost}
    moved = [
        (window, found)
        for window in windows
        for found in _of(window, {"drift", "score", "multivariate"})
        if window.number not in explained
    ]
    if moved:
        names = _names(moved)
        text = t("The data moved ({names}), and the model is not known to be worse: noted.", names=names)
        decisions.append(_decision(situation, DRIFT, NOTE, text, moved))
    return decisions + _rest(windows, decisions, situation)


def _rest(windows: Sequence[Window], decisions: Sequence[Decision], situation: Situation) -> list[Decision]:
    """A note about windows with findings that nothing else was decided about, so that they are done with."""
    about = {number for one in decisions for number in one.evidence["windows"]}
    left = [
        (window, Finding.of_json(one))
        for window in windows
        for one in window.findings
        if window.number not in about
    ]
    if not left:
        return []
    text = t(
        "Found and nothing follows from it ({names}): it was explained before, or is for a person.",
        names=_names(left),
    )
    return [_decision(situation, EXPLAINED, NOTE, text, left)]


def _of_data(window: Window, situation: Situation) -> bool:
    """Whether what is broken in a window is the data: not that a service is away, nor what a person found right."""
    pieces = set(window.figures.get("pieces", ()))
    return window.source != CASES and not (pieces and pieces <= situation.given_back)


def _of(window: Window, kinds: frozenset[str] | set[str]) -> list[Finding]:
    return [Finding.of_json(one) for one in window.findings if one["kind"] in kinds]


def _spoiled(
    windows: Sequence[Window], broken: Sequence[tuple[Window, Finding]], situation: Situation
) -> set[int]:
    """The windows in which broken data explains whatever else was seen: its own, or of a piece that is broken."""
    pieces = set(_pieces(broken)) | set(situation.withheld)
    own = {window.number for window, one in broken if one.kind in SPOILING}
    return own | {window.number for window in windows if pieces & set(window.figures.get("pieces", ()))}


def _pieces(broken: Sequence[tuple[Window, Finding]]) -> dict[str, str]:
    """The pieces that what is broken is laid to, with their names.

    Those in which it was seen as they came, and what a window of a single piece has. Of a window of several pieces
    nobody knows which one it was, unless one of them is among those. That there are few rows, or many, says nothing
    against those that came.
    """
    found: dict[str, str] = {}
    for window, one in sorted(broken, key=lambda pair: len(pair[0].figures.get("pieces", ()))):
        pieces = window.figures.get("pieces", ())
        if one.kind != "volume" and len(pieces) == 1 and not set(pieces) & set(found):
            found[pieces[0]] = str(window.figures.get("names", {}).get(pieces[0], pieces[0]))
    return found


def _broken(found: Sequence[tuple[Window, Finding]], situation: Situation) -> Decision:
    pieces = {digest: name for digest, name in _pieces(found).items() if digest not in situation.given_back}
    if pieces:
        text = t(
            "Broken data ({names}): {pieces} is withheld from learning. Nothing is trained because of it.",
            names=_names(found),
            pieces=", ".join(pieces.values()),
        )
        return _decision(situation, BROKEN_DATA, WITHHOLD, text, found, {"pieces": pieces})
    text = t("Broken data ({names}). Nothing is trained because of it.", names=_names(found))
    return _decision(situation, BROKEN_DATA, WAIT, text, found)


def _lost(found: Sequence[tuple[Window, Finding]], retrain: Retrain | None, situation: Situation) -> Decision:
    names = _names(found)
    if retrain is None or not retrain.on_loss:
        text = t(
            "The model is worse ({names}). It is not renewed by itself; `relevo run` does it.", names=names
        )
        return _decision(situation, LOSS, WAIT, text, found)
    held = _held_back(retrain, situation) or _too_young(situation, found)
    if held:
        return _decision(
            situation, LOSS, WAIT, t("The model is worse ({names}). {why}", names=names, why=held), found
        )
    window = _window(retrain, situation, found)
    text = t("The model is worse ({names}), and no broken data explains it: it is made anew.", names=names)
    if window:
        text += " " + t("It learns from the last {window}.", window=window)
    return _decision(situation, LOSS, RETRAIN, text, found, {"window": window})


def _began(situation: Situation, found: Sequence[tuple[Window, Finding]]) -> datetime:
    """When the loss began."""
    windows = [*situation.lost, *(window for window, _ in found)]
    return min(datetime.fromisoformat(window.began_at) for window in windows)


def _window(retrain: Retrain, situation: Situation, found: Sequence[tuple[Window, Finding]]) -> str:
    if retrain.window != CHANGE:
        return retrain.window
    if situation.newest is None:
        return ""
    days = (situation.newest - _began(situation, found)) / timedelta(days=1)
    return f"{max(math.ceil(days), 1)}d"


def _held_back(retrain: Retrain, situation: Situation) -> str:
    """Why no run may begin now; empty when one may."""
    if situation.pending:
        return t("A run that was decided on before has still to end: it waits for that.")
    now = datetime.fromisoformat(situation.at)
    times = [datetime.fromisoformat(time) for time in situation.runs]
    lately = [time for time in times if now - _MONTH < time]
    if len(lately) >= retrain.most:
        return t("{runs} runs in 30 days are the most that are allowed: it waits.", runs=len(lately))
    if situation.hours >= retrain.most_hours:
        return t(
            "{hours:.1f} hours of processor time in 30 days are used up, {most:.1f} are allowed: it waits.",
            hours=situation.hours,
            most=retrain.most_hours,
        )
    cooldown = durations.parse(retrain.cooldown)
    if times and now - max(times) < cooldown:
        return t("A run ended less than {cooldown} ago: it waits.", cooldown=retrain.cooldown)
    return ""


def _too_young(situation: Situation, found: Sequence[tuple[Window, Finding]]) -> str:
    """Why a run would learn nothing of what changed; empty when it would."""
    if situation.newest is None or _began(situation, found) < situation.newest - situation.judging:
        return ""
    return t(
        "All rows since it began are in the part that judges, the last {days:.0f} days: it waits for more.",
        days=situation.judging / timedelta(days=1),
    )


def _waiting(found: Sequence[tuple[Window, Finding]], situation: Situation) -> Decision:
    if any(one.kind == "cases" for _, one in found):
        text = t("Critical cases are answered wrongly ({names}). A person must look.", names=_names(found))
    else:
        text = t("The model is estimated to be worse ({names}); labels must show it.", names=_names(found))
    return _decision(situation, LOSS, WAIT, text, found)


def _names(found: Sequence[tuple[Window, Finding]]) -> str:
    return ", ".join(dict.fromkeys(one.about or one.kind for _, one in found))


def _decision(
    situation: Situation,
    cause: str,
    action: str,
    text: str,
    found: Sequence[tuple[Window, Finding]],
    more: Mapping[str, Any] | None = None,
) -> Decision:
    windows = sorted({window.number: window for window, _ in found}.items())
    # by name too: the inputs of windows in which nothing came are all alike
    looked = [[one.source, one.unit, one.name, one.inputs] for _, one in windows]
    identity = digests.of_json([situation.project, cause, looked, situation.version])
    return Decision(
        id=identity[:32],
        project=situation.project,
        at=situation.at,
        cause=cause,
        action=action,
        text=text,
        evidence={
            "windows": [number for number, _ in windows],
            "findings": [one.to_json() for _, one in found],
            **(more or {}),
        },
        window=windows[-1][0],
        version=situation.version,
    )
