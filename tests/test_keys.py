from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from relevo import keys

if TYPE_CHECKING:
    from relevo.records import ApiKey


def make(**options: object) -> tuple[ApiKey, str]:
    values: dict[str, object] = {"who": "test", "expires": timedelta(days=90)}
    return keys.create("flights", "ana", ["read", "predict", "read"], **{**values, **options})  # type: ignore[arg-type]


def test_a_key_is_known_by_its_secret_alone() -> None:
    key, text = make()
    parts = keys.split(text)
    assert parts is not None
    identity, secret = parts
    assert identity == key.id
    assert keys.matches(key, secret)
    other = make()[1].rpartition("_")[2]
    assert not keys.matches(key, secret[:-1] + ("A" if secret[-1] != "A" else "B"))
    assert not keys.matches(key, other)


def test_what_is_kept_holds_no_part_of_the_secret() -> None:
    key, text = make()
    secret = text.split("_", 2)[2]
    assert secret not in repr(key)
    assert secret.encode().hex() not in repr(key)
    assert key.scopes == ("predict", "read")


def test_two_keys_with_one_secret_have_different_digests() -> None:
    """A salt of its own for each: equal digests would betray equal secrets."""
    assert make()[0].salt != make()[0].salt


def test_a_key_expires_when_it_says() -> None:
    key, _ = make(expires=timedelta(days=90))
    left = datetime.fromisoformat(key.expires_at) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    assert make(expires=None)[0].expires_at == ""


def test_what_is_no_key_is_told_at_once() -> None:
    _, text = make()
    for wrong in (
        "",
        "rlv_",
        text[1:],
        text + "x",
        text.upper(),
        text.replace("_", "-"),
        "eyJhbGciOiJub25lIn0.e30.",
    ):
        assert keys.split(wrong) is None
