"""Makes sample flights, runs the lifecycle, serves the model, asks it over HTTP, and stops everything."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RELEVO = [sys.executable, "-m", "relevo"]
FLIGHT = {
    "Fecha-I": "2017-12-22 18:40:00",
    "Vlo-I": "174",
    "Des-I": "SAEZ",
    "Emp-I": "ARG",
    "TIPOVUELO": "I",
}
CALM = {"Fecha-I": "2017-11-28 02:30:00", "Des-I": "MPTO", "Emp-I": "CMP", "TIPOVUELO": "I"}
BAD = {"Fecha-I": "2017-13-01 00:00:00", "Des-I": "SAEZ", "Emp-I": "ARG", "TIPOVUELO": "O"}


def relevo(*words: str) -> None:
    """Run a command of ours as a user would, and show what it prints."""
    print(f"\n$ relevo {' '.join(words)}", flush=True)
    subprocess.run([*RELEVO, *words], check=True)


def ask(url: str, body: Any) -> tuple[int, Any]:
    """POST JSON; an error's answer is read like any other."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/predict", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def serve(project: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the service on a free port and wait for the line that says where it listens."""
    process = subprocess.Popen(
        [*RELEVO, "serve", str(project), "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the service did not start")
    return process, json.loads(line)["url"]


def main() -> None:
    """Walk through the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    chosen = parser.parse_args()
    start = time.perf_counter()
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="relevo-demo-"))
    project = folder / "flights"
    try:
        shutil.copytree(
            ROOT / "examples" / "flights", project, ignore=shutil.ignore_patterns(".relevo", "data")
        )
        sample = [sys.executable, str(project / "sample.py"), str(project / "data" / "departures.csv")]
        print(f"$ python sample.py data/departures.csv --rows {chosen.rows}", flush=True)
        subprocess.run([*sample, "--rows", str(chosen.rows)], check=True)
        relevo("run", str(project))
        process, url = serve(project)
        try:
            for title, body in (("one row", FLIGHT), ("a list", [FLIGHT, CALM]), ("a bad row", BAD)):
                status, answer = ask(url, body)
                print(
                    f"\nPOST {url}/v1/predict ({title})\n{json.dumps(body)}\n→ {status} {json.dumps(answer, indent=2)}"
                )
        finally:
            process.terminate()
            process.wait(30)
        relevo("status", str(project))
        relevo("history", str(project))
        print(f"\nDone in {time.perf_counter() - start:.0f} s; everything is stopped.")
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
