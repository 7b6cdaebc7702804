"""Mail against a real SMTP server."""

from __future__ import annotations

import socketserver
import threading
from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from relevo.channels import EmailChannel
from relevo.errors import DeliveryError
from relevo.notify import carry, messages
from support import times
from support.loopback import held_port
from support.mailing import PASSWORD, USER, Mailbox, settings, smtp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MESSAGE = {**messages.trial("vuelos año", "es"), "subject": "[flights] señal: «ñandú»\nBcc: eve@example.com"}
MESSAGE["subject"] = MESSAGE["subject"].replace("\n", " ")


def send(box: Mailbox, security: str = "starttls", message: Any = MESSAGE, **changes: Any) -> str:
    channel = EmailChannel.model_validate(settings(box, security, **changes))
    return carry("email.oncall", channel, message, "000000000001-abc")


def refusal(box: Mailbox, security: str = "starttls", **changes: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        send(box, security, **changes)
    said = f"{error.value!r} {error.value.__cause__!r} {error.value.__context__ if error.value.__cause__ else ''}"
    plain = b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    assert PASSWORD not in said
    assert plain not in said
    return error.value


@contextmanager
def talking(talk: Callable[[Any], None]) -> Iterator[Mailbox]:
    """A server that speaks to each caller as ``talk`` does, and not as SMTP wants."""

    class Caller(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                talk(self)
            except OSError:
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Caller) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Mailbox(int(server.server_address[1]))
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_a_mail_arrives_encrypted_after_a_login(tmp_path: Path, security: str) -> None:
    with smtp(tmp_path, security) as box:
        assert send(box, security, to=["a@example.com", "b@example.com"]) == ""
    (mail,) = box.mails
    assert (box.encrypted, box.logged_in) == ([True], [True])
    assert box.recipients == [["a@example.com", "b@example.com"]]
    assert (mail["From"], mail["To"]) == ("relevo@example.com", "a@example.com, b@example.com")
    assert mail["Subject"] == MESSAGE["subject"]
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == "<000000000001-abc@example.com>"
    assert (mail["Relevo-Delivery"], mail["Auto-Submitted"]) == ("000000000001-abc", "auto-generated")
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().strip() == MESSAGE["text"].strip()
    assert html.get_content().strip() == MESSAGE["html"].strip()


def test_a_relay_of_this_machine_needs_no_login(tmp_path: Path) -> None:
    with smtp(tmp_path, "none") as box:
        send(box, "none")
    assert (len(box.mails), box.logged_in) == (1, [False])


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    with smtp(tmp_path) as box:
        send(box, password=None, password_file=tmp_path / "password")
        assert len(box.mails) == 1
        with pytest.raises(DeliveryError, match=r"its password cannot be read from .*absent: No such file"):
            send(box, password=None, password_file=tmp_path / "absent")
        (tmp_path / "password").write_text(" \n")
        with pytest.raises(DeliveryError, match=r"its password in .* is empty"):
            send(box, password=None, password_file=tmp_path / "password")
        with pytest.raises(DeliveryError, match="RELEVO_ALERTS__EMAIL__ONCALL__PASSWORD"):
            send(box, password=None)
    assert len(box.mails) == 1


def test_a_wrong_password_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with smtp(tmp_path) as box:
        error = refusal(box, user="eve")
    assert str(error) == f"127.0.0.1:{box.port} refuses the user or the password (535 5.7.8)."
    assert not error.refused, "somebody may mend it"


def test_a_certificate_of_nobody_known_is_not_trusted(tmp_path: Path) -> None:
    with smtp(tmp_path) as box, pytest.raises(DeliveryError, match=r"certificate of .* is not trusted"):
        send(box, ca_file=None)
    assert box.mails == []


def test_a_certificate_of_another_host_is_not_trusted(tmp_path: Path) -> None:
    for security in ("starttls", "ssl"):
        with smtp(tmp_path, security, host="127.0.0.2") as box:
            assert "is not trusted" in str(refusal(box, security))
        assert box.mails == []


def test_without_starttls_nothing_is_sent(tmp_path: Path) -> None:
    with smtp(tmp_path, "none") as box:
        error = refusal(box, "starttls", ca_file=None)
    assert str(error) == f"127.0.0.1:{box.port} offers no STARTTLS; nothing was sent."


def test_some_recipients_refused_is_told_though_it_went_out(tmp_path: Path) -> None:
    with smtp(tmp_path) as box:
        box.refused = {"gone@example.com": "550 5.1.1 no such user"}
        said = send(box, to=["oncall@example.com", "gone@example.com"])
        assert said == f"127.0.0.1:{box.port} refuses 1 of 2 recipients (550 5.1.1)."
        assert box.recipients == [["oncall@example.com"]]
        error = refusal(box, to=["gone@example.com"])
    assert str(error).endswith("refuses all recipients (550 5.1.1).")


@pytest.mark.parametrize(
    ("answer", "refused", "said"),
    [
        ("552 5.3.4 too big", True, "refuses the message (552 5.3.4)"),
        ("451 4.7.1 greylisted", False, "refuses the message (451 4.7.1)"),
        ("554 hunter2", True, "refuses the message (554)"),
    ],
)
def test_what_is_refused_for_good_is_told_from_what_may_go_later(
    tmp_path: Path, answer: str, refused: bool, said: str
) -> None:
    with smtp(tmp_path) as box:
        box.answer = answer
        error = refusal(box)
    assert said in str(error)
    assert error.refused is refused


def test_a_server_that_repeats_what_it_was_sent_is_not_quoted() -> None:
    def talk(caller: Any) -> None:
        caller.wfile.write(b"220 hello\r\n")
        while line := caller.rfile.readline():
            if line.startswith(b"EHLO"):
                caller.wfile.write(b"250-me\r\n250 AUTH PLAIN LOGIN\r\n")
            else:
                caller.wfile.write(b"501 5.5.4 cannot parse " + line.strip() + b"\r\n")

    with talking(talk) as box:
        error = refusal(box, "none", user=USER, password=PASSWORD)
    assert "501 5.5.4" in str(error)


def test_nobody_there_is_told() -> None:
    with held_port() as port:
        error = refusal(Mailbox(port), "none")
    assert str(error) == f"127.0.0.1:{port} cannot be reached: Connection refused."


@pytest.mark.parametrize("how", ["silent", "dripping"])
def test_a_server_that_keeps_us_waiting_does_so_no_longer_than_the_timeout(how: str) -> None:
    over = threading.Event()

    def talk(caller: Any) -> None:
        while not over.wait(0.05):
            if how == "dripping":
                caller.wfile.write(b"2")

    def give_up() -> None:
        assert "does not answer in time" in str(refusal(box, "none", timeout=0.5))

    with talking(talk) as box:
        assert times.within(5, give_up)
        over.set()


def test_a_server_that_hangs_up_is_told() -> None:
    with talking(lambda caller: caller.wfile.write(b"220 hello\r\n")) as box:
        assert "hung up" in str(refusal(box, "none"))
