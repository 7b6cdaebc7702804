"""Prometheus and Grafana in a cluster: for ones that read files, and for the Prometheus operator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relevo.export import observing
from relevo.export.emit import documents
from relevo.export.kubernetes.plan import API
from relevo.export.observing import rules as watched

if TYPE_CHECKING:
    from relevo.export.kubernetes.plan import Plan


def files(plan: Plan) -> dict[str, str]:
    """``observing`` are ConfigMaps with dashboards, rules and what to scrape; ``operator`` the operator's objects."""
    dashboards = observing.dashboard_files()
    return {
        "observing/kustomization.yaml": documents(_maps(plan, list(dashboards))),
        **{f"observing/{name}": text for name, text in dashboards.items()},
        "observing/rules.yml": observing.rule_file(plan.definition),
        "observing/prometheus.yml": _scrape(plan),
        "operator/kustomization.yaml": documents(_kustomization(plan, resources=["monitor.yaml"])),
        "operator/monitor.yaml": documents(_monitor(plan), _rules(plan)),
    }


def _kustomization(plan: Plan, **parts: Any) -> dict[str, Any]:
    found = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": plan.name}
    return {**found, **parts}


def _maps(plan: Plan, dashboards: list[str]) -> dict[str, Any]:
    shown = {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}}
    return _kustomization(
        plan,
        configMapGenerator=[
            {"name": f"{plan.name}-dashboards", "files": dashboards, "options": shown},
            {
                "name": f"{plan.name}-prometheus",
                "files": ["rules.yml", "prometheus.yml"],
                "options": {"disableNameSuffixHash": True},
            },
        ],
    )


def _scrape(plan: Plan) -> str:
    """A scrape job for a Prometheus in the cluster, which finds the instances by itself."""
    name = json.dumps(observing.job(plan.definition.name))
    key = f"/etc/prometheus/secrets/{plan.name}-keys/metrics"
    return f"""# Put the job into Prometheus' scrape_configs, and the secret where credentials_file says.
rule_files:
  - rules.yml
scrape_configs:
  - job_name: {name}
    scheme: {plan.scheme.lower()}
    metrics_path: /metrics
    authorization:
      credentials_file: {key}
    kubernetes_sd_configs:
      - role: pod
        namespaces:
          names: [{plan.name}]
        selectors:
          - role: pod
            label: app.kubernetes.io/instance={plan.name},app.kubernetes.io/component={API}
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_container_port_name]
        regex: http
        action: keep
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: instance
"""


def _monitor(plan: Plan) -> dict[str, Any]:
    key = {"type": "Bearer", "credentials": {"name": f"{plan.name}-keys", "key": "metrics"}}
    asked = {
        "port": "http",
        "path": "/metrics",
        "scheme": plan.scheme.lower(),
        "interval": "15s",
        "authorization": key,
        "relabelings": [
            {"targetLabel": "job", "replacement": observing.job(plan.definition.name)},
        ],
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": plan.name, "labels": plan.labels(API)},
        "spec": {"selector": {"matchLabels": plan.labels(API)}, "endpoints": [asked]},
    }


def _rules(plan: Plan) -> dict[str, Any]:
    found = watched.plain(observing.rules_of(plan.definition))
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": plan.name, "labels": plan.labels(API)},
        "spec": {"groups": [{"name": observing.job(plan.definition.name), "rules": found}]},
    }
