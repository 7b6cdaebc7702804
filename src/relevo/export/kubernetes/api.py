"""The service: instances that start when they are ready, answer, and stop without a failed request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.export.emit import Noted
from relevo.export.kubernetes import pods
from relevo.export.kubernetes.plan import API, KEYS, PORT, PROJECT
from relevo.export.kubernetes.sizes import HEADROOM, TARGET
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.export.kubernetes.plan import Plan

_COLLECTING = 256  # MiB for DuckDB in the process that brings the log into the lake
_ELSEWHERE = [{"name": "RELEVO_SERVE__COLLECT", "value": "false"}]


def deployment(plan: Plan) -> dict[str, Any]:
    """Instances of the API; an update takes one away only when another is ready."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": plan.name, "labels": plan.labels(API)},
        "spec": {
            "selector": {"matchLabels": plan.labels(API)},
            "revisionHistoryLimit": 3,
            "minReadySeconds": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": plan.labels(API)}, "spec": _pod(plan)},
        },
    }


def _pod(plan: Plan) -> dict[str, Any]:
    why = t(
        "{pause} s before SIGTERM, {answers} s for answers under way, {collecting} s to bring the log into the lake: "
        "the service's own times.",
        pause=plan.drain.pause,
        answers=plan.drain.answers,
        collecting=plan.drain.collecting,
    )
    return {
        **pods.pod(plan, API),
        "terminationGracePeriodSeconds": Noted(plan.drain.whole, why),
        "topologySpreadConstraints": [
            _spread(plan, "kubernetes.io/hostname"),
            _spread(plan, "topology.kubernetes.io/zone"),
        ],
        "initContainers": [_prepare(plan)],
        "containers": [_container(plan)],
    }


def _spread(plan: Plan, key: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": plan.labels(API)},
    }


def _prepare(plan: Plan) -> dict[str, Any]:
    keys = [f"api:predict,label={KEYS}/api", f"metrics:read={KEYS}/metrics"]
    return {
        "name": "prepare",
        "image": "relevo-jobs",
        "command": ["relevo", "prepare", PROJECT, *(word for key in keys for word in ("--key", key))],
        **pods.environment(plan, plan.sizes.prepare, API),
        "resources": plan.sizes.prepare.resources(),
        "securityContext": pods.security(),
        "volumeMounts": pods.mounts(plan, "prepare"),
    }


def _container(plan: Plan) -> dict[str, Any]:
    words = ["relevo", "serve", PROJECT, "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - the pod's own
    pause = t("endpoints are told meanwhile; answers go on")
    settings = pods.environment(plan, plan.sizes.api, API, _COLLECTING)
    if not plan.collecting:
        settings["env"] += _ELSEWHERE
    return {
        "name": API,
        "image": "relevo-api",
        "command": [*words, "--workers", str(plan.workers), "--access-log", "-"],
        **settings,
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": {**_probe(plan, "/health"), "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**_probe(plan, "/health"), "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**_probe(plan, "/ready"), "periodSeconds": 5, "failureThreshold": 2},
        "lifecycle": {"preStop": Noted({"sleep": {"seconds": plan.drain.pause}}, pause)},
        "resources": plan.sizes.api.resources(),
        "securityContext": pods.security(),
        "volumeMounts": pods.mounts(plan, API),
    }


def _probe(plan: Plan, path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http", "scheme": plan.scheme}, "timeoutSeconds": 3}


def service(plan: Plan) -> dict[str, Any]:
    """One address for all instances that are ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": plan.name, "labels": plan.labels(API)},
        "spec": {
            "type": "ClusterIP",
            "selector": plan.labels(API),
            "ports": [{"name": "http", "port": 443 if plan.scheme == "HTTPS" else 80, "targetPort": "http"}],
        },
    }


def account(plan: Plan) -> dict[str, Any]:
    """An account without a token: nothing here asks Kubernetes."""
    metadata = {"name": plan.name, "labels": plan.labels()}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }


def autoscaler(plan: Plan) -> dict[str, Any]:
    """More instances before one is as busy as it was measured to bear."""
    least, most = plan.sizes.instances
    measured = (
        t("The request is what an instance used at {rate:,.0f} requests a second.", rate=plan.rate)
        if plan.rate
        else t("The request is a guess.")
    )
    why = t(
        "{measured} At {target} % of it another is started: the {headroom} times that are left serve until that is "
        "ready.",
        measured=measured,
        target=TARGET,
        headroom=HEADROOM,
    )
    usage = {"type": "Utilization", "averageUtilization": Noted(TARGET, why)}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": plan.name, "labels": plan.labels(API)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {"name": "cpu", "container": API, "target": usage},
                }
            ],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {
                    "stabilizationWindowSeconds": 300,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
                },
            },
        },
    }


def budget(plan: Plan) -> dict[str, Any]:
    """What a node's maintenance must leave."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": plan.name, "labels": plan.labels(API)},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": plan.labels(API)}},
    }
