"""Register: give a package its version number and enter it in the ledger, accepted or refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo.contract import breaking_changes
from relevo.errors import LedgerError, PackageError
from relevo.package import manifest as manifests
from relevo.records import ModelVersion, now
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.contract import Contract
    from relevo.package.manifest import Manifest
    from relevo.records import Verdict
    from relevo.workspace import Workspace

FIRST = "1.0.0"


def next_version(previous: str | None, old: Manifest | None, new: Manifest) -> tuple[str, str]:
    """Return the version that follows ``previous``, and a sentence that says why it rose as it did.

    Major: a request or an answer that was fine is no longer. Minor: the features, the algorithm or,
    compatibly, the request changed. Patch: only data or settings did. ``old`` is None when the package of
    ``previous`` is no longer there; what changed cannot be known then, and the version rises as if
    everything had.

    ``previous`` is the newest version registered, refused ones included: a number then never stands for
    two packages, and no number is smaller than the one before. A refused version in between can only make
    a number rise more than clients needed.
    """
    if previous is None:
        return FIRST, t("The first version.")
    major, minor, patch = _numbers(previous)
    if old is None:
        return f"{major + 1}.0.0", t(
            "Major: the package of {version} is gone, so what changed is not known.", version=previous
        )
    broken = breaking_changes(old.request, new.request) + _answers(old, new)
    if broken:
        return f"{major + 1}.0.0", t("Major: {changes}.", changes="; ".join(broken))
    changed = _changes(old, new)
    if changed:
        return f"{major}.{minor + 1}.0", t("Minor: {changes}.", changes="; ".join(changed))
    why = t("Patch: nothing changed.") if old == new else t("Patch: new data or settings only.")
    return f"{major}.{minor}.{patch + 1}", why


def register(workspace: Workspace, package: Path, *, verdict: Verdict, run: str) -> ModelVersion:
    """Store a package's folder and register it; the same package judged alike again has its version already.

    A package that was refused and is now accepted, or the other way round, gets a number of its own: what
    is recorded of the earlier one stays true. Raises ``PackageError`` when the folder is not a whole package.
    """
    try:
        raw = (package / "manifest.json").read_bytes()
    except OSError as error:
        raise PackageError(
            t("{folder}: is not a package: {error!r}.", folder=package, error=error)
        ) from error
    manifest = _parse(raw)
    digest = digests.of_bytes(raw)
    workspace.blobs.put_folder(package, digest)
    ledger, project = workspace.ledger, manifest.project
    status = "accepted" if verdict.accepted else "refused"
    known = ledger.versions(project)
    same = [version for version in known if version.digest == digest]
    for version in same:
        if version.status == status:
            return version
    number, change = _next(workspace, known[0] if known else None, manifest)
    if same:
        change += " " + t("It is the package of {version}, judged anew.", version=same[0].version)
    version = ModelVersion(
        project=project,
        version=number,
        digest=digest,
        run=run,
        status=status,
        algorithm=manifest.algorithm,
        metrics=manifest.metrics,
        verdict=verdict,
        change=change,
        created_at=now(),
    )
    return _add(workspace, version)


def _next(workspace: Workspace, newest: ModelVersion | None, manifest: Manifest) -> tuple[str, str]:
    if newest is None:
        return next_version(None, None, manifest)
    return next_version(newest.version, _stored(workspace, newest.digest), manifest)


def _add(workspace: Workspace, version: ModelVersion) -> ModelVersion:
    ledger, project = workspace.ledger, version.project
    try:
        ledger.add_version(version)
    except LedgerError:
        for known in ledger.versions(project):
            if (known.digest, known.status) == (version.digest, version.status):
                return known  # another process registered the same package meanwhile
        raise
    return ledger.version(project, version.version) or version


def _stored(workspace: Workspace, digest: str) -> Manifest | None:
    """Read the manifest of a stored package; None when it is gone or altered."""
    try:
        return _parse((workspace.blobs.folder(digest) / "manifest.json").read_bytes())
    except (PackageError, OSError):
        return None


def _parse(raw: bytes) -> Manifest:
    try:
        return manifests.parse(json.loads(raw))
    except ValueError as error:
        raise PackageError(t("manifest.json is not JSON: {error}.", error=error)) from error


def _numbers(version: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version)
    if not found:
        raise LedgerError(t("“{version}” is not a version such as 1.2.0.", version=version))
    return int(found[1]), int(found[2]), int(found[3])


def _answers(old: Manifest, new: Manifest) -> list[str]:
    """What a client that reads the answer's label would trip over."""
    pairs = ((old.positive, new.positive), (old.negative, new.negative))
    return [
        t("the label “{old}” is now “{new}”", old=before, new=after)
        for before, after in pairs
        if before != after
    ]


def _changes(old: Manifest, new: Manifest) -> list[str]:
    found = []
    if old.algorithm != new.algorithm:
        found.append(t("the algorithm was {old} and is now {new}", old=old.algorithm, new=new.algorithm))
    before, after = {e.feature for e in old.encoders}, {e.feature for e in new.encoders}
    found += [t("the feature {feature} is new", feature=name) for name in sorted(after - before)]
    found += [t("the feature {feature} is gone", feature=name) for name in sorted(before - after)]
    if before == after and _features(old) != _features(new):
        found.append(t("the features are computed differently"))
    if _shape(old.request) != _shape(new.request):
        found.append(t("the request changed, and what was accepted still is"))
    return found


def _features(manifest: Manifest) -> tuple[Any, ...]:
    """How features come about: SQL, order, types and kinds of encoding, but no value learned from data."""
    kinds = [(e.feature, e.type, e.levels is not None) for e in manifest.encoders]
    return manifest.sql, kinds


def _shape(request: Contract) -> Any:
    """The request without what only explains it."""
    data = request.to_json()
    silent = ("description", "examples")
    fields = [{k: v for k, v in field.items() if k not in silent} for field in data["fields"]]
    return {**data, "name": "", "fields": fields}
