"""Locust with Relevo's own count beside it: ``python -m relevo.loadtest.recorder FOLDER LOCUST'S-ARGUMENTS``.

Locust keeps response times in whole milliseconds, which a service that answers in less than one needs finer.
Each process of Locust leaves one JSON file in FOLDER when it ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from relevo.loadtest.tally import Meter, Tally

_KINDS = 200
"""Texts of exceptions that are kept apart."""


class Recorder:
    """Counts what Locust tells; made before Locust forks, used by each process for itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tally, self._meter = Tally(), Meter()
        self._mistakes: Counter[str] = Counter()

    def request(
        self, *, start_time: float, response_time: float, response: Any, exception: Any, **_: Any
    ) -> None:
        """Count one request."""
        self._tally.add(start_time, response_time / 1000, _failure(response, exception))
        self._meter.look(self._tally, time.time())

    def mistake(self, *, exception: Any, **_: Any) -> None:
        """Count an exception that a user's own code raised."""
        text = f"{type(exception).__name__}: {exception}"[:300]
        if text in self._mistakes or len(self._mistakes) < _KINDS:
            self._mistakes[text] += 1

    def write(self, **_: Any) -> None:
        """Leave what was counted."""
        found = {"seconds": self._tally.plain(), "mistakes": self._mistakes}
        made = self._folder / f"{os.getpid()}.part"
        made.write_text(json.dumps(found), encoding="utf-8")
        made.replace(made.with_suffix(".json"))


def _failure(response: Any, exception: Any) -> str:
    if exception is None:
        return ""
    status = getattr(response, "status_code", 0)
    if status:
        # A file may call an answer of success wrong: then what it says is the kind.
        return str(status) if status >= 400 else str(exception)[:80]  # noqa: PLR2004 - HTTP's own bound
    return kind_of(exception)


def kind_of(error: BaseException) -> str:
    """Name what went wrong instead of an answer."""
    name = type(error).__name__
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    closed = isinstance(error, ConnectionError) or name in {"HTTPConnectionClosed", "HTTPParseError"}
    return "closed" if closed else name


def main() -> None:
    """Run Locust, recorded."""
    folder = Path(sys.argv.pop(1))
    locust: Any = import_module("locust")
    events, run = locust.events, import_module("locust.main").main
    recorder = Recorder(folder)
    events.request.add_listener(recorder.request)
    events.user_error.add_listener(recorder.mistake)
    events.quit.add_listener(recorder.write)
    sys.argv[0] = "locust"
    run()


if __name__ == "__main__":
    main()
