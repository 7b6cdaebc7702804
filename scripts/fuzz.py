"""Asks the service what nobody should, and prints how many cases there were and what was found.

scripts/fuzz --cases 200000     random, changed and structured bodies of predict, infer and score, in this process
scripts/fuzz --examples 250     schemathesis on the OpenAPI document of a running service, over 2,000 cases
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from support import asgi, fuzzing, service


def main() -> int:
    """Ask, print, and return 1 when something was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=0, help="bodies by Hypothesis")
    parser.add_argument("--examples", type=int, default=0, help="cases of each route by schemathesis")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    findings = 0
    with tempfile.TemporaryDirectory() as folder:
        if chosen.cases:
            findings += bodies(Path(folder) / "bodies", chosen.cases, chosen.seed)
        if chosen.examples:
            findings += document(Path(folder) / "document", chosen.examples, chosen.seed)
    return int(findings > 0)


def bodies(root: Path, cases: int, seed: int) -> int:
    """Ask bodies; gives the number of findings."""
    began = time.perf_counter()
    with asgi.asking(root) as ask:
        try:
            done = fuzzing.run(ask, cases, start=seed, told=progress)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            notes = "\n".join(getattr(error, "__notes__", []))
            print(f"bodies: found {type(error).__name__}: {error}\n{notes}")
            return 1
    print(f"bodies: {done:,} cases, no finding, {time.perf_counter() - began:.0f} s")
    return 0


def progress(done: int) -> None:
    """Show that it goes on."""
    print(f"  {done:,}", end="\r", file=sys.stderr, flush=True)


def document(root: Path, examples: int, seed: int) -> int:
    """Ask the cases of the document; gives the number of findings."""
    service.workspace(root)
    started = service.start(root)
    try:
        done = fuzzing.by_document(started.url, examples, seed=seed)
    finally:
        started.stop()
    cases = fuzzing.cases_of(done.stdout)
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-2_000:])
    print(f"document: {cases:,} cases, {'findings above' if done.returncode else 'no finding'}")
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
