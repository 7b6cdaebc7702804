"""Which HTTP server: a constant answer by uvicorn and by granian, and on Relevo's route the long and the short way.

python benchmarks/servers.py [--rounds 3]

Each is started alone on core 0 and asked from core 1. The first three have nothing around the answer; the last
two are Relevo's server with access control, rate limit, access log, and the body parsed and validated. Granian
is installed into an environment of its own, which is thrown away.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from support.measuring import options
from support.services import Figures, Service, take_turns

from support import flights


def main() -> int:
    """Measure and print the table."""
    chosen = options(__doc__, rounds=3).parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        flights.make(folder, guarded=True)
        python = _granian(folder / "granian")
        uvicorn = [
            sys.executable,
            "-m",
            "uvicorn",
            "support.raw:asgi",
            "--port",
            "{port}",
            "--log-level",
            "error",
        ]
        granian = [python, "-m", "granian", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "error"]
        constant = [sys.executable, "-m", "support.constant", str(folder / "flights"), "{port}"]
        commands = {
            "uvicorn, raw ASGI": [*uvicorn, "--loop", "uvloop", "--http", "httptools", "--no-access-log"],
            "granian, raw ASGI": [*granian, "--interface", "asgi", "support.raw:asgi"],
            "granian, raw RSGI": [*granian, "--interface", "rsgi", "support.raw:rsgi"],
            "Relevo's, long way": [*constant, "--long"],
            "Relevo's, short way": constant,
        }
        bodies, key, amount = folder / "bodies.jsonl", folder / "key", ("--requests", "20000")
        servers = [
            Service(name, command, bodies, amount=amount, key=key) for name, command in commands.items()
        ]
        found = take_turns(servers, chosen.rounds)
    _show(found)
    return 0


def _granian(folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "granian", "uvloop"], check=True)
    return python


def _show(found: dict[str, Figures]) -> None:
    for one in found.values():
        print(
            f"{one.name:22}{one.rate:9,.0f} requests/s at 16, p50 at 1 {one.p50:6,.0f} µs, "
            f"{one.errors} errors of {one.asked:,}"
        )


if __name__ == "__main__":
    sys.exit(main())
