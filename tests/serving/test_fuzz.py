"""Bodies that nobody should send are refused, never a failure; ``scripts/fuzz`` asks far more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import asgi, fuzzing

if TYPE_CHECKING:
    from pathlib import Path


def test_hostile_bodies_are_answered_or_refused(tmp_path: Path) -> None:
    with asgi.asking(tmp_path) as ask:
        for case in fuzzing.VALID:
            heard = ask("POST", case.path, case.body, {"content-type": case.kind, "accept": "application/*"})
            assert heard.status == 200, case
        assert fuzzing.run(ask, 600) >= 600
