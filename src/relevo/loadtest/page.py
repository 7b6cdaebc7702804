"""The report as a page: one file, nothing from elsewhere, light or dark as its reader has it."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo.loadtest.charts import Line, chart, legend
from relevo.loadtest.report import verdict
from relevo.texts import language, t

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relevo.loadtest.report import Report


@cache
def _frame() -> str:
    return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def page(report: Report) -> str:
    """Write the page in the language in force."""
    found = report.plain()
    title = t("Load test of {url}", url=report.target.url)
    parts = [
        f'<p class="verdict">{html.escape(verdict(report))}</p>',
        *(f'<p class="note">{html.escape(note)}</p>' for note in _warnings(report)),
        _figures(found["figures"]),
        *_levels(found.get("levels", [])),
        *_charts(found["course"]),
        *_failures(found["figures"]["failures"]),
        _facts(found),
    ]
    return (
        _frame()
        .replace("{{language}}", language())
        .replace("{{title}}", html.escape(title))
        .replace("{{body}}", "\n".join(parts))
    )


def _warnings(report: Report) -> list[str]:
    early = [t("The test was interrupted; this is what was measured until then.")]
    return [*(early if report.outcome.interrupted else []), *report.outcome.notes]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """A table whose first ``words`` columns are texts and whose others are numbers."""
    kinds = ["" if place < words else ' class="n"' for place in range(len(head))]
    cells = "".join(f"<th{kind}>{html.escape(one)}</th>" for kind, one in zip(kinds, head, strict=True))
    lines = [
        "<tr>"
        + "".join(f"<td{k}>{html.escape(str(v))}</td>" for k, v in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    ]
    return f"<table><tr>{cells}</tr>{''.join(lines)}</table>"


def milliseconds(value: float | None) -> str:
    """A latency with three digits; a dash for none."""
    if value is None:
        return "—"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _figures(found: dict[str, Any]) -> str:
    head = [t("requests"), t("a second"), t("failed"), "p50 ms", "p90 ms", "p95 ms", "p99 ms", "max ms"]
    times = [milliseconds(found[name]) for name in ("p50", "p90", "p95", "p99", "max")]
    return _table(head, [[f"{found['requests']:,}", _rate(found["rate"]), f"{found['failed']:,}", *times]], 0)


def _rate(value: float | None) -> str:
    return "—" if value is None else f"{value:,.1f}"


def _levels(levels: Sequence[dict[str, Any]]) -> list[str]:
    if not levels:
        return []
    head = [t("users"), t("requests"), t("a second"), "p95 ms", t("failed"), t("generator busy"), t("missed")]
    rows = [
        [
            level["users"],
            f"{level['figures']['requests']:,}",
            _rate(level["figures"]["rate"]),
            milliseconds(level["figures"]["p95"]),
            f"{level['figures']['failed']:,}",
            f"{level['busy']:.0%}",
            ", ".join(level["missed"]) or "—",
        ]
        for level in levels
    ]
    return [f"<h2>{html.escape(t('Levels'))}</h2>", _table(head, rows, 0)]


def _charts(course: Sequence[dict[str, Any]]) -> list[str]:
    rate = [
        Line(t("requests"), "a", [point["requests"] for point in course]),
        Line(t("failed"), "c", [point["failed"] for point in course]),
    ]
    latency = [
        Line("p50", "a", [point["p50"] for point in course]),
        Line("p95", "b", [point["p95"] for point in course]),
        Line("p99", "c", [point["p99"] for point in course]),
    ]
    found = []
    for title, lines, unit in ((t("Rate"), rate, t("a second")), (t("Latency"), latency, "ms")):
        found += [
            f"<h2>{html.escape(title)}</h2>",
            chart(title, lines, x="s", y=unit),
            f"<p>{legend(lines)}</p>",
        ]
    return found


def _failures(failures: dict[str, int]) -> list[str]:
    if not failures:
        return []
    rows = [(kind, f"{count:,}") for kind, count in failures.items()]
    return [f"<h2>{html.escape(t('Failures'))}</h2>", _table([t("status or kind"), t("requests")], rows)]


def _facts(found: dict[str, Any]) -> str:
    machine = found["machine"]
    rows = [
        (t("begun"), found["started_at"]),
        (t("asked"), f"POST {found['url']}{found['path']}"),
        (t("took"), f"{found['seconds']:,.1f} s"),
        (t("limits"), _limits(found["limits"])),
        (t("generator"), t("busy {busy:.0%} of a core", busy=found["generator"]["busy"])),
        (t("machine"), f"{machine['processor']}, {machine['cores']} CPU, {machine['memory_gib']} GiB"),
        (t("system"), f"{machine['system']}, Python {machine['python']}, Relevo {machine['relevo']}"),
    ]
    lines = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(str(v))}</td></tr>" for n, v in rows)
    typed = (
        f"<tr><th>{html.escape(t('command'))}</th><td><code>{html.escape(found['command'])}</code></td></tr>"
    )
    return f"<h2>{html.escape(t('How it was measured'))}</h2><table>{lines}{typed}</table>"


def _limits(limits: dict[str, Any]) -> str:
    p95, errors = limits["p95_ms"], limits["errors"]
    parts = [f"p95 ≤ {milliseconds(p95)} ms"] if p95 is not None else []
    parts += [t("failed ≤ {share:.3%}", share=errors)] if errors is not None else []
    return ", ".join(parts) or "—"
