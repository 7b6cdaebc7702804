"""Kustomize: the base, and what the light and the full profile change in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.export.emit import Noted, documents
from relevo.export.kubernetes import api, network, workflows
from relevo.export.kubernetes.plan import FULL, LEDGER, WORKSPACE
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.export.kubernetes.plan import Plan

_WAIT = "1h"
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def base(plan: Plan) -> dict[str, str]:
    """What both profiles share."""
    settings = [
        f"RELEVO_WORKSPACE={WORKSPACE}",
        f"RELEVO_WAIT={_wait(plan)}",
        "HOME=/tmp",
        "PYTHONDONTWRITEBYTECODE=1",
    ]
    resources = ["namespace.yaml", "api.yaml", "storage.yaml", "network.yaml"]
    return {
        "base/kustomization.yaml": documents(
            _kustomization(
                resources=resources,
                configMapGenerator=[{"name": f"{plan.name}-settings", "literals": settings}],
            )
        ),
        "base/namespace.yaml": documents(_namespace(plan), api.account(plan)),
        "base/api.yaml": documents(api.deployment(plan), api.service(plan)),
        "base/storage.yaml": documents(*_claims(plan)),
        "base/network.yaml": documents(*network.policies(plan)),
    }


def flows(plan: Plan) -> dict[str, str]:
    """The CronJobs, as a component that an overlay takes in."""
    if not plan.workflows:
        return {}
    found = workflows.flows(plan.definition, plan.settings, collecting=plan.collecting)
    made = [workflows.cron_job(plan, flow) for flow in found]
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["cronjobs.yaml"],
    }
    return {"workflows/kustomization.yaml": documents(component), "workflows/cronjobs.yaml": documents(*made)}


def overlay(plan: Plan) -> dict[str, str]:
    """The profile: what ``kubectl apply -k`` is given."""
    folder = f"overlays/{plan.profile}"
    images = [plan.image.chosen("relevo-jobs"), plan.serve_image.chosen("relevo-api")]
    common: dict[str, Any] = {"namespace": plan.name, "resources": ["../../base"], "images": images}
    if plan.workflows:
        common["components"] = ["../../workflows"]
    if plan.profile != FULL:
        return {f"{folder}/kustomization.yaml": documents(_kustomization(**common, patches=_together(plan)))}
    common["resources"] = ["../../base", "scaling.yaml"]
    literals = [f"RELEVO_LEDGER={plan.ledger}", f"RELEVO_LEDGER_PASSWORD_FILE={LEDGER}/password"]
    merged = {"name": f"{plan.name}-settings", "behavior": "merge", "literals": literals}
    common |= {"configMapGenerator": [merged], "patches": [*_shared(plan), *_with_ledger(plan)]}
    return {
        f"{folder}/kustomization.yaml": documents(_kustomization(**common)),
        f"{folder}/scaling.yaml": documents(api.autoscaler(plan), api.budget(plan)),
    }


def _wait(plan: Plan) -> str:
    """How long one job waits for another: what the project says, else long enough for most runs."""
    return plan.settings.wait if "wait" in plan.settings.model_fields_set else _WAIT


def _kustomization(**parts: Any) -> dict[str, Any]:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **parts}


def _namespace(plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": plan.name, "labels": {**plan.labels(), **_RESTRICTED}},
    }


def _claims(plan: Plan) -> list[dict[str, Any]]:
    found = [_claim(plan, "workspace", Noted(f"{plan.storage}Gi", plan.stored))]
    if plan.folders:
        found.append(
            _claim(
                plan,
                "data",
                Noted("1Gi", t("what the tables' files take: {folders}", folders=", ".join(plan.folders))),
            )
        )
    return found


def _claim(plan: Plan, name: str, storage: Noted) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{plan.name}-{name}", "labels": plan.labels()},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}},
    }


def _kinds(plan: Plan) -> list[tuple[str, str]]:
    """What has pods, and where its pod's spec is."""
    flows = [("CronJob", "/spec/jobTemplate/spec/template/spec")] if plan.workflows else []
    return [("Deployment", "/spec/template/spec"), *flows]


def _together(plan: Plan) -> list[dict[str, Any]]:
    """One volume that one node has: every pod goes where the others are."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": plan.labels()}}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return [
        _patch(kind, [{"op": "add", "path": f"{place}/affinity", "value": affinity}])
        for kind, place in _kinds(plan)
    ]


def _shared(plan: Plan) -> list[dict[str, Any]]:
    """One volume for pods on several nodes: its class must share files and locks (NFS 4, CephFS)."""
    modes = [{"op": "replace", "path": "/spec/accessModes", "value": ["ReadWriteMany"]}]
    return [_patch("PersistentVolumeClaim", modes, f"{plan.name}-workspace")]


def _with_ledger(plan: Plan) -> list[dict[str, Any]]:
    """The ledger's password, as a file of each pod."""
    secret = {"secretName": f"{plan.name}-ledger", "defaultMode": 0o440}
    mount = {"name": "ledger", "mountPath": LEDGER, "readOnly": True}
    found = []
    for kind, place in _kinds(plan):
        changes = [{"op": "add", "path": f"{place}/volumes/-", "value": {"name": "ledger", "secret": secret}}]
        containers = ["containers", *(["initContainers"] if kind == "Deployment" else [])]
        changes += [
            {"op": "add", "path": f"{place}/{name}/0/volumeMounts/-", "value": mount} for name in containers
        ]
        found.append(_patch(kind, changes))
    return found


def _patch(kind: str, changes: list[dict[str, Any]], name: str = "") -> dict[str, Any]:
    return {"target": {"kind": kind, **({"name": name} if name else {})}, "patch": documents(changes)}
