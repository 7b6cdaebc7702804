"""A person at a page: Debian's Chromium, driven by Playwright, which may ask nobody but this machine."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 90_000  # milliseconds


@dataclass
class Visit:
    """A page that is open. ``elsewhere`` has what it asked other machines for, ``said`` its scripts' errors."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        """Open the page and wait until its script has drawn it."""
        self.page.goto(url)
        self.drawn()

    def drawn(self) -> None:
        """Wait until the page's script has drawn it."""
        self.page.wait_for_selector("#version")
        self.page.wait_for_load_state("networkidle")

    def fill(self, number: int, text: str) -> None:
        """Write into a field, by its place."""
        field_ = self.page.locator(f"#field-{number}").locator("textarea, input").first
        field_.fill(text)
        field_.blur()

    def choose(self, number: int, text: str) -> None:
        """Choose of a field's list."""
        self.page.locator(f"#field-{number} input").click()
        self.page.get_by_role("option", name=text, exact=True).click()

    def example(self, number: int) -> None:
        """Take a predefined example, and wait until the first field has it."""
        with self.page.expect_response("**/run/predict") as waiting:
            self.page.click(f"#example-{number}")
        first = waiting.value.json()["data"][0]
        shown = "value => document.querySelector('#field-0 :is(textarea, input)').value == value"
        self.page.wait_for_function(shown, arg=first)

    def ask(self, button: str = "predict") -> None:
        """Press a button and wait for what it does."""
        with self.page.expect_response("**/run/predict"):
            self.page.click(f"#{button}")
        self.page.wait_for_load_state("networkidle")

    def text(self, place: str) -> str:
        """What stands at a place, by its id."""
        return self.page.inner_text(f"#{place}")

    def says(self, place: str, words: str) -> None:
        """Wait until these words stand at a place."""
        expect(self.page.locator(f"#{place}")).to_contain_text(words, timeout=PATIENCE)

    def tab(self, name: str) -> None:
        """Turn to a tab."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def score(self, file: Path) -> None:
        """Give a file and have it scored."""
        with self.page.expect_response("**/upload?*"):
            self.page.set_input_files("#upload input[type=file]", file)
        self.page.wait_for_selector("#upload .file-preview")
        self.page.wait_for_load_state("networkidle")
        self.ask("score")

    def download(self, folder: Path) -> Path:
        """Take the file of answers."""
        with self.page.expect_download() as waiting:
            self.page.click("#result a[download]")
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, *, language: str = "en-US", height: int = 900) -> Iterator[Visit]:
    """Visit pages as one person does; requests to other machines are noted and go nowhere."""
    context = browser.new_context(
        locale=language, viewport={"width": 1100, "height": height}, accept_downloads=True
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    visit = Visit(page)

    def pass_or_note(route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.hostname == "127.0.0.1":
            visit.asked.append(f"{route.request.method} {parts.path}")
            route.continue_()
        else:
            visit.elsewhere.append(route.request.url)
            route.abort()

    context.route(lambda url: not url.startswith(("data:", "blob:")), pass_or_note)
    page.on("console", lambda one: visit.said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: visit.said.append(str(error)))
    try:
        yield visit
    finally:
        context.close()
