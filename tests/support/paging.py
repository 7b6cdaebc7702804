"""``relevo gradio`` as users start it, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def shown(said: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start the page on a free port; gives its address. What it logs goes to ``said``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELEVO_")}
    with said.open("a") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "relevo", "gradio", *arguments, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
            env=environment | {"LC_ALL": "C.UTF-8"} | dict(variables or {}),
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, said.read_text()
        yield json.loads(line)["url"]
    finally:
        process.terminate()
        process.communicate(timeout=180)
    assert process.returncode == 0, said.read_text()
