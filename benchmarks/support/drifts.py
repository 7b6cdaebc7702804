"""Others that compare two data sets: Evidently's drift preset and NannyML's univariate drift, each as it comes.

Each gets an environment of its own, Python 3.11 and the newest versions that install and start together, and one
process. Its seconds are those from reading the Parquet files with pandas to its figures; imports do not count.
NannyML is given all current rows as one chunk, so that it does no more than compare.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = "3.11"
LONGEST = 3_600
"""Seconds that a peer may take."""
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
BEGIN = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
import pandas as pd
{imports}
began = time.perf_counter()
cpu = time.process_time()
reference, current = (pd.read_parquet(path) for path in sys.argv[1:])
{work}
seconds = time.perf_counter() - began
cpu = time.process_time() - cpu
print(json.dumps({{"seconds": seconds, "cpu": cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                  "figures": figures}}))
"""


class Peer(NamedTuple):
    """One to compare with. Relevo promises to take so many ``times`` less time."""

    name: str
    times: float
    packages: tuple[str, ...]
    imports: str
    work: str


def measured(peer: Peer, made: Path, folder: Path) -> dict[str, Any] | None:
    """Install and run a peer on ``folder``'s files; says why there is no figure, and gives None."""
    script = BEGIN.format(imports=peer.imports, work=peer.work)
    return ran(peer, made, script, *(str(folder / f"{side}.parquet") for side in ("reference", "current")))


def ran(peer: Peer, made: Path, script: str, *arguments: str) -> dict[str, Any] | None:
    """Install a peer below ``made``, unless it is there, and give what a script prints as JSON in its last line."""
    try:
        done = _run([_install(peer, made), "-c", script, *arguments])
        found: dict[str, Any] = json.loads(done.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(f"{peer.name} cannot be measured: {said.strip().splitlines()[-1]}")
        return None
    return found


def _install(peer: Peer, made: Path) -> str:
    uv = shutil.which("uv")
    if uv is None:
        raise OSError("uv is not on the PATH")
    place = made / peer.name
    python = str(place / "bin" / "python")
    if place.exists():
        return python
    _run([uv, "venv", "--quiet", "--python", PYTHON, str(place)])
    _run([uv, "pip", "install", "--quiet", "--python", python, *peer.packages])
    listed = json.loads(_run([uv, "pip", "list", "--quiet", "--format", "json", "--python", python]))
    shown = {peer.name.lower(), "pandas", "numpy", "scipy"}
    print(", ".join(f"{one['name']} {one['version']}" for one in listed if one["name"] in shown))
    return python


def _run(command: list[str]) -> str:
    environment = {**os.environ, **QUIET}
    done = subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=LONGEST, env=environment
    )
    return done.stdout


PEERS = (
    Peer(
        "Evidently",
        30,
        ("evidently", "pandas<3", "pyarrow"),  # it imports what pandas 3 has no more
        "from evidently import Report\nfrom evidently.presets import DataDriftPreset",
        "figures = len(Report([DataDriftPreset()]).run(current, reference).dict()['metrics'])",
    ),
    Peer(
        "NannyML",
        12,
        (
            "nannyml",
            "statsmodels",
            "pandas<3",
            "numpy<2.3",
            "pyarrow",
        ),  # it does not say that it needs statsmodels
        "import nannyml",
        "calculator = nannyml.UnivariateDriftCalculator(list(reference.columns), chunk_size=len(current))\n"
        "figures = calculator.fit(reference).calculate(current).to_df().shape[1]",
    ),
)
