"""Answering reports to nobody."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support import small

if TYPE_CHECKING:
    from pathlib import Path

LOADED = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from relevo.package import ModelPackage
ModelPackage.load(sys.argv[1])
print(len(os.listdir("/proc/self/task")))
"""


def test_a_loaded_package_has_no_thread_that_could_report(tmp_path: Path) -> None:
    small.write(tmp_path / "package")
    command = [sys.executable, "-c", LOADED, str(tmp_path / "package")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
