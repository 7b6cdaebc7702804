"""Records in words, in the language in force, whatever language they were made in.

What a record keeps as figures is told anew from these; of what it keeps as a sentence only, the sentence is repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.errors import RelevoError
from relevo.findings import Finding
from relevo.texts import t
from relevo.why.known import findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.records import Decision, Release, Run, Window

MOST = 6
"""Names that a sentence lists."""


def decided(decision: Decision) -> str:
    """Why it was decided so, in a sentence or two."""
    found = findings(decision)
    names = listed([one.about or one.kind for one in found])
    pieces = listed([str(name) for name in decision.evidence.get("pieces", {}).values()])
    told = {
        ("broken data", "quarantine"): lambda: t(
            "Broken data ({names}): {pieces} is withheld from learning. Nothing is trained because of it.",
            names=names,
            pieces=pieces,
        ),
        ("broken data", "wait"): lambda: t(
            "Broken data ({names}). Nothing is trained because of it.", names=names
        ),
        ("loss", "retrain"): lambda: t(
            "The model is worse ({names}), and no broken data explains it: it is made anew.", names=names
        ),
        ("no labels", "wait"): lambda: t(
            "Labels do not come; the realised quality is not known. Nothing is trained without them."
        ),
        ("drift", "note"): lambda: t(
            "The data moved ({names}), and the model is not known to be worse: noted.", names=names
        ),
        ("fresh version", "roll back"): lambda: _trial(decision),
        ("loss", "wait"): lambda: _waits(found, names) or decision.text,
    }
    return told.get((decision.cause, decision.action), lambda: decision.text)() or action(decision.action)


def _waits(found: list[Finding], names: str) -> str:
    kinds = {one.kind for one in found}
    if "loss" in kinds:  # only its own sentence says what keeps it from a run
        return ""
    if "cases" in kinds:
        return t("Critical cases are answered wrongly ({names}). A person must look.", names=names)
    return t("The model is estimated to be worse ({names}); labels must show it.", names=names)


def _trial(decision: Decision) -> str:
    found = decision.evidence["trial"]
    return t(
        "On {rows:,} rows since its release {version} reaches {metric} {fresh:.3f}, {before} {known:.3f}; that it"
        " is worse by more than the margin is {worse:.1%} sure.",
        rows=found["rows"],
        version=decision.version,
        before=decision.evidence["to"],
        metric=found["metric"],
        fresh=found["fresh"],
        known=found["before"],
        worse=found["worse"],
    )


def action(name: str) -> str:
    """What is done, in a word or two."""
    known = {
        "retrain": t("make the model anew"),
        "quarantine": t("withhold data"),
        "note": t("note it"),
        "wait": t("wait"),
        "roll back": t("roll back"),
        "give back": t("give data back"),
    }
    return known.get(name, name)


def ended(run: Run) -> str:
    """How a run ended, in a sentence."""
    told = {
        "running": t("It is under way."),
        "released": t("It released version {version}.", version=run.version),
        "refused": t("The gate refused its version {version}; nothing changes.", version=run.version),
        "unchanged": t("Nothing was new, so it made no model."),
        "watched": t("It only looked for what is new."),
    }
    if run.status == "failed":
        return t("It failed: {error}", error=run.message or "-")
    return told.get(run.status, run.message or run.status)


def moved(release: Release) -> str:
    """What a release did, in a sentence without who and why."""
    facts = {"version": release.version, "previous": release.previous or "-", "alias": release.alias}
    told = {
        "promote": t("{version} becomes {alias} in place of {previous}.", **facts)
        if release.previous
        else t("{version} becomes {alias}, the first one.", **facts),
        "rollback": t("Rolled back: {version} is {alias} again in place of {previous}.", **facts),
        "challenge": t("{version} is tried beside the champion.", **facts),
        "withdraw": t("{version} is {alias} no longer.", **facts),
    }
    return told.get(
        release.act, f"{release.act}: {release.alias} {release.previous or '-'} → {release.version}"
    )


def watched(window: Window) -> str:
    """Which window it was: its unit and name, and what of."""
    name = window.name[:16].replace("T", " ") if window.unit == "hour" else window.name
    return t("{unit} {name} of {source}", unit=unit(window.unit), name=name, source=source(window.source))


def unit(name: str) -> str:
    """A window's unit."""
    return {"hour": t("hour"), "day": t("day"), "week": t("week"), "batch": t("batch")}.get(name, name)


def source(name: str) -> str:
    """What a window was made of."""
    known = {
        "requests": t("requests"),
        "arrivals": t("new rows"),
        "files": t("files"),
        "scores": t("batch scores"),
        "cases": t("critical cases"),
        "labels": t("labels"),
    }
    return known.get(name, name)


def seen(finding: Mapping[str, Any]) -> str:
    """A finding as the ledger has it, in a sentence."""
    try:
        return Finding.of_json(finding).told()
    except (TypeError, KeyError, ValueError, RelevoError):  # of a later version
        return f"{finding.get('kind', '?')} {finding.get('about', '')}".strip()


def listed(names: list[str]) -> str:
    """The first names of a list, without repetitions."""
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:MOST]) + (", …" if len(distinct) > MOST else "") or "-"


def size(count: float) -> str:
    """A number of bytes, in MiB."""
    return f"{count / (1 << 20):,.1f} MiB"
