"""A service that tests may ask but not change; the others start their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import service

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    """One service for all tests that only ask."""
    root = tmp_path_factory.mktemp("served")
    service.workspace(root)
    started = service.start(root, variables=service.UNCOLLECTED)
    yield started
    assert started.stop() == 0
