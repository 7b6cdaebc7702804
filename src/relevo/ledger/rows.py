"""Records to rows of the ledger, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from relevo import digest as digests
from relevo.errors import LedgerError
from relevo.records import (
    Alert,
    AlertEvent,
    ApiKey,
    Decision,
    Delivery,
    Job,
    Lease,
    Materialisation,
    Mirrored,
    ModelVersion,
    Reason,
    Release,
    Run,
    Snapshot,
    Step,
    Trial,
    Verdict,
    Window,
)
from relevo.texts import t

_JSON = {
    "plan", "output", "settings", "files", "reasons", "metrics", "verdict", "scopes",
    "figures", "findings", "evidence", "facts",
}  # fmt: skip
_Record = (
    Run | Step | Trial | Snapshot | Materialisation | ModelVersion | ApiKey
    | Window | Alert | AlertEvent | Delivery | Decision | Job | Lease
    | Mirrored
)  # fmt: skip
_RELEASE = tuple(field.name for field in fields(Release))


def to_row(record: _Record) -> dict[str, Any]:
    """Columns of a record. Numbers that JSON lacks (NaN, infinity) become null.

    A run has one more: the decision that it follows from, of its plan.
    """
    row = {field.name: getattr(record, field.name) for field in fields(record)}
    for name, value in row.items():
        # by its kind too: the message of a delivery is a mapping, of a run a text
        if name in _JSON or isinstance(value, Mapping):
            row[name] = digests.canonical(_finite(value)).decode()
        elif isinstance(value, float) and not math.isfinite(value):
            row[name] = None
    if isinstance(record, Run):
        row["because"] = str(record.plan.get("because") or "")
    return row


def run(row: Mapping[Any, Any]) -> Run:
    """Read a run back."""
    return Run(**{**_without(row, "because"), "plan": json.loads(row["plan"])})


def step(row: Mapping[Any, Any]) -> Step:
    """Read a step back."""
    return Step(**{**_without(row, "number"), "output": json.loads(row["output"])})


def trial(row: Mapping[Any, Any]) -> Trial:
    """Read a trial back."""
    return Trial(**{**row, "settings": json.loads(row["settings"])})


def snapshot(row: Mapping[Any, Any]) -> Snapshot:
    """Read a snapshot back."""
    values = _without(row, "number", "project")
    values["files"] = tuple((path, digest) for path, digest in json.loads(row["files"]))
    return Snapshot(**{**values, "reasons": json.loads(row["reasons"])})


def api_key(row: Mapping[Any, Any]) -> ApiKey:
    """Read a key back."""
    return ApiKey(**{**row, "scopes": tuple(json.loads(row["scopes"]))})


def mirrored(row: Mapping[Any, Any]) -> Mirrored:
    """Read back what was mirrored."""
    return Mirrored(**{**row, "facts": json.loads(row["facts"])})


def job(row: Mapping[Any, Any]) -> Job:
    """Read a job back."""
    return Job(**{**row, "facts": json.loads(row["facts"])})


def materialisation(row: Mapping[Any, Any]) -> Materialisation:
    """Read a materialisation back."""
    return Materialisation(**row)


def version(row: Mapping[Any, Any]) -> ModelVersion:
    """Read a version back; ``act`` may stand beside it."""
    verdict = json.loads(row["verdict"])
    values = _without(row, "number", "act") | {
        "metrics": json.loads(row["metrics"]),
        "verdict": Verdict(
            accepted=verdict["accepted"], reasons=tuple(Reason(**reason) for reason in verdict["reasons"])
        ),
    }
    return ModelVersion(**values)


def release(row: Mapping[Any, Any]) -> Release:
    """Read a release back."""
    facts = json.loads(row["facts"]) if row["facts"] else {}
    return Release(**{name: row[name] for name in _RELEASE} | {"facts": facts})


def window(row: Mapping[Any, Any]) -> Window:
    """Read a window back."""
    read = {"figures": json.loads(row["figures"]), "findings": tuple(json.loads(row["findings"]))}
    return Window(**{**row, **read})


def alert(row: Mapping[Any, Any]) -> Alert:
    """Read an alert back."""
    return Alert(**{**row, "evidence": json.loads(row["evidence"])})


def alert_event(row: Mapping[Any, Any]) -> AlertEvent:
    """Read what happened to an alert back."""
    return AlertEvent(**{**row, "evidence": json.loads(row["evidence"])})


def delivery(row: Mapping[Any, Any]) -> Delivery:
    """Read a message back."""
    return Delivery(**{**row, "message": json.loads(row["message"])})


def decision(row: Mapping[Any, Any]) -> Decision:
    """Read a decision back."""
    return Decision(**{**row, "evidence": json.loads(row["evidence"])})


def facts_text(facts: Mapping[str, Any]) -> str:
    """Write a release's facts, empty when there are none."""
    return digests.canonical(_finite(facts)).decode() if facts else ""


def time_text(time: str | datetime) -> str:
    """Write a time as records do. Without a zone it is UTC; raises ``LedgerError`` when it is no time."""
    try:
        parsed = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError as error:
        raise LedgerError(
            t("“{time}” is not a time. Write it as 2026-01-31T23:30:00+00:00.", time=time)
        ) from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed.astimezone(UTC).isoformat(timespec="microseconds")


def _without(row: Mapping[Any, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _finite(asdict(value))
    return value
