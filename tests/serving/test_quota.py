"""How many workers: the operator's quota says it, never the machine's size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from relevo.serving import quota

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def unified(root: Path, folder: str, limit: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "cpu.max").write_text(f"{limit}\n")


def separate(root: Path, folder: str, quota_us: int, period_us: int = 100_000) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "cpu.cfs_quota_us").write_text(f"{quota_us}\n")
    (root / folder / "cpu.cfs_period_us").write_text(f"{period_us}\n")


@pytest.mark.parametrize(
    ("limit", "found"), [("200000 100000", 2.0), ("50000 100000", 0.5), ("max 100000", None), ("x", None)]
)
def test_version_2(tmp_path: Path, own: Path, limit: str, found: float | None) -> None:
    own.write_text("0::/app\n")
    unified(tmp_path, "app", limit)
    assert quota.processors(root=tmp_path, own=own) == found


def test_the_smallest_of_a_group_and_those_above_counts(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/slice/app\n")
    unified(tmp_path, "slice/app", "max 100000")
    unified(tmp_path, "slice", "150000 100000")
    unified(tmp_path, ".", "400000 100000")
    assert quota.processors(root=tmp_path, own=own) == 1.5


@pytest.mark.parametrize(("limit", "found"), [(300_000, 3.0), (-1, None)])
def test_version_1(tmp_path: Path, own: Path, limit: int, found: float | None) -> None:
    own.write_text("5:memory:/x\n3:cpu,cpuacct:/docker/1\n1:name=systemd:/\n0::/\n")
    separate(tmp_path, "cpu,cpuacct/docker/1", limit)
    assert quota.processors(root=tmp_path, own=own) == found


def test_version_1_seen_from_inside_a_container(tmp_path: Path, own: Path) -> None:
    """The path is the host's, but the container's own group is mounted in place of the root."""
    own.write_text("3:cpuacct,cpu:/docker/1\n")
    separate(tmp_path, "cpu", 250_000)
    assert quota.processors(root=tmp_path, own=own) == 2.5


def test_without_control_groups_there_is_no_quota(tmp_path: Path, own: Path) -> None:
    assert quota.processors(root=tmp_path, own=own) is None
    assert quota.workers(root=tmp_path, own=own) == 1


@pytest.mark.parametrize(("limit", "count"), [("190000 100000", 1), ("50000 100000", 1), ("max 100000", 1)])
def test_whole_processors_count_and_at_least_one(tmp_path: Path, own: Path, limit: str, count: int) -> None:
    own.write_text("0::/\n")
    unified(tmp_path, ".", limit)
    assert quota.workers(root=tmp_path, own=own) == count


def test_a_quota_beyond_the_processors_there_are_is_cut(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/\n")
    unified(tmp_path, ".", "100000000 100000")
    assert quota.workers(root=tmp_path, own=own) == len(os.sched_getaffinity(0))
