"""For Docker Compose: a stack's files, what its images are built from, and the script that makes its secrets.

The texts are those below ``files/``; what stands between two @ in them is filled in.
"""

from __future__ import annotations

import re
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from relevo import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

LIGHT, FULL = "light", "full"
STACKS = (LIGHT, FULL)
SERVICES = ("api-1:8000", "api-2:8000")
"""Where Prometheus finds the services of the full stack."""
ASKED = "${SECRETS:?Type ./secrets.sh first: it makes the secrets, and names their folder in .env}"
"""What Compose says when there are no secrets yet."""


def files(project: str, *, folder: str, stack: str) -> dict[str, str]:
    """The texts by path. ``folder`` is the project's, as seen from where the files are."""
    root = resources("relevo.export") / "files"
    found = dict(_texts(root / "compose" / stack))
    found["secrets.sh"] = (root / "compose" / "secrets.sh").read_text("utf-8")
    secrets = [line.split()[0] for line in found["secrets.txt"].splitlines()]
    filled = {
        "@name@": slug(project),
        "@project@": project,
        "@folder@": folder,
        "@version@": __version__,
        "@secrets@": "\n".join(f"  {name}: {{file: '{ASKED}/{name}'}}" for name in secrets),
    }
    for path, text in found.items():
        for mark, value in filled.items():
            text = text.replace(mark, value)  # noqa: PLW2901 - each mark in turn
        found[path] = text
    found |= {f"images/{path}": text for path, text in _texts(root / "images")}
    found["images/relevo-version"] = f"{__version__}\n"
    found[".gitignore"] = "secrets/\n.env\n"
    return found


def slug(name: str) -> str:
    """A project's name as Compose, paths and hosts can bear it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"


def _texts(folder: Traversable, before: str = "") -> Iterator[tuple[str, str]]:
    for place in sorted(folder.iterdir(), key=lambda one: one.name):
        if place.is_dir():
            yield from _texts(place, f"{before}{place.name}/")
        else:
            yield before + place.name, place.read_text("utf-8")
