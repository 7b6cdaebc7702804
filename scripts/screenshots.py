"""Draws the pictures of docs/gradio.md: the four examples are made from sample data, and their pages asked.

scripts/screenshots               all of them
scripts/screenshots --only sodai  one
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from support import browsing, example, paging

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLORS = 64
"""Enough for a page, and a quarter of the bytes."""


def main() -> None:
    """Make, ask, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=example.NAMES)
    chosen = parser.parse_args()
    names = [chosen.only] if chosen.only else example.NAMES
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browsing.chromium() as browser:
        for name in names:
            draw(name, example.made(name, Path(folder)), browser)


def draw(name: str, project: Path, browser: Browser) -> None:
    """Ask the page of one example, and draw it; reggaeton's in Spanish."""
    language = "es-CL" if name == "reggaeton" else "en-US"
    with (
        paging.shown(project / "page.txt", str(project)) as url,
        browsing.visiting(browser, language=language) as visit,
    ):
        visit.open(url)
        if name == "sodai":
            visit.page.locator("#recommend-for input").click()
            visit.page.get_by_role("option").nth(1).click()
            visit.ask("recommend")
            visit.page.wait_for_selector("#recommended")
        else:
            visit.example(2)
            visit.ask()
            visit.page.wait_for_selector("#shares")
        visit.page.mouse.move(0, 0)
        path = IMAGES / f"gradio-{name}.png"
        visit.page.screenshot(path=path, full_page=True, animations="disabled")
        with Image.open(path) as drawn:
            drawn.convert("RGB").quantize(COLORS).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
