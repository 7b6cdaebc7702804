"""``gradio``: the end user's page as a server of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relevo.cli.output import document, say
from relevo.errors import RequestError
from relevo.texts import LANGUAGES, t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


KEY = "RELEVO_API_KEY"


def gradio(
    folder: Path,
    url: str,
    key_file: Path | None,
    host: str,
    port: int,
    root_path: str | None,
    lang: str,
    *,
    json: bool,
) -> None:
    """Serve the page until SIGTERM or Ctrl-C."""
    from relevo.gradio import run
    from relevo.service import ServiceSettings

    if lang and lang not in LANGUAGES:
        problem = t("must be one of: {choices}.", choices=", ".join(LANGUAGES))
        raise RequestError([{"field": "--lang", "problem": problem}])

    def ready(address: str) -> None:
        if json:
            document({"url": address})
        else:
            say(t("The page is at {url}.", url=address))
        sys.stdout.flush()

    if url:
        from relevo.client import retries

        asked = retries.settings(url, 1, 1, 1, repeat=False).url
        given = ServiceSettings().changed({"root_path": root_path})
        run(
            None,
            url=asked,
            key=_key(key_file),
            host=host,
            port=port,
            language=lang,
            settings=given,
            ready=ready,
        )
        return
    if key_file is not None:
        raise RequestError([{"field": "--key-file", "problem": t("goes with --url only.")}])
    workspace = Workspace.open(folder, create=False)
    chosen = workspace.settings.serve.changed({"root_path": root_path})
    run(workspace, host=host, port=port, language=lang, settings=chosen, ready=ready)


def _key(file: Path | None) -> str:
    if file is None:
        return os.environ.get(KEY, "")
    try:
        found = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = t(
            "it cannot be read ({error}).", error=getattr(error, "strerror", None) or t("it is not ASCII")
        )
        raise RequestError([{"field": "--key-file", "problem": problem}]) from error
    if not found or any(one.isspace() for one in found):
        raise RequestError([{"field": "--key-file", "problem": t("it holds no key, or more than one line.")}])
    return found
