"""The gate's verdict: every check, whether it passed, and the figures that say why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo.gate import ENOUGH, LOWER_IS_BETTER
from relevo.records import Reason, Verdict
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.evaluate import Evaluation, Paired
    from relevo.gate import Gate
    from relevo.stats import Interval

DECIMALS = 17
"""With so many any two shares that differ look different."""


@dataclass(frozen=True)
class CaseResult:
    """One critical case: what was expected of the model and what it answered."""

    name: str
    expected: str
    got: str
    passed: bool


def judge(
    gate: Gate,
    metric: str,
    evaluation: Evaluation,
    baselines: Mapping[str, Evaluation],
    paired: Paired | None,
    cases: Sequence[CaseResult],
) -> Verdict:
    """Check a candidate against the gate; ``paired`` is None when there is no champion yet."""
    reasons = [_enough(gate, evaluation)]
    reasons += [_minimum(name, least, evaluation) for name, least in gate.minimum.items()]
    if gate.beats_baselines:
        reasons.append(_beats_baselines(metric, evaluation, baselines))
    reasons.append(_champion(gate, paired))
    reasons += [_case(case) for case in cases]
    return Verdict(accepted=all(reason.passed for reason in reasons), reasons=tuple(reasons))


def _enough(gate: Gate, evaluation: Evaluation) -> Reason:
    """Too few held-out rows show nothing, whatever the figures."""
    rarer = min(evaluation.positives, evaluation.rows - evaluation.positives)
    figures = {
        "rows": evaluation.rows,
        "rarer": rarer,
        "required": gate.minimum_rows,
        "required_rarer": gate.minimum_positives,
    }
    passed = evaluation.rows >= gate.minimum_rows and rarer >= gate.minimum_positives
    text = (
        t("{rows:,} held-out rows judge, {rarer:,} of them of the rarer class.", **figures)
        if passed
        else t(
            "{rows:,} held-out rows judge, {rarer:,} of them of the rarer class; {required:,} and"
            " {required_rarer:,} are the least. Give the test part more rows, or write RepeatedStratifiedSplit(…), by"
            " which every row judges.",
            **figures,
        )
    )
    return Reason(check="rows", passed=passed, text=text, figures=figures)


def _minimum(name: str, least: float, evaluation: Evaluation) -> Reason:
    found = evaluation.metrics[name]
    figures = {"metric": name, **_figures(found), "required": float(least)}
    shown = _shown(figures, "value", "required")
    if name in LOWER_IS_BETTER:
        passed = found.value <= least
        text = (
            t("{metric} is {value}, at most {required} as required.", **shown)
            if passed
            else t("{metric} is {value}, above the {required} allowed.", **shown)
        )
    else:
        passed = found.value >= least
        text = (
            t("{metric} is {value}, at least {required} as required.", **shown)
            if passed
            else t("{metric} is {value}, below the {required} required.", **shown)
        )
    return Reason(check=f"minimum:{name}", passed=passed, text=text, figures=figures)


def _beats_baselines(metric: str, evaluation: Evaluation, baselines: Mapping[str, Evaluation]) -> Reason:
    """A recall of 1 by naming every row cannot be beaten: only a model that does the same is compared with it."""
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    all_count = metric != "recall" or _names_all(evaluation)
    rivals = {
        name: sign * found.metrics[metric].value
        for name, found in baselines.items()
        if all_count or not _names_all(found)
    }
    found = evaluation.metrics[metric]
    figures: dict[str, object] = {"metric": metric, **_figures(found), "baseline": None, "reached": None}
    if not rivals:
        text = t(
            "{metric} is {value}; each trivial baseline names every row, and is not compared.",
            **_shown(figures),
        )
        return Reason(check="baselines", passed=True, text=text, figures=figures)
    best = max(rivals, key=lambda name: -math.inf if math.isnan(rivals[name]) else rivals[name])
    figures |= {"baseline": best, "reached": _plain(sign * rivals[best])}
    passed = sign * found.value > rivals[best]
    shown = _shown(figures, "value", "reached")
    text = (
        t("{metric} is {value}, better than the best trivial baseline, {baseline}, with {reached}.", **shown)
        if passed
        else t("{metric} is {value}, no better than the trivial baseline {baseline} with {reached}.", **shown)
    )
    return Reason(check="baselines", passed=passed, text=text, figures=figures)


def _names_all(evaluation: Evaluation) -> bool:
    """Whether every row is answered yes."""
    return evaluation.confusion["tn"] + evaluation.confusion["fn"] == 0


def _champion(gate: Gate, paired: Paired | None) -> Reason:
    if paired is None:
        return Reason(check="champion", passed=True, text=t("There is no champion yet to compare with."))
    worse, allowed = paired.worse(gate.margin), round(1 - gate.confidence, 12)
    figures = {
        "metric": paired.metric,
        "champion": paired.champion,
        "challenger": paired.challenger,
        **{f"difference_{name}": value for name, value in _figures(paired.difference).items()},
        "margin": gate.margin,
        "worse": worse,
        "allowed": allowed,
        "rarer": paired.rarer,
        "groups": paired.groups,
    }
    passed = worse <= allowed
    shown = _shown(figures, "worse", "allowed")
    text = (
        t(
            "On the same rows {metric} is {challenger}, the champion's {champion}; with probability {worse} it is worse"
            " by more than {margin}, at most {allowed} as required.",
            **shown,
        )
        if passed
        else t(
            "On the same rows {metric} is {challenger}, the champion's {champion}; with probability {worse} it is worse"
            " by more than {margin}, and more than {allowed} is too much.",
            **shown,
        )
    )
    if 0 < paired.rarer < ENOUGH:
        caution = (
            t(
                "Only {rarer} groups with rows of the rarer class are compared: a worse model passes more often than"
                " the {allowed} say.",
                **shown,
            )
            if paired.groups
            else t(
                "Only {rarer} rows of the rarer class are compared: a worse model passes more often than the {allowed}"
                " say.",
                **shown,
            )
        )
        text = f"{text} {caution}"
    return Reason(check="champion", passed=passed, text=text, figures=figures)


def _case(case: CaseResult) -> Reason:
    text = (
        t("Critical case “{name}” is answered {got}, as expected.", name=case.name, got=case.got)
        if case.passed
        else t(
            "Critical case “{name}” is answered {got}; {expected} was expected.",
            name=case.name,
            got=case.got,
            expected=case.expected,
        )
    )
    figures = {"expected": case.expected, "got": case.got}
    return Reason(check=f"case:{case.name}", passed=case.passed, text=text, figures=figures)


def _figures(found: Interval) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in vars(found).items()}


def _plain(value: float) -> float | None:
    """A plain number; NaN, which JSON lacks, is null."""
    return None if math.isnan(value) else value


def _shown(figures: Mapping[str, object], *compared: str) -> dict[str, object]:
    """Texts of the figures: three decimals, and as many more as tell those that are ``compared`` apart."""
    apart = {value for name in compared if isinstance(value := figures[name], float)}
    enough = (n for n in range(3, DECIMALS) if len({f"{value:.{n}f}" for value in apart}) == len(apart))
    digits = dict.fromkeys(compared, next(enough, DECIMALS))
    return {name: _text(value, digits.get(name, 3)) for name, value in figures.items()}


def _text(value: object, digits: int) -> object:
    if value is None:
        return t("undefined")
    return f"{value:.{digits}f}" if isinstance(value, float) else value
