"""What the end user's page costs in memory: alone, within a service, and with many visitors.

python benchmarks/gradio_memory.py FOLDER --visitors 200

FOLDER is a project with a released version. Memory is the resident set of the process and its workers, in MB of
2^20 bytes; visitors are sessions that each open the page and ask for one prediction.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

MB = 1 << 20


def main() -> None:
    """Start each, ask, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--visitors", type=int, default=200)
    chosen = parser.parse_args()
    folder = str(chosen.folder)
    for name, arguments, below in (
        ("service", ["serve", folder, "--workers", "1"], None),
        ("service with --gradio", ["serve", folder, "--workers", "1", "--gradio"], "/gradio"),
        ("relevo gradio, in process", ["gradio", folder], ""),
    ):
        measured(name, arguments, below, chosen.visitors)
    served = started(["serve", folder, "--workers", "1"])
    try:
        measured("relevo gradio --url", ["gradio", "--url", served[1]], "", chosen.visitors)
    finally:
        stopped(served[0])


def started(arguments: list[str]) -> tuple[subprocess.Popen[str], str]:
    """Start a command that answers; gives its address."""
    command = [sys.executable, "-m", "relevo", *arguments, "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    return process, str(json.loads(process.stdout.readline())["url"])


def stopped(process: subprocess.Popen[str]) -> None:
    """End it."""
    process.terminate()
    process.wait(60)


def measured(name: str, arguments: list[str], below: str | None, visitors: int) -> None:
    """Print what a command holds at first, with its page open, and after many visits."""
    process, url = started(arguments)
    try:
        line = [resident(process)]
        if below is not None:
            visited(url + below, 1)
            line.append(resident(process))
            visited(url + below, visitors)
            line.append(resident(process))
        print(f"{name:28}" + "".join(f"{one:8.0f}" for one in line), flush=True)
    finally:
        stopped(process)


def resident(process: subprocess.Popen[str]) -> float:
    """Resident memory of a process and its children, in MB."""
    all_ = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(one.memory_info().rss for one in all_) / MB


def visited(url: str, visitors: int) -> None:
    """Open the page and ask for an answer to its first example, as many sessions."""
    with httpx.Client(timeout=120, follow_redirects=True) as client:
        for number in range(visitors):
            page = client.get(url + "/")
            found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page.text, re.DOTALL)
            assert found is not None, page.text
            config = json.loads(found[1])
            root = str(page.url).rstrip("/")
            data: list[object] = []
            for button in ("example-0", "predict"):
                (place,) = [
                    one["id"] for one in config["components"] if one["props"].get("elem_id") == button
                ]
                (event,) = [
                    one["id"] for one in config["dependencies"] if one["targets"] == [[place, "click"]]
                ]
                body = {"fn_index": event, "data": data, "session_hash": f"s{number}"}
                answer = client.post(f"{root}/gradio_api/run/predict", json=body)
                answer.raise_for_status()
                data = answer.json()["data"]


if __name__ == "__main__":
    main()
