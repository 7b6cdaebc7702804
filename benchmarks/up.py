"""Memory of ``relevo up`` when nothing is asked and nothing is due: the command, the scheduler, the service.

python benchmarks/up.py [--check] [--workers auto] [--seconds 20]

Memory is proportional (PSS), summed over all processes of the command, the largest of what was seen in so many
seconds after 200 requests were answered and no job was under way. With --check the script exits with 1 when a promise
of the project is missed.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from support.measuring import HERE, MEGABYTE, below, tell
from support.services import ask

LIMIT = 300.0  # MB
JOB = {"run", "monitor", "collect", "cases", "deliver", "report"}


def main() -> int:
    """Measure, print the table and check the promise; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--workers", default="auto", help="processes that answer")
    parser.add_argument("--seconds", type=float, default=20, help="how long it is looked at")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([sys.executable, "-m", "support.flights", made, "--open"], cwd=HERE, check=True)
        found = measure(Path(made), chosen.workers, chosen.seconds)
    for name, size in found.items():
        print(f"{name:12}{size / MEGABYTE:7.1f} MB")
    total = sum(found.values()) / MEGABYTE
    print(f"{'together':12}{total:7.1f} MB")
    return tell(dict([below("MB of the whole when idle", total, LIMIT)]), fail=chosen.check)


def measure(folder: Path, workers: str, seconds: float) -> dict[str, int]:
    """Start everything, ask a little, and look at the memory of each part; that of the largest moment."""
    command = [sys.executable, "-m", "relevo", "up", str(folder / "flights"), "--port", "0", "--json"]
    process = subprocess.Popen([*command, "--workers", workers], stdout=subprocess.PIPE)
    try:
        port = _port(process)
        ask(port, 4, folder / "bodies.jsonl", ["--requests", "200"])
        moments = []
        end = time.monotonic() + seconds
        while time.monotonic() < end or not moments:
            time.sleep(1)
            moment = _parts(psutil.Process(process.pid))
            if moment:
                moments.append(moment)
        return max(moments, key=lambda moment: sum(moment.values()))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if "url" in said:
            return int(said["url"].rpartition(":")[2])
    raise SystemExit("it ended before it answered")


def _parts(whole: psutil.Process) -> dict[str, int]:
    """Bytes by part; nothing while a job is under way."""
    found = {"command": whole.memory_full_info().pss, "scheduler": 0, "service": 0}
    for child in whole.children():
        part = "scheduler" if "relevo.cli.scheduler" in child.cmdline() else "service"
        for one in (child, *child.children(recursive=True)):
            try:
                if one != child and JOB & set(one.cmdline()):
                    return {}
                found[part] += one.memory_full_info().pss
            except psutil.NoSuchProcess:
                return {}
    return found


if __name__ == "__main__":
    sys.exit(main())
