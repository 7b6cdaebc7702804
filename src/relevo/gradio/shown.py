"""What the page shows, as HTML in the language in force. Everything that comes from elsewhere is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.client import Answer, Recommended
    from relevo.errors import ServiceError
    from relevo.gradio.subject import Subject

MOST = 12
"""Fields of an explanation that are shown."""
_LEAST = 0.0005
CSS = """
.relevo p { margin: .35em 0 }
.relevo .decision { font-size: 1.6em; font-weight: 600 }
.relevo .scale { position: relative; height: .7em; border-radius: .35em; background: var(--border-color-primary);
  max-width: 36em }
.relevo .scale i { display: block; height: 100%; border-radius: .35em; background: var(--color-accent) }
.relevo .scale b { position: absolute; top: -.25em; height: 1.2em; width: 2px; background: var(--body-text-color) }
.relevo .quiet { color: var(--body-text-color-subdued); font-size: .9em }
.relevo table { border-collapse: collapse; max-width: 60em }
.relevo table, .relevo tr, .relevo td, .relevo th { border: 0 !important }
.relevo td, .relevo th { padding: .2em .8em .2em 0; text-align: left; vertical-align: middle }
.relevo td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.relevo td.bar { width: 12em }
.relevo td.bar i { display: block; height: .7em; background: var(--color-accent); border-radius: 2px }
.relevo td.bar i.down { background: var(--body-text-color-subdued) }
.relevo [role=alert] { border-left: 3px solid #c2410c; padding-left: .6em }
.label-content { flex-wrap: wrap; gap: 0 .8em }
.relevo .problem { color: #c2410c; font-weight: 600 }
.dark .label-content { flex-wrap: wrap; gap: 0 .8em }
.relevo .problem { color: #fdba74 }
"""


def head(subject: Subject) -> str:
    """The page's heading: whose it is, and which version answers."""
    version = t("Version {version} answers.", version=subject.version)
    return _block(f"<h1>{escape(subject.project)}</h1><p class='quiet' id='version'>{escape(version)}</p>")


def answer(found: Answer, subject: Subject) -> str:
    """A prediction in words, with the version that answered."""
    positive = subject.labels[1]
    share, threshold = 100 * found.probability, 100 * found.threshold
    said = t(
        "The probability of “{label}” is {probability:.1%}.", label=positive, probability=found.probability
    )
    rule = t("From {threshold:.1%} upward it counts as “{label}”.", threshold=found.threshold, label=positive)
    version = t("Answered by version {version}.", version=found.version)
    return _block(
        f"<p class='decision' id='decision'>{escape(found.label)}</p>"
        f"<p id='probability'>{escape(said)} {escape(rule)}</p>"
        f"<div class='scale' role='img' aria-label='{escape(said)}'><i style='width:{share:.2f}%'></i>"
        f"<b style='left:{threshold:.2f}%'></b></div>"
        f"<p class='quiet'><span id='answered'>{escape(version)}</span> "
        f"{escape(t('Prediction {id}.', id=found.id))}</p>"
    )


def explanation(found: Mapping[str, Any]) -> str:
    """How the fields contributed, the strongest first."""
    shares = [one for one in found["fields"] if one.get("used") and abs(one["contribution"]) >= _LEAST][:MOST]
    if not shares:
        return ""
    largest = max(abs(one["contribution"]) for one in shares)
    rows = "".join(_share(one, largest) for one in shares)
    summary = " ".join(map(str, found["summary"]))
    return _block(
        f"<h3>{escape(t('How the fields contributed'))}</h3><p>{escape(summary)}</p>"
        f"<table id='shares'><tr><th>{escape(t('field'))}</th><th>{escape(t('value'))}</th>"
        f"<th>{escape(t('points'))}</th><th></th></tr>{rows}</table>"
    )


def _share(one: Mapping[str, Any], largest: float) -> str:
    value = "-" if one["value"] is None else f"{one['value']} {one.get('unit', '')}".rstrip()
    width = 100 * abs(one["contribution"]) / largest
    way = "down" if one["contribution"] < 0 else "up"
    return (
        f"<tr title='{escape(str(one['sentence']))}'><td>{escape(str(one['field']))}</td>"
        f"<td>{escape(value[:60])}</td><td class='number'>{100 * one['contribution']:+.1f}</td>"
        f"<td class='bar'><i class='{way}' style='width:{width:.0f}%'></i></td></tr>"
    )


def recommended(found: Sequence[Recommended], subject: Subject) -> str:
    """The likeliest items, in order."""
    if not found:
        return _block(f"<p>{escape(t('There is nothing to recommend.'))}</p>")
    rows = "".join(
        f"<tr><td class='number'>{place}</td><td>{escape(str(one.item))}</td>"
        f"<td class='number'>{one.probability:.1%}</td><td>{escape(one.label)}</td></tr>"
        for place, one in enumerate(found, 1)
    )
    titles = ("", found[0].field, t("probability of “{label}”", label=subject.labels[1]), t("decision"))
    version = t("Answered by version {version}.", version=found[0].version)
    return _block(
        f"<table id='recommended'><tr>{''.join(f'<th>{escape(one)}</th>' for one in titles)}</tr>{rows}</table>"
        f"<p class='quiet' id='answered'>{escape(version)}</p>"
    )


def refusal(error: ServiceError, named: Sequence[str]) -> str:
    """A refusal in words, without the problems that stand beside the fields that are ``named``."""
    if error.status is None:
        said = t("The service does not answer. Nothing was lost: what you entered is still here. Try again.")
        return alert(said)
    others = [
        f"{one.get('field')}: {one.get('problem')}" for one in error.problems if one.get("field") not in named
    ]
    words = [error.title or str(error), error.detail if not error.problems else "", *others]
    strangers = any(one.get("field") not in (*named, "body") for one in error.problems)
    if strangers:
        words.append(t("This page does not have all of the fields: reload it."))
    return alert(" ".join(filter(None, words)))


def report(said: Sequence[str], refused: Sequence[tuple[str, str]]) -> str:
    """What became of a file: sentences, and the first rows that were ``refused``, each with why."""
    told = "".join(f"<p>{escape(one)}</p>" for one in said)
    if refused:
        rows = "".join(
            f"<tr><td class='number'>{escape(n)}</td><td>{escape(why)}</td></tr>" for n, why in refused
        )
        titles = f"<tr><th>{escape(t('row'))}</th><th>{escape(t('problem'))}</th></tr>"
        told += f"<table id='refused'>{titles}{rows}</table>"
    return _block(f"<div id='report'>{told}</div>")


def alert(said: str) -> str:
    """Something the visitor must read."""
    return _block(f"<p role='alert'>{escape(said)}</p>")


def problem(said: str) -> str:
    """What is wrong with a field, for the place beside it."""
    return _block(f"<p class='problem' role='alert'>{escape(said)}</p>")


def _block(inner: str) -> str:
    return f"<div class='relevo'>{inner}</div>"
