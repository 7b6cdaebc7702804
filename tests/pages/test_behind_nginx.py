"""The page behind nginx under a path, in a browser, with a key and in Spanish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo import keys
from support import browsing, paging, service
from support.nginx import NGINX, UNDER, proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from support.browsing import Visit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]
CSV = "Fecha-I,Des-I,Emp-I,TIPOVUELO\n2017-07-14 19:35:00,SCFA,SKU,N\n2017-07-14 19:35:00,SCFA,,N\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as running:
        yield running


def asked(visit: Visit, folder: Path) -> None:
    """A prediction, and a file in and out; every request stayed below the path, and on this machine."""
    visit.fill(0, "2017-07-14 19:35:00")
    visit.fill(2, "SCFA")
    visit.fill(3, "SKU")
    visit.choose(4, "N")
    visit.ask()
    visit.says("answer", "Respondió la versión 1.0.0.")
    visit.tab("Un archivo")
    file = folder / "vuelos.csv"
    file.write_text(CSV)
    visit.score(file)
    visit.says("scored", "2 filas, 1 de ellas rechazadas.")
    found = visit.download(folder)
    assert found.name == "vuelos-puntuado.csv"
    assert len(found.read_text().splitlines()) == 3
    assert (visit.elsewhere, visit.said) == ([], [])
    assert [one for one in visit.asked if f" {UNDER}/" not in one] == []


def test_the_page_of_a_service_that_wants_keys(browser: Browser, tmp_path: Path) -> None:
    """Under a path that nginx keeps, and under one that it takes away."""
    root = tmp_path / "served"
    made = service.workspace(root)
    record, text = keys.create("flights", "", ["predict"], who="test", expires=None)
    made.ledger.keys.add(record)
    running = service.start(root, "--gradio", "--root-path", UNDER)
    try:
        for place, tail in enumerate(("", "/")):
            with (
                proxy(tmp_path / f"nginx{place}", running.url, tail) as client,
                browsing.visiting(browser, language="es-CL") as visit,
            ):
                visit.page.goto(f"{client.base_url}gradio")
                visit.page.fill("input[type=password]", text)
                visit.page.click("button")
                visit.drawn()
                visit.said.clear()  # of the form itself, which is answered with 401
                asked(visit, tmp_path)
    finally:
        assert running.stop() == 0


def test_the_page_as_a_server_that_knows_of_no_path(browser: Browser, tmp_path: Path) -> None:
    """Addresses are relative: nginx takes its path away and nobody told the page."""
    service.workspace(tmp_path / "served")
    with (
        paging.shown(tmp_path / "page.txt", str(tmp_path / "served")) as address,
        proxy(tmp_path / "nginx", address, "/") as client,
        browsing.visiting(browser, language="es-CL") as visit,
    ):
        visit.open(str(client.base_url))
        asked(visit, tmp_path)
