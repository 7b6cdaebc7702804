"""What all pods have in common: who they run as, what they may do, and where they write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.export.emit import Noted
from relevo.export.kubernetes.plan import JOBS, KEYS, PROJECT, USER, WORKSPACE

if TYPE_CHECKING:
    from relevo.export.kubernetes.plan import Plan
    from relevo.export.kubernetes.sizes import Size

_MIB = 1 << 20
_LEAST = 256  # MiB for DuckDB


def security() -> dict[str, Any]:
    """A container that may nothing but run."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod(plan: Plan, part: str) -> dict[str, Any]:
    """The part of a pod's spec that is the same for all."""
    return {
        "serviceAccountName": plan.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": Noted(
            value=False, why="variables such as RELEVO_PORT would be taken for settings"
        ),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": _volumes(plan, part),
    }


def _volumes(plan: Plan, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "workspace", "persistentVolumeClaim": {"claimName": f"{plan.name}-workspace"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "512Mi"}},
    ]
    if part == "api":
        found.append({"name": "keys", "secret": {"secretName": f"{plan.name}-keys", "defaultMode": 0o440}})
    elif plan.folders:
        claim = {"claimName": f"{plan.name}-data", "readOnly": True}
        found.append({"name": "data", "persistentVolumeClaim": claim})
    return found


def mounts(plan: Plan, part: str) -> list[dict[str, Any]]:
    """Where a container finds its volumes."""
    found: list[dict[str, Any]] = [
        {"name": "workspace", "mountPath": WORKSPACE},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    if part == "prepare":
        found.append({"name": "keys", "mountPath": KEYS, "readOnly": True})
    elif part != "api":
        found += [
            {"name": "data", "mountPath": f"{PROJECT}/{folder}", "subPath": folder, "readOnly": True}
            for folder in plan.folders
        ]
    return found


def environment(plan: Plan, size: Size, part: str = JOBS, memory: int | None = None) -> dict[str, Any]:
    """The settings of all, and the memory (MiB) and threads that DuckDB may take within the container's limits.

    Jobs get the variables that sources and channels ask for, if any does.
    """
    memory = max(_LEAST, size.memory_limit // 2) if memory is None else memory
    secret = [{"secretRef": {"name": f"{plan.name}-env"}}] if part == JOBS and plan.asks else []
    return {
        "envFrom": [{"configMapRef": {"name": f"{plan.name}-settings"}}, *secret],
        "env": [
            {"name": "RELEVO_MEMORY_LIMIT", "value": f"{memory}MiB"},
            {"name": "RELEVO_THREADS", "value": str(max(1, size.cpu_limit // 1000))},
        ],
    }
