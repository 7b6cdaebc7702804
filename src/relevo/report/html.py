"""A document as one HTML file: no script, nothing loaded from elsewhere, for a telephone's width and screen readers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from relevo.report.document import Grid, Items, Text

if TYPE_CHECKING:
    from relevo.report.document import Block, Document

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --first: #fff8e1; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #3a424b; --paper: #14181d; --first: #2b2616; }
}
body { margin: 0 auto; max-width: 46rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
header p, footer { color: var(--soft); margin: 0.25rem 0 0; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 0.75rem; font-size: 0.875rem; }
section:first-of-type { background: var(--first); border: 1px solid var(--line); border-radius: 0.5rem;
  padding: 0 1rem 0.5rem; margin-top: 1.25rem; }
section:first-of-type h2 { margin-top: 0.75rem; }
ul { padding-left: 1.25rem; }
li { margin: 0.25rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: 0.25rem 0; }
th, td { text-align: left; padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: normal; }
"""


def render(document: Document, language: str) -> str:
    """Write a document."""
    sections = "\n".join(
        f'<section aria-labelledby="s{place}">\n<h2 id="s{place}">{escape(section.title)}</h2>\n'
        + "\n".join(_block(block) for block in section.blocks)
        + "\n</section>"
        for place, section in enumerate(document.sections, 1)
    )
    return f"""<!doctype html>
<html lang="{escape(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{escape(document.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(document.title)}</h1>
<p>{escape(document.subtitle)}</p>
</header>
<main>
{sections}
</main>
<footer>{escape(document.footer)}</footer>
</body>
</html>
"""


def _block(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Items(items):
            return "<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>"
        case Grid(caption, columns, rows):
            head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
            body = "\n".join(f"<tr>{_cells(row)}</tr>" for row in rows)
            return (
                f'<div class="wide" role="region" aria-label="{escape(caption)}" tabindex="0">\n<table>\n'
                f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
                "</table>\n</div>"
            )


def _cells(row: object) -> str:
    first, *rest = list(row)  # type: ignore[call-overload]
    return f'<th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
