"""Signed webhooks against a real HTTP server, checked by the code in the documentation."""

from __future__ import annotations

import re
import socketserver
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relevo.channels import WebhookChannel
from relevo.errors import DeliveryError
from relevo.notify import carry, messages
from support import times
from support.loopback import Asked, Server, answering, held_port, reply
from support.tls import certificate

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "correct-horse-battery-staple"  # noqa: S105 - made for the test
MESSAGE = messages.trial("vuelos «ñandú»", "es")
PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"


def documented() -> Callable[..., Any]:
    """The receiver's code, as it stands in the documentation."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)  # noqa: S102 - our own page
    found: Callable[..., Any] = names["message_of"]
    return found


def send(url: str, identity: str = "000000000001-abc", **changes: Any) -> str:
    given = {"url": url, "secret": SECRET, "timeout": 60, **changes}
    return carry("webhooks.ops", WebhookChannel.model_validate(given), MESSAGE, identity)


def refusal(url: str, **changes: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        send(url, **changes)
    said = repr(error.value) + repr(error.value.__cause__)
    assert SECRET not in said
    assert "token" not in said
    return error.value


def headers(asked: Asked) -> dict[str, str]:
    return {name.title(): value for name, value in asked.headers.items()}


class TestReceiver:
    """What the documentation says a receiver should do."""

    def test_it_takes_what_is_signed_once(self) -> None:
        message_of, seen = documented(), set[str]()
        with answering(lambda _: reply(204)) as server:
            assert send(f"{server.url}/hook?token=1") == ""
            send(f"{server.url}/hook?token=1")
        one, again = server.asked
        found = message_of(headers(one), one.body, SECRET, seen)
        assert {name: found[name] for name in ("id", "version", "kind", "project", "alerts")} == {
            "id": "000000000001-abc",
            "version": 1,
            "kind": "test",
            "project": "vuelos «ñandú»",
            "alerts": [],
        }
        assert "html" not in found
        assert (one.method, one.path) == ("POST", "/hook?token=1")
        assert one.headers["relevo-delivery"] == found["id"]
        assert message_of(headers(again), again.body, SECRET, seen) is None

    def test_it_refuses_another_secret_another_body_and_another_time(self) -> None:
        message_of = documented()
        with answering(lambda _: reply(200)) as server:
            send(server.url)
        (one,) = server.asked
        later = str(int(one.headers["relevo-timestamp"]) + 1)
        for given, body, secret in (
            (headers(one), one.body, SECRET + "x"),
            (headers(one), one.body.replace(b"test", b"tost"), SECRET),
            ({**headers(one), "Relevo-Timestamp": later}, one.body, SECRET),
        ):
            with pytest.raises(ValueError, match="not signed"):
                message_of(given, body, secret, set())

    def test_it_refuses_what_is_sent_again_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        message_of = documented()
        with answering(lambda _: reply(200)) as server:
            send(server.url)
        (one,) = server.asked
        now = time.time()
        for seconds in (301, -301):
            monkeypatch.setattr(time, "time", lambda seconds=seconds: now + seconds)
            with pytest.raises(ValueError, match="too old, or from the future"):
                message_of(headers(one), one.body, SECRET, set())


class TestRefusals:
    """What goes wrong, told without the URL's path and without secrets."""

    @pytest.mark.parametrize(
        ("status", "refused"),
        [(500, False), (503, False), (404, False), (401, False), (400, True), (422, True)],
    )
    def test_a_status_that_is_none_of_success_is_told(self, status: int, refused: bool) -> None:
        with answering(lambda _: reply(status, {"secret": SECRET})) as server:
            error = refusal(f"{server.url}/token")
        assert str(error) == f"{server.url[7:]} answers {status}."
        assert (error.refused, error.wait) == (refused, 0)

    def test_a_wait_that_is_asked_for_is_passed_on(self) -> None:
        with answering(lambda _: reply(429, retry_after="120")) as server:
            assert refusal(server.url).wait == 120

    def test_a_redirect_is_not_followed(self) -> None:
        with (
            answering(lambda _: reply(200)) as other,
            answering(lambda _: reply(307, location=f"{other.url}/token")) as server,
        ):
            error = refusal(server.url)
        assert "redirects (307), which is not followed" in str(error)
        assert other.asked == []

    @pytest.mark.parametrize("header", [b"", b"X-A: b\r\n"])
    def test_one_that_hangs_or_drips_is_left_after_the_timeout(self, header: bytes) -> None:
        over = threading.Event()

        class Waiting(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not over.wait(0.05):
                        self.wfile.write(header)
                except OSError:
                    return

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Waiting) as server:
            server.daemon_threads, server.block_on_close = True, False
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()

            def give_up() -> None:
                error = refusal(f"http://127.0.0.1:{server.server_address[1]}", timeout=0.5)
                assert "does not answer in time" in str(error)

            assert times.within(5, give_up)
            over.set()
            server.shutdown()
            thread.join()

    @pytest.mark.parametrize("answer", [None, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n"])
    def test_what_is_no_answer_of_http_is_told(self, answer: bytes | None) -> None:
        with answering(lambda _: answer) as server:
            error = refusal(server.url)
        assert "gives no answer of HTTP" in str(error) or "does not answer" in str(error)

    def test_nobody_there_is_told(self) -> None:
        with held_port() as port:
            error = refusal(f"http://127.0.0.1:{port}/token")
        assert "cannot be reached: Connection refused." in str(error)

    def test_a_secret_is_needed_and_long_enough(self, tmp_path: Path) -> None:
        with answering(lambda _: reply(200)) as server:
            with pytest.raises(DeliveryError, match="RELEVO_ALERTS__WEBHOOKS__OPS__SECRET"):
                send(server.url, secret=None)
            assert "shorter than 16 characters" in str(refusal(server.url, secret="s" * 15))
            (tmp_path / "secret").write_text(SECRET)
            send(server.url, secret=None, secret_file=tmp_path / "secret")
        assert len(server.asked) == 1


def test_https_is_trusted_by_the_authorities_that_are_named(tmp_path: Path) -> None:
    ca, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, key)

    class Secure(Server):
        def get_request(self) -> Any:
            connection, address = super().get_request()
            return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    with Secure(lambda _: reply(200)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = server.found.url.replace("http:", "https:")
        assert send(url, ca_file=ca) == ""
        error = refusal(url)
        other, _ = certificate(tmp_path, "other")
        assert "is not trusted" in str(refusal(url, ca_file=other))
        server.shutdown()
        thread.join()
    assert "is not trusted: self-signed certificate" in str(error)
    assert len(server.found.asked) == 1
