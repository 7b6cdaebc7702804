"""What the page is made of, without a service."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from relevo.errors import ServiceError
from relevo.gradio import plain
from relevo.gradio.origins import Remote
from relevo.gradio.page import AGE, Page
from relevo.gradio.widgets import literal
from support.loopback import answering, reply

if TYPE_CHECKING:
    from pathlib import Path

LOW, GRAVE, STAR = (
    "\N{MODIFIER LETTER LOW MACRON}",
    "\N{MODIFIER LETTER GRAVE ACCENT}",
    "\N{ASTERISK OPERATOR}",
)


@pytest.mark.parametrize(
    "cookies",
    ["relevo-key=abc", 'prefs={"a":1}; relevo-key=abc', "x; relevo-key=abc", 'a[b]=1; relevo-key="abc"'],
)
def test_other_cookies_do_not_hide_the_key(cookies: str) -> None:
    assert plain.key([(b"cookie", cookies.encode())]) == "abc"


def test_no_key_is_read_out_of_another_cookie() -> None:
    assert plain.key([(b"cookie", b"not-relevo-key=abc; other=relevo-key=abc")]) == ""


@pytest.mark.parametrize(
    ("scheme", "headers", "secure"),
    [
        ("http", [], False),
        ("https", [], True),
        ("http", [(b"x-forwarded-proto", b"https")], True),
        ("http", [(b"origin", b"https://models.example.org")], True),
        ("http", [(b"origin", b"http://models.example.org")], False),
    ],
)
def test_a_key_given_by_https_travels_by_https_alone(
    scheme: str, headers: list[tuple[bytes, bytes]], secure: bool
) -> None:
    _, made = plain.cookie("abc", {"type": "http", "scheme": scheme, "headers": headers})
    assert (b"Secure" in made) is secure
    assert b"HttpOnly" in made


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the passenger_count of flight_no", "the passenger_count of flight_no"),
        ("_id_ of `this`", f"{LOW}id{LOW} of {GRAVE}this{GRAVE}"),
        ("__name__", f"{LOW * 2}name{LOW * 2}"),
        ("[A-Z]*[0-9]*", f"[A-Z]{STAR}[0-9]{STAR}"),
        (r"^[A-Z](\d{3})$", "^[A-Z]\N{WORD JOINER}(\\d{3})$"),
    ],
)
def test_a_description_is_shown_as_it_is(text: str, shown: str) -> None:
    assert literal(text) == shown


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_proxys_word_admits_nobody(status: int) -> None:
    """Nor that of a service that is too busy to look at the key."""
    with answering(lambda _: reply(status)) as other, pytest.raises(ServiceError):
        asyncio.run(Remote(other.url, "", shared=False).refusal("key"))


@pytest.mark.parametrize(("status", "kind"), [(401, "bad-key"), (403, "scope"), (422, ""), (404, "")])
def test_the_services_own_word_counts(status: int, kind: str) -> None:
    with answering(lambda _: reply(status)) as other:
        refused = asyncio.run(Remote(other.url, "", shared=False).refusal("key"))
    assert (refused.kind if refused else "") == kind


def test_who_may_ask_is_admitted_while_no_version_answers() -> None:
    """The service looks at the key first, so this refusal is not one of the key's; that of a full disk is no word."""
    said = {"type": "/models/flights/docs#no-model", "title": "There is no model to answer with."}
    with answering(lambda _: reply(503, said)) as other:
        assert asyncio.run(Remote(other.url, "", shared=False).refusal("key")) is None
    with (
        answering(lambda _: reply(503, said | {"type": "/docs#not-logged"})) as other,
        pytest.raises(ServiceError),
    ):
        asyncio.run(Remote(other.url, "", shared=False).refusal("key"))


def test_what_was_given_long_ago_is_deleted_also_what_broke_off() -> None:
    page = Page(Remote("http://127.0.0.1:9", "", shared=False), prefix="/gradio", max_upload=1)
    given = page.folder / "0123" / "a.csv"
    given.parent.mkdir()
    begun, new = page.folder / "tmpabc", page.folder / "tmpdef"
    for path in (given, begun, new):
        path.write_text("1")
    for path in (given.parent, begun):
        _age(path)
    page._clear()
    assert list(page.folder.iterdir()) == [new]
    page._end(os.getpid())


def _age(path: Path) -> None:
    then = time.time() - AGE - 1
    os.utime(path, (then, then))
