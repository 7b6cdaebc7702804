"""The access log while its folder comes and goes."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

from relevo.serving.accesslog import AccessLog, described

if TYPE_CHECKING:
    from pathlib import Path


def note(log: AccessLog, status: int) -> None:
    """Note a request a while after the file was last looked for."""

    async def ask() -> None:
        log.add(b"now", b"id", described("", "127.0.0.1", "GET", "/"), status, 0.001, 10)
        log._looked -= 10
        log.flush()

    asyncio.run(ask())


def test_a_log_that_cannot_be_made_anew_writes_into_no_other_file(tmp_path: Path) -> None:
    """Its descriptor's number may be another file's, or a caller's connection, as soon as it is closed."""
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(str(folder / "access.jsonl"))
    note(log, 200)
    shutil.rmtree(folder)
    note(log, 201)
    with (tmp_path / "other").open("wb"):
        note(log, 202)
    assert (tmp_path / "other").read_bytes() == b""
    folder.mkdir()
    note(log, 203)
    log.close()
    lines = (folder / "access.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [203]
