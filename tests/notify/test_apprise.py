"""Apprise, through its json:// scheme, to a real HTTP server."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from relevo.channels import AppriseChannel
from relevo.errors import DeliveryError
from relevo.notify import carry, messages
from support import times
from support.loopback import answering, held_port, reply

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # a library that Apprise imports
MESSAGE = messages.trial("flights", "en")


def send(urls: str | None, **changes: Any) -> str:
    given = {"urls": urls, "timeout": 60, **changes}
    return carry("apprise.chat", AppriseChannel.model_validate(given), MESSAGE, "1-a")


def test_each_address_gets_the_message(tmp_path: Path) -> None:
    with answering(lambda _: reply(200)) as server:
        address = server.url.replace("http", "json")
        (tmp_path / "chat").write_text(
            f"# the chat\n{address}/one\n\n{address}/two?method=put {address}/three\n"
        )
        assert send(None, urls_file=tmp_path / "chat") == ""
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/one"),
        ("PUT", "/two"),
        ("POST", "/three"),
    ]
    body = json.loads(server.asked[0].body)
    assert (body["title"], body["message"].strip(), body["type"]) == (
        MESSAGE["subject"],
        MESSAGE["text"].strip(),
        "info",
    )


def test_what_fails_is_told_by_its_number_and_nothing_else(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        caplog.at_level(logging.DEBUG, "apprise"),
        answering(lambda asked: reply(200 if asked.path == "/good" else 500)) as server,
        held_port() as port,
    ):
        address = server.url.replace("http://", "json://user:hunter2@")
        nobody = f"json://user:hunter2@127.0.0.1:{port}/hunter2"
        with pytest.raises(DeliveryError) as error:
            send(f"{address}/good {address}/hunter2 {nobody}")
    assert str(error.value) == "2 of 3 addresses did not take it: 2 (json), 3 (json)."
    out, err = capfd.readouterr()
    assert "hunter2" not in caplog.text + out + err


@pytest.mark.parametrize("address", ["nonsense://hunter2", "json://", "hunter2"])
def test_what_apprise_does_not_know_is_told_without_repeating_it(address: str) -> None:
    with pytest.raises(DeliveryError, match=r"address 1 .* is none that Apprise knows") as error:
        send(address)
    assert "hunter2" not in str(error.value)


def test_without_addresses_the_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="RELEVO_ALERTS__APPRISE__CHAT__URLS"):
        send(None)
    (tmp_path / "chat").write_text("# none\n")
    with pytest.raises(DeliveryError, match="it has no addresses"):
        send(None, urls_file=tmp_path / "chat")


def test_one_that_hangs_is_left_after_the_timeout() -> None:
    over = threading.Event()

    def hang(_: object) -> bytes:
        over.wait(600)
        return b""

    def give_up() -> None:
        with pytest.raises(DeliveryError, match="1 of 1 addresses"):
            send(server.url.replace("http", "json"), timeout=1)

    with answering(hang) as server:
        assert times.within(3.5, give_up)
        over.set()
