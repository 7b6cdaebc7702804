"""A closed loop: users who each wait for an answer before they ask again, simulated by Locust."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo.errors import LoadTestError
from relevo.extras import need_elsewhere
from relevo.loadtest.measured import Outcome
from relevo.loadtest.tally import merged
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.loadtest.target import Target

_GRACE = 30.0
"""Seconds that Locust has to begin and to end, beside the test's own time."""
_SAID = 2000


@dataclass(frozen=True)
class Users:
    """How many at most, how many begin in a second, for how many seconds, simulated by how many processes."""

    users: int
    spawn: float
    seconds: float
    processes: int = 1


def run(target: Target, locustfile: Path, users: Users) -> Outcome:
    """Let the users of a locustfile ask; raises ``LoadTestError`` when Locust does not get to asking.

    Ctrl-C ends the test; what was measured until then is given.
    """
    need_elsewhere("locust", "loadtest")  # it would make this process one of gevent
    with tempfile.TemporaryDirectory(prefix="relevo-loadtest-") as made:
        folder = Path(made)
        begun = time.monotonic()
        with (folder / "said.txt").open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                _command(target, locustfile, users, folder),
                cwd=folder,
                env=_environment(target),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us, who end Locust in order
            )
            interrupted = _wait(process, users.seconds + target.timeout + _GRACE)
        parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
        words = (folder / "said.txt").read_text(encoding="utf-8", errors="replace")
    return _outcome(target, parts, users, words, interrupted=interrupted, took=time.monotonic() - begun)


def _command(target: Target, locustfile: Path, users: Users, folder: Path) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "relevo.loadtest.recorder",
        str(folder),
        "--locustfile",
        str(locustfile.resolve()),
    ]
    command += ["--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"]
    command += ["--host", target.url, "--users", str(users.users), "--spawn-rate", f"{users.spawn:g}"]
    command += ["--run-time", f"{max(1, round(users.seconds))}s", "--stop-timeout", f"{target.timeout + 1:g}"]
    if users.processes > 1:
        port = str(_free_port())
        command += ["--processes", str(users.processes), "--master-bind-host", "127.0.0.1"]
        command += ["--master-bind-port", port, "--master-port", port]
    return command


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(target: Target) -> dict[str, str]:
    """Ours without Locust's own settings, which would mix with the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return kept | target.variables()


def _wait(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Wait for Locust's end; returns whether it was interrupted."""
    interrupted = False
    try:
        process.wait(patience)
    except KeyboardInterrupt:
        interrupted = True
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            _end(process)
    return interrupted


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _outcome(
    target: Target, parts: list[dict[str, Any]], users: Users, words: str, *, interrupted: bool, took: float
) -> Outcome:
    tally = merged(part["seconds"] for part in parts)
    mistakes = Counter[str]()
    for part in parts:
        mistakes.update({target.hide(text): count for text, count in part["mistakes"].items()})
    whole = tally.total()
    if not whole.requests and not interrupted:
        raise LoadTestError(_nothing(mistakes, target.hide(words)))
    notes = tuple(
        t("The locustfile failed {count:,} times: {error}", count=count, error=text)
        for text, count in mistakes.most_common(5)
    )
    asked = [number for number, second in tally.seconds.items() if second.requests]
    seconds = min(users.seconds, took) if not asked else _span(asked, users.seconds)
    return Outcome(tally, seconds, tally.busy(), notes, {"users": users.users}, interrupted)


def _span(asked: list[int], wanted: float) -> float:
    """Seconds in which requests were begun: what was wanted, unless the test was ended before."""
    return min(wanted, float(max(asked) - min(asked) + 1))


def _nothing(mistakes: Counter[str], words: str) -> str:
    said = next(iter(mistakes), "") or "\n".join(words.strip()[-_SAID:].splitlines()[-5:])
    return t("Locust asked nothing. It says: {said}", said=said or t("nothing"))
