"""One MLflow server for all tests of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.mlflows import MlflowServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    found = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    yield found
    found.stop()
