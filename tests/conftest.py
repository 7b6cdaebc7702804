"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from support import project

if TYPE_CHECKING:
    from pathlib import Path

# How fast the machine is, and which examples chance draws, fails no test.
settings.register_profile(
    "relevo", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("relevo")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a released version, to look at only; all test processes share it."""
    base = tmp_path_factory.getbasetemp()
    return project.released(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture
def released(original: Path, tmp_path: Path) -> Path:
    """A project with a released version, to change at will."""
    return project.copy(original, tmp_path / "flights")
