"""The gate's verdict: every check, whether it passed, and the figures that say why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo.evaluate import ALWAYS_YES
from relevo.gate import ENOUGH, LOWER_IS_BETTER
from relevo.records import Reason, Verdict
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.evaluate import Evaluation, Paired
    from relevo.gate import Gate
    from relevo.stats import Interval


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
    figures = {"metric": name, **_figures(found), "required": least}
    if name in LOWER_IS_BETTER:
        passed = found.value <= least
        text = (
            t("{metric} is {value}, at most {required} as required.", **_shown(figures))
            if passed
            else t("{metric} is {value}, above the {required} allowed.", **_shown(figures))
        )
    else:
        passed = found.value >= least
        text = (
            t("{metric} is {value}, at least {required} as required.", **_shown(figures))
            if passed
            else t("{metric} is {value}, below the {required} required.", **_shown(figures))
        )
    return Reason(check=f"minimum:{name}", passed=passed, text=text, figures=figures)


def _beats_baselines(metric: str, evaluation: Evaluation, baselines: Mapping[str, Evaluation]) -> Reason:
    """Always-yes does not count for recall: its recall is 1 by construction, and no model can have more."""
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    rivals = {
        name: sign * found.metrics[metric].value
        for name, found in baselines.items()
        if not (metric == "recall" and name == ALWAYS_YES)
    }
    best = max(rivals, key=lambda name: -math.inf if math.isnan(rivals[name]) else rivals[name])
    found = evaluation.metrics[metric]
    figures = {"metric": metric, **_figures(found), "baseline": best, "reached": sign * rivals[best]}
    passed = sign * found.value > rivals[best]
    text = (
        t(
            "{metric} is {value}, better than the best trivial baseline, {baseline}, with {reached}.",
            **_shown(figures),
        )
        if passed
        else t(
            "{metric} is {value}, no better than the trivial baseline {baseline} with {reached}.",
            **_shown(figures),
        )
    )
    return Reason(check="baselines", passed=passed, text=text, figures=figures)


def _champion(gate: Gate, paired: Paired | None) -> Reason:
    if paired is None:
        return Reason(check="champion", passed=True, text=t("There is no champion yet to compare with."))
    worse = paired.worse(gate.margin)
    figures = {
        "metric": paired.metric,
        "champion": paired.champion,
        "challenger": paired.challenger,
        **{f"difference_{name}": value for name, value in _figures(paired.difference).items()},
        "margin": gate.margin,
        "worse": worse,
        "allowed": round(1 - gate.confidence, 12),
        "rarer": paired.rarer,
        "groups": paired.groups,
    }
    passed = worse <= 1 - gate.confidence
    text = (
        t(
            "On the same rows {metric} is {challenger}, the champion's {champion}; with probability {worse} it is worse"
            " by more than {margin}, at most {allowed} as required.",
            **_shown(figures),
        )
        if passed
        else t(
            "On the same rows {metric} is {challenger}, the champion's {champion}; with probability {worse} it is worse"
            " by more than {margin}, and more than {allowed} is too much.",
            **_shown(figures),
        )
    )
    if 0 < paired.rarer < ENOUGH:
        caution = (
            t(
                "Only {rarer} groups with rows of the rarer class are compared: a worse model passes more often than"
                " the {allowed} say.",
                **_shown(figures),
            )
            if paired.groups
            else t(
                "Only {rarer} rows of the rarer class are compared: a worse model passes more often than the {allowed}"
                " say.",
                **_shown(figures),
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
    """Plain numbers; NaN, which JSON lacks, is null."""
    return {name: None if math.isnan(value) else value for name, value in vars(found).items()}


def _shown(figures: Mapping[str, object]) -> dict[str, object]:
    shown = {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in figures.items()}
    return {name: t("undefined") if value is None else value for name, value in shown.items()}
