"""What every benchmark does: read its options, do a part in a fresh process, and hold promises against figures."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parents[1]
MEGABYTE = 1 << 20


def options(about: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """``--check`` and ``--rounds``, of which there are so many when nothing is said."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each; the best counts")
    return parser


def fresh(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module of this folder in a process of its own and read the figures that it prints as JSON."""
    command = [sys.executable, "-m", f"support.{module}", *arguments]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join((module, *arguments))} failed:\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def at_least(name: str, value: float, limit: float) -> tuple[str, bool]:
    """A promise, and whether it is kept."""
    return f"{name}: {value:,.3f} >= {limit:,.3f}", value >= limit


def below(name: str, value: float, limit: float) -> tuple[str, bool]:
    """A promise, and whether it is kept."""
    return f"{name}: {value:,.3f} < {limit:,.3f}", value < limit


def tell(promises: Mapping[str, bool], *, fail: bool) -> int:
    """Print each promise and whether it is kept; returns 1 when one is missed and ``fail`` is set."""
    print()
    for promise, kept in promises.items():
        print(f"{'kept' if kept else 'MISSED':7}{promise}")
    return int(fail and not all(promises.values()))
