"""What release strategies cost and save: a shadow's price at half load, and a faulty canary's end under load.

python benchmarks/strategies.py [--check] [--rounds 10] [--seconds 4]

One service on core 0, with its shadow, is asked from core 1 at a fixed rate, half of what it answers at most
from 16 connections; each request counts from when it was due. With and without shadow take turns, so that what
else the machine does falls on both. With --check the script exits with 1 when a promise is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from support.measuring import HERE, at_least, below, tell
from support.services import LOAD_CORE, free_port, start, wait

from relevo import challenge
from relevo import digest as digests
from relevo.package import ModelPackage
from relevo.records import CHALLENGER, Verdict
from relevo.register import register
from relevo.serving.shadowing import counted
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

WHO = "benchmark"
SHARE = 0.1


def main() -> int:
    """Measure, print and check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--rounds", type=int, default=10, help="turns with and without shadow")
    parser.add_argument("--seconds", type=float, default=4, help="of each turn")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, "-m", "support.flights", made, "--open"], cwd=HERE, check=True)
        project, bodies = folder / "flights", folder / "bodies.jsonl"
        workspace = Workspace.open(project)
        name = workspace.project_name()
        sound = planted(workspace, name, folder / "sound", lambda m: m["calibration"].update(a=0.9))
        strict = planted(workspace, name, folder / "strict", _takes_no_national_flight)
        port = free_port()
        process = start([sys.executable, "-m", "relevo", "serve", str(project), "--port", "{port}"], port)
        try:
            wait(process, port)
            rate = capacity(port, bodies) / 2
            without, with_, shadow = turns(workspace, name, sound, port, rate, bodies, chosen)
            undone = rollback(workspace, name, strict, port, rate, bodies)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(180)
    return judge(rate, without, with_, shadow, undone, fail=chosen.check)


def planted(workspace: Workspace, name: str, folder: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """Register the champion's package with another manifest; gives its version."""
    champion = workspace.ledger.champion(name)
    assert champion is not None
    shutil.copytree(workspace.blobs.folder(champion.digest), folder)
    folder.chmod(0o700)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    if manifest["files"].pop("golden.jsonl", None):  # they are the champion's answers
        (folder / "golden.jsonl").unlink()
    path.chmod(0o600)
    path.write_bytes(digests.canonical(manifest))
    ModelPackage.load(folder)
    return register(workspace, folder, verdict=Verdict(accepted=True, reasons=()), run=WHO).version


def _takes_no_national_flight(manifest: dict[str, Any]) -> None:
    for field in manifest["request"]["fields"]:
        if field["alias"] == "TIPOVUELO":
            field["choices"] = ["I"]


def capacity(port: int, bodies: Path) -> float:
    """Requests a second from 16 connections, each asking as soon as it is answered."""
    command = [str(port), "16", str(bodies), "--seconds", "4", "--core", str(LOAD_CORE)]
    found = _run("load.py", command)
    return found["requests"] / found["seconds"]


def turns(
    workspace: Workspace,
    name: str,
    version: str,
    port: int,
    rate: float,
    bodies: Path,
    chosen: argparse.Namespace,
) -> tuple[list[dict[str, float]], list[dict[str, float]], dict[str, Any]]:
    """Measure by turns; gives what was found without and with a shadow, and the shadow's counts.

    One shadow is there all the time and held still for every other turn: so the turns can be short, and follow
    one another.
    """
    release = challenge.shadow(workspace, name, version, who=WHO).number
    _until(lambda: bool(counted(workspace.root, release)))
    shadow = counted(workspace.root, release)["pid"]
    without, with_ = [], []
    used = wall = 0.0
    for _ in range(chosen.rounds):
        os.kill(shadow, signal.SIGSTOP)
        without.append(_steady(port, rate, chosen.seconds, bodies))
        began, before = time.perf_counter(), sum(psutil.Process(shadow).cpu_times()[:2])
        os.kill(shadow, signal.SIGCONT)
        with_.append(_steady(port, rate, chosen.seconds, bodies))
        used += sum(psutil.Process(shadow).cpu_times()[:2]) - before
        wall += time.perf_counter() - began
    time.sleep(2)  # it tells its counts every second
    found = counted(workspace.root, release)
    challenge.end(workspace.ledger, name, who=WHO)
    return without, with_, {**found, "share": used / wall}


def rollback(
    workspace: Workspace, name: str, version: str, port: int, rate: float, bodies: Path
) -> dict[str, Any]:
    """Plant a faulty canary under load, and wait for its end."""
    load = subprocess.Popen(_steady_command(port, rate, 40, bodies), stdout=subprocess.PIPE, text=True)
    time.sleep(4)
    began = time.perf_counter()
    challenge.canary(workspace, name, version, share=SHARE, who=WHO)
    _until(lambda: workspace.ledger.standing(name, CHALLENGER) is None)
    took = time.perf_counter() - began
    said, _ = load.communicate(timeout=120)
    return {"seconds": took, "why": workspace.ledger.releases(name)[-1].why, **json.loads(said)}


def _until(condition: Callable[[], bool]) -> None:
    end = time.perf_counter() + 300  # a shadow waits for idle time
    while not condition():
        if time.perf_counter() > end:
            raise SystemExit("it did not come within five minutes")
        time.sleep(0.05)


def _steady(port: int, rate: float, seconds: float, bodies: Path) -> dict[str, float]:
    done = subprocess.run(
        _steady_command(port, rate, seconds, bodies), capture_output=True, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _steady_command(port: int, rate: float, seconds: float, bodies: Path) -> list[str]:
    words = [str(port), str(rate), str(seconds), str(bodies), "--core", str(LOAD_CORE)]
    return [sys.executable, str(HERE / "support" / "steady.py"), *words]


def _run(script: str, words: list[str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(HERE / "support" / script), *words], capture_output=True, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def judge(
    rate: float,
    without: list[dict[str, float]],
    with_: list[dict[str, float]],
    shadow: dict[str, Any],
    undone: dict[str, Any],
    *,
    fail: bool,
) -> int:
    """Print what was found, and each promise; returns 1 when one is missed and ``fail`` is set."""
    print(f"half load: {rate:,.0f} requests/s")
    for name, found in (("without shadow", without), ("with shadow", with_)):
        shown = "  ".join(f"{one['p50']:,.0f}/{one['p99']:,.0f}" for one in found)
        print(f"{name:16} p50/p99 µs by turn: {shown}")
    print(
        f"shadow: {shadow['answered']:,} answered, {shadow['differing']:,} differ, {shadow['skipped']:,} skipped"
    )
    print(f"canary: {undone['why']}")
    p99 = [statistics.median(one["p99"] for one in found) for found in (without, with_)]
    promises = [
        below("p99 with a shadow, times that without (median of turns)", p99[1] / p99[0], 1.10),
        below(
            f"shadow's share of a processor, of {challenge.CPU} it may use",
            shadow["share"],
            1.1 * challenge.CPU,
        ),
        at_least("shadow's answers", float(shadow["answered"]), 1.0),
        below("seconds until the faulty canary is taken back", undone["seconds"], 30.0),
        below("requests that failed meanwhile", float(undone["errors"]), 1.0),
        below("failed in all turns", sum(one["errors"] for one in (*without, *with_)), 1.0),
    ]
    return tell(dict(promises), fail=fail)


if __name__ == "__main__":
    sys.exit(main())
