"""Telling MLflow of a version: its package as a logged model, and that as a version of the registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import disk
from relevo.texts import t
from relevo.tracking import mlmodel
from relevo.tracking.session import DIGEST_TAG, LEDGER_TAG, PROJECT_TAG, RUN, VERSION_TAG

if TYPE_CHECKING:
    from relevo.records import ModelVersion, Release
    from relevo.tracking.session import Session

_READY = "READY"
_TAG = 2000  # characters of a tag


def send(session: Session, version: ModelVersion) -> tuple[str, str]:
    """Make MLflow hold a version; returns its number there, and the logged model's id."""
    session.registered(make=True)
    there = _registered(session, version)
    if there is not None:
        return str(there.version), str(dict(there.tags).get("relevo.model", ""))
    mlflow, run = session.mlflow, session.known.get((RUN, version.run))
    model = _logged(session, version, run.remote if run else "")
    session.beat()
    made = mlflow.call(
        "create_model_version",
        session.model,
        f"models:/{model}",
        run_id=run.remote if run else None,
        tags={**tags(session, version), "relevo.model": model},
        description=_described(version),
        await_creation_for=0,
        model_id=model,
    )
    return str(made.version), model


def tags(session: Session, version: ModelVersion) -> dict[str, str]:
    """What tells a version in MLflow from every other."""
    return {
        PROJECT_TAG: version.project,
        LEDGER_TAG: session.identity,
        VERSION_TAG: version.version,
        DIGEST_TAG: version.digest,
        "relevo.run": version.run,
        "relevo.decision": version.status,
        "relevo.algorithm": version.algorithm,
    }


def tell_release(session: Session, release: Release) -> None:
    """Add a release to the registered model's tags: who, when, from, to and why."""
    text = t(
        "{alias}: {previous} → {version} ({act}) at {time} by {who}. {why}",
        alias=release.alias,
        previous=release.previous or "-",
        version=release.version,
        act=release.act,
        time=release.released_at[:19],
        who=release.who or "-",
        why=release.why,
    )
    key = f"relevo.release.{release.number:06d}"
    session.mlflow.call("set_registered_model_tag", session.model, key, text.strip()[:_TAG])


def _described(version: ModelVersion) -> str:
    marks = [f"- {'✓' if reason.passed else '✗'} {reason.text}" for reason in version.verdict.reasons]
    head = f"{version.version} ({version.status}). {version.change}"
    return "\n".join([head, "", *marks])[:4000]


def _registered(session: Session, version: ModelVersion) -> Any | None:
    """The registered version, if an earlier attempt made it; of several the first is the one."""
    wanted = f"name = '{_quoted(session.model)}' and tags.`{VERSION_TAG}` = '{version.version}'"
    found = [
        one
        for one in session.mlflow.pages("search_model_versions", wanted)
        if dict(one.tags).get(DIGEST_TAG) == version.digest
    ]
    found.sort(key=lambda one: int(one.version))
    for other in found[1:]:
        session.mlflow.call("delete_model_version", session.model, other.version)
    return found[0] if found else None


def _logged(session: Session, version: ModelVersion, run: str) -> str:
    """The logged model, made and filled unless an earlier attempt did; returns its id."""
    mlflow = session.mlflow
    wanted = f"tags.`{VERSION_TAG}` = '{version.version}' and tags.`{DIGEST_TAG}` = '{version.digest}'"
    found = [
        one
        for one in mlflow.pages("search_logged_models", [session.experiment], wanted)
        if dict(one.tags).get(LEDGER_TAG) == session.identity
    ]
    found.sort(key=lambda one: (not _is_ready(one), one.model_id))
    for other in found[1:]:
        mlflow.call("delete_logged_model", other.model_id)
    if found and _is_ready(found[0]):
        return str(found[0].model_id)
    if not found:
        session.beat()
        found = [
            mlflow.call(
                "create_logged_model",
                session.experiment,
                name=_name(session.project),
                source_run_id=run or None,
                tags=tags(session, version),
                params={"algorithm": version.algorithm},
                model_type="classifier",
            )
        ]
    model = str(found[0].model_id)
    with session.workspace.scratch() as place:
        folder = place / "model"
        with disk.explained(folder):
            size = mlmodel.write(
                folder, session.workspace, version, model_id=model, run_id=run, mlflow=mlflow.version
            )
        session.beat()
        mlflow.call("log_model_artifacts", model, str(folder), size=size)
    mlflow.call("finalize_logged_model", model, _READY)
    return model


def _is_ready(model: Any) -> bool:
    return str(getattr(model.status, "value", model.status)) == _READY


def _name(project: str) -> str:
    """A logged model's name has none of the signs that MLflow's addresses are made of."""
    return "".join("_" if sign in "/:.%\"'" else sign for sign in project)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
