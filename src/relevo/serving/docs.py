"""The documentation's page: one file without anything from elsewhere, so that it works with no internet."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from pathlib import Path

from relevo.serving.problems import KINDS
from relevo.texts import t


@cache
def _source() -> str:
    return (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")


def _hash(tag: str) -> str:
    content = _source().partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


POLICY = (
    f"default-src 'none'; connect-src 'self'; script-src 'sha256-{_hash('script')}'; "
    f"style-src 'sha256-{_hash('style')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: the page's own script and style, and requests to the service itself."""
HEADERS = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}


def page(project: str, code: str) -> str:
    """Write the page in the language in force, ``code``."""
    texts = {
        "try": t("Try it"),
        "ask": t("Ask"),
        "field": t("Field"),
        "type": t("Type"),
        "rules": t("Rules"),
        "meaning": t("Meaning"),
        "required": t("required"),
        "optional": t("optional"),
        "answer": t("Answer"),
        "request": t("Request"),
        "others": t("Also here"),
        "key": t("Key"),
        "use": t("Use this key"),
        "waiting": t("There is no version yet; the fields appear with the first."),
    }
    kinds = "".join(
        f'<tr id="{name}"><td>{kind.status}</td><td>{html.escape(name)}</td><td>{html.escape(kind.title())}</td></tr>'
        for name, kind in KINDS.items()
    )
    return (
        _source()
        .replace("{{language}}", code)
        .replace("{{project}}", html.escape(project))
        .replace("{{refusals}}", html.escape(t("When there is no prediction")))
        .replace("{{kinds}}", kinds)
        .replace("{{texts}}", json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c"))
    )
