"""Writes a package's folder; the manifest last, since it holds the digest of everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import __version__
from relevo import digest as digests
from relevo.package import values
from relevo.package.manifest import FORMAT, Manifest
from relevo.package.model import BACKGROUND, GOLDEN, MANIFEST, MODEL, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from relevo.contract import Contract
    from relevo.encoding import Encoder


def lookup_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows of a look-up (key first, then columns) as JSON lines in key order."""
    return b"".join(
        sorted(digests.canonical([values.to_json(value) for value in row]) + b"\n" for row in rows)
    )


def write(
    folder: Path,
    *,
    project: str,
    algorithm: str,
    settings: Mapping[str, Any],
    request: Contract,
    sql: str,
    tree: Mapping[str, Any],
    encoders: Sequence[Encoder],
    model: bytes,
    lookups: Mapping[str, tuple[Mapping[str, Any], bytes]],
    labels: tuple[str, str],
    calibration: Mapping[str, float],
    threshold: float,
    metric: str,
    metrics: Mapping[str, Any],
    data: Mapping[str, Any],
    libraries: Mapping[str, str],
    histories: Sequence[Mapping[str, Any]] = (),
    nulls: Sequence[str] = (),
    naive: str | None = None,
    decision: Mapping[str, Any] | None = None,
    recommend: Mapping[str, Any] | None = None,
    reference: Mapping[str, Any] | None = None,
    golden: Sequence[Mapping[str, Any]] = (),
    background: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write a package into an empty folder and return its digest, the SHA-256 of the manifest.

    ``labels`` are (negative, positive). ``lookups`` maps a name to its description (``key``, ``columns``
    with the key's first, ``types``) and its lines; ``histories``, ``nulls``, ``naive``, ``decision`` and
    ``recommend`` are the manifest's entries; ``background`` are requests by alias. Nothing that differs
    between two makings of the same model, such as a time or a path, goes in.
    """
    contents = {MODEL: model}
    described = []
    for name, (description, lines) in sorted(lookups.items()):
        file = f"lookups/{name}.jsonl"
        contents[file] = lines
        described.append({"name": name, "file": file, **description})
    if reference is not None:
        contents[REFERENCE] = digests.canonical(reference)
    if golden:
        contents[GOLDEN] = b"".join(digests.canonical(row) + b"\n" for row in golden)
    if background:
        contents[BACKGROUND] = b"".join(digests.canonical(row) + b"\n" for row in background)
    for file, content in contents.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    manifest = Manifest(
        format=FORMAT,
        relevo=__version__,
        project=project,
        algorithm=algorithm,
        settings=settings,
        request=request,
        sql=sql,
        tree=tree,
        encoders=tuple(encoders),
        lookups=tuple(described),
        histories=tuple(histories),
        nulls=tuple(nulls),
        naive=naive,
        decision=decision or {"rule": "best_threshold"},
        recommend=recommend,
        negative=labels[0],
        positive=labels[1],
        calibration=calibration,
        threshold=threshold,
        metric=metric,
        metrics=metrics,
        data=data,
        libraries=libraries,
        files={
            name: {"bytes": len(c), "sha256": digests.of_bytes(c)} for name, c in sorted(contents.items())
        },
    )
    raw = digests.canonical(manifest.to_json())
    (folder / MANIFEST).write_bytes(raw)
    return digests.of_bytes(raw)
