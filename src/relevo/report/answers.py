"""The parts of the report about answers: how many, and how good they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.report.document import Grid, Text
from relevo.texts import t
from relevo.why import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.records import Window
    from relevo.report.document import Block
    from relevo.report.facts import Counted, Facts

UNITS = ("week", "day", "batch", "hour")
"""Windows of the first unit there is are shown."""
ROWS = 10
_NAMES = {"f1": "F1", "roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "log_loss": "log loss", "brier": "Brier"}


def predicted(facts: Facts) -> list[Block]:
    """How many answers there were, and how many of them positive."""
    blocks: list[Block] = []
    if facts.answered:
        every, positive = sum(one.rows for one in facts.answered), sum(one.positive for one in facts.answered)
        blocks.append(
            Text(
                t(
                    "The service answered {rows:,} requests, {share:.1%} of them “{label}”.",
                    rows=every,
                    share=positive / every,
                    label=facts.positive,
                )
            )
        )
        if len(facts.answered) > 1:
            columns = (t("version"), t("requests"), t("share positive"))
            blocks.append(
                Grid(
                    t("Requests by version"),
                    columns,
                    [(one.version, f"{one.rows:,}", _share(one)) for one in facts.answered],
                )
            )
    if facts.scored:
        blocks.append(
            Grid(
                t("Batches that were scored"),
                (t("period"), t("version"), t("rows"), t("share positive")),
                [(one.period, one.version, f"{one.rows:,}", _share(one)) for one in facts.scored[-ROWS:]],
            )
        )
    came = _shown(facts.of("arrivals"))
    if came:
        text = t("{rows:,} rows came in with their outcome.", rows=sum(one.rows for one in came))
        blocks.append(Text(text))
    return blocks or [Text(t("Nothing was asked, and nothing came in."))]


def _share(counted: Counted) -> str:
    return f"{counted.positive / counted.rows:.1%}" if counted.rows else "-"


def _shown(windows: Sequence[Window]) -> list[Window]:
    """The windows of one unit, the longest there is."""
    for unit in UNITS:
        found = [one for one in windows if one.unit == unit]
        if found:
            return found
    return []


def quality(facts: Facts) -> list[Block]:
    """Realised and estimated quality beside what the version reached before it was released."""
    blocks: list[Block] = []
    for source in ("requests", "arrivals"):
        windows = _shown([one for one in facts.of(source) if one.rows])
        if windows:
            blocks += _judged(facts, source, windows)
    blocks += [Text(_review(one)) for one in facts.reviews]
    cases = facts.of("cases")
    if cases:
        blocks.append(Text(_cases(cases)))
    if not blocks:
        blocks = [Text(t("Nothing was judged: there are no answers with outcomes yet."))]
    champion = facts.champion
    known = champion.metrics.get("metrics", {}) if champion is not None else {}
    shown = [f"{name(one)} {interval(known[one])}" for one in facts.metrics if one in known]
    if champion is not None and shown:
        text = t(
            "Before its release version {version} reached {figures} on rows that were held out.",
            version=champion.version,
            figures=", ".join(shown),
        )
        blocks.append(Text(text))
    return blocks


def _judged(facts: Facts, source: str, windows: Sequence[Window]) -> list[Block]:
    told = [one for one in windows if one.figures.get("realised") or one.figures.get("estimated")]
    blocks: list[Block] = []
    if told:
        columns = (
            t("window"),
            t("rows"),
            t("outcomes"),
            *(name(metric) for metric in facts.metrics),
            t("estimated without outcomes"),
        )
        rows = [_row(facts, one) for one in told[-ROWS:]]
        blocks.append(Grid(t("Quality of {source}", source=words.source(source)), columns, rows))
    if not any(one.figures.get("realised") for one in told):
        blocks.append(Text(t("No labels yet, or too few: nothing is realised.")))
    doubts = [
        str(reason)
        for one in windows
        for reason in (one.figures.get("estimated") or {}).get("reasons", ())
        if not one.figures["estimated"].get("holds", True)
    ]
    if doubts:
        said = " ".join(dict.fromkeys(doubts))
        blocks.append(Text(t("The estimates are not to be relied on: {reasons}", reasons=said)))
    return blocks


def _row(facts: Facts, window: Window) -> list[str]:
    realised = window.figures.get("realised") or {}
    metrics: Mapping[str, Any] = realised.get("metrics", {})
    estimated = (window.figures.get("estimated") or {}).get("metrics", {})
    guessed = [f"{name(one)} {interval(estimated[one])}" for one in facts.metrics if one in estimated]
    return [
        f"{words.unit(window.unit)} {window.name}",
        f"{window.rows:,}",
        _known(realised),
        *(interval(metrics[one]) if one in metrics else "-" for one in facts.metrics),
        ", ".join(guessed) or "-",
    ]


def _known(realised: Mapping[str, Any]) -> str:
    """How many outcomes are known, and the share of those that should be by now."""
    if not realised:
        return "-"
    coverage = realised.get("coverage")
    rows = f"{realised['rows']:,}"
    return rows if coverage is None else f"{rows} ({coverage:.0%})"


def interval(found: Mapping[str, Any]) -> str:
    """A figure with its interval."""
    value, low, high = (found.get(part) for part in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def name(metric: str) -> str:
    """A metric, as people write it."""
    return _NAMES.get(metric, metric.replace("_", " "))


def _review(found: Mapping[str, Any]) -> str:
    from relevo import outcomes

    return outcomes.told(found) + "."


def _cases(windows: Sequence[Window]) -> str:
    failed = [one for one in windows if one.findings]
    text = t("Times that the critical cases were asked: {count}.", count=len(windows))
    if not failed:
        return f"{text} {t('All were answered as expected.')}"
    return f"{text} {t('Times that something was wrong: {count}.', count=len(failed))}"
