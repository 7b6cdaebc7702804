"""Background rows: data of the package like all else, checked before anything is compared with them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from relevo import digest as digests
from relevo import explain, pack
from relevo.asof import Asked
from relevo.errors import PackageError
from relevo.package import ModelPackage
from relevo.package.model import MAX_BACKGROUND
from support import small

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 12


def requests() -> list[dict[str, Any]]:
    rng = random.Random(1)
    return [small.request(rng) for _ in range(ROWS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package with golden and with background rows."""
    small.write(tmp_path / "draft")
    draft = ModelPackage.load(tmp_path / "draft")
    golden = pack.golden_rows(draft, [Asked(request) for request in requests()[:4]])
    small.write(tmp_path / "p", golden=golden, background=pack.background_rows(draft, requests()))
    return tmp_path / "p"


def alter(folder: Path, lines: list[bytes]) -> None:
    """Write other rows, with their digest, as someone would who can write files."""
    content = b"".join(line + b"\n" for line in lines)
    (folder / "background.jsonl").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["background.jsonl"] = {"bytes": len(content), "sha256": digests.of_bytes(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def lines(folder: Path) -> list[bytes]:
    return (folder / "background.jsonl").read_bytes().splitlines()


def test_the_rows_are_requests_as_validated(folder: Path) -> None:
    assert list(ModelPackage.load(folder).background) == requests()
    assert [json.loads(line) for line in lines(folder)] == [small.body(request) for request in requests()]


def test_what_no_client_could_ask_is_left_out(folder: Path) -> None:
    package = ModelPackage.load(folder)
    asked = [{**requests()[0], "destination": "nowhere"}, requests()[1]]
    assert pack.background_rows(package, asked) == [small.body(requests()[1])]


@pytest.mark.parametrize("harm", ["truncated", "absent", "altered"])
def test_a_harmed_file_is_refused(folder: Path, harm: str) -> None:
    path = folder / "background.jsonl"
    content = path.read_bytes()
    if harm == "absent":
        path.unlink()
    else:
        path.write_bytes(content[:-9] if harm == "truncated" else content.replace(b"SCFA", b"SCFB"))
    with pytest.raises(PackageError, match=r"background\.jsonl"):
        ModelPackage.load(folder)


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b"7", b"null", b'{"Fecha-I":"2017-01-01"}', b"{", b'{"request":{}}', b"\xff"]
)
def test_a_row_that_breaks_the_contract_is_refused_by_its_number(folder: Path, line: bytes) -> None:
    alter(folder, [*lines(folder)[:2], line])
    with pytest.raises(PackageError, match=r"background\.jsonl") as told:
        ModelPackage.load(folder)
    assert "row 3" in str(told.value) or "not JSON" in str(told.value)


def test_more_rows_than_anyone_needs_are_refused(folder: Path) -> None:
    alter(folder, lines(folder)[:1] * (MAX_BACKGROUND + 1))
    with pytest.raises(PackageError, match="more than 1000 rows"):
        ModelPackage.load(folder)


@pytest.mark.parametrize("number", [1, 2])
def test_earlier_formats_stay_readable_and_compare_with_golden_rows(folder: Path, number: int) -> None:
    """Format 2 had no background; format 1 said nothing of histories, nulls, decisions and recommendations either."""
    (folder / "background.jsonl").unlink()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    del manifest["files"]["background.jsonl"]
    manifest["format"] = number
    if number == 1:
        for entry in ("histories", "nulls", "naive", "decision", "recommend"):
            del manifest[entry]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    package = ModelPackage.load(folder)
    assert list(package.background) == requests()[:4]
    assert explain(package, small.body(requests()[5])).rows == 4


def test_a_unit_that_is_no_text_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["request"]["fields"][0]["unit"] = 7
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(PackageError, match="request"):
        ModelPackage.load(folder)
