"""Cases made from the OpenAPI document of a real service: no failure of the server, no answer but as described."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support import fuzzing

if TYPE_CHECKING:
    from support.service import Service

EXAMPLES = int(os.environ.get("RELEVO_TEST_EXAMPLES", "10"))
"""Cases of each route beside those that cover its schema; ``scripts/fuzz --examples`` makes more."""


@pytest.mark.slow
def test_the_service_is_as_it_describes_itself(running: Service) -> None:
    done = fuzzing.by_document(running.url, EXAMPLES, seed=1)
    assert done.returncode == 0, done.stdout[-5000:]
    assert fuzzing.cases_of(done.stdout) > 200
