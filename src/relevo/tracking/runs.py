"""Telling MLflow of a run. Whatever is sent twice ends up once.

An MLflow run is known by two tags, and looked for before it is made; parameters, tags and figures are the same each
time, times included, so MLflow takes them as what it has. It lets no parameter be changed: where steps were done again
and came out otherwise, a new run takes the place of the earlier one, which is deleted. Should two have been made of one
all the same, since an answer was lost or two senders worked at once, one of them is deleted by whoever comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import disk
from relevo.tracking.documents import NAME, PARENT, PART, RUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relevo.tracking.documents import Document, Metric
    from relevo.tracking.session import Session

_PARAMS, _METRICS, _TAGS = 100, 1000, 100
"""The most of each that MLflow takes in one batch."""
_LONGEST = 5000  # characters of a tag or parameter
_ALL = 3  # ViewType.ALL: deleted ones too, which are not made again


def send(session: Session, run: str, document: Document) -> str:
    """Make MLflow hold a run and its parts; returns its id there."""
    there = _there(session, run)
    return _send(session, document, there, parent="")


def _there(session: Session, run: str) -> dict[str, Any]:
    """What MLflow has of a run, by part; of several of one part the others are deleted."""
    found: dict[str, Any] = {}
    wanted = f"tags.`{RUN}` = '{run}'"
    for one in session.mlflow.pages(
        "search_runs", [session.experiment], wanted, run_view_type=_ALL, max_results=1000
    ):
        part = one.data.tags.get(PART, "")
        first = found.get(part)
        if first is None:
            found[part] = one
            continue
        kept, other = sorted((first, one), key=lambda r: (r.info.lifecycle_stage != "active", r.info.run_id))
        found[part] = kept
        if other.info.lifecycle_stage == "active":
            session.mlflow.call("delete_run", other.info.run_id)
    return found


def _send(session: Session, document: Document, there: dict[str, Any], parent: str) -> str:
    session.beat()
    mlflow = session.mlflow
    tags = {**document.tags, NAME: document.name, **({PARENT: parent} if parent else {})}
    tags = {key: value[:_LONGEST] for key, value in tags.items()}
    params = {key: value[:_LONGEST] for key, value in document.params.items()}
    before = there.get(document.part)
    outdated = before if before is not None and _contradicts(before, params) else None
    if before is None or outdated is not None:
        made = mlflow.call(
            "create_run", session.experiment, start_time=document.started, tags=tags, run_name=document.name
        )
        identity, status = str(made.info.run_id), "RUNNING"
        if outdated is not None:
            mlflow.call("delete_run", outdated.info.run_id)
            before = None
    else:
        identity, status = str(before.info.run_id), str(before.info.status)
        if before.info.lifecycle_stage != "active":  # somebody deleted it there: it stays so
            return identity
    for batch in _batches(mlflow.entities, params, document.metrics, tags if before is not None else {}):
        mlflow.call("log_batch", identity, **batch)
    _upload(session, identity, document)
    for child in document.children:
        _send(session, child, there, identity)
    if document.ended is not None:
        mlflow.call("set_terminated", identity, document.status, document.ended)
    elif status != document.status:
        mlflow.call("update_run", identity, status=document.status)
    return identity


def _contradicts(there: Any, params: Mapping[str, str]) -> bool:
    """Whether MLflow has a run, not deleted, with other values of parameters: it lets none be changed."""
    known = there.data.params
    return there.info.lifecycle_stage == "active" and any(
        known.get(key, value) != value for key, value in params.items()
    )


def _batches(
    entities: Any, values: Mapping[str, str], figures: Sequence[Metric], tags: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    params = [entities.Param(key, value) for key, value in values.items()]
    metrics = [entities.Metric(one.name, one.value, one.at, one.step) for one in figures]
    said = [entities.RunTag(key, value) for key, value in tags.items()]
    while params or metrics or said:
        room = min(_METRICS, 1000 - min(len(params), _PARAMS) - min(len(said), _TAGS))
        yield {"params": params[:_PARAMS], "metrics": metrics[:room], "tags": said[:_TAGS]}
        params, metrics, said = params[_PARAMS:], metrics[room:], said[_TAGS:]


def _upload(session: Session, identity: str, document: Document) -> None:
    if not document.files:
        return
    with session.workspace.scratch() as place:
        with disk.explained(place):
            for name, text in document.files.items():
                path = place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        size = sum(len(text) for text in document.files.values())
        session.mlflow.call("log_artifacts", identity, str(place), size=size)
