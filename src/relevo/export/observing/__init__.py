"""Prometheus and Grafana: what is scraped, the alert rules, and the dashboards, as files by path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from relevo.export.observing import dashboards, rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.definition import Definition

_WINDOWS = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0}
GRAFANA_FOLDER = "/var/lib/grafana/dashboards"
"""Where the provisioning file looks for the dashboards."""


def job(name: str) -> str:
    """What Prometheus knows a project's service by."""
    return f"relevo-{name}"


def files(
    definition: Definition,
    targets: Sequence[str],
    *,
    key_file: str = "",
    scheme: str = "http",
    prometheus: str = "http://prometheus:9090",
) -> dict[str, str]:
    """Texts by path, for a Prometheus and a Grafana of one's own.

    ``targets`` are the addresses (``host:port``) of the instances, ``key_file`` where Prometheus finds a key with the
    scope ``read``, ``prometheus`` where Grafana finds Prometheus. ``prometheus/prometheus.yml`` reads
    ``prometheus/rules.yml`` beside it; ``grafana/provisioning`` belongs under ``/etc/grafana``, and
    ``grafana/dashboards`` to ``GRAFANA_FOLDER``.
    """
    return {
        "prometheus/prometheus.yml": scrape(definition, targets, key_file=key_file, scheme=scheme),
        "prometheus/rules.yml": rule_file(definition),
        "grafana/provisioning/datasources/prometheus.yml": _source(prometheus),
        "grafana/provisioning/dashboards/relevo.yml": _PROVIDER,
        **{f"grafana/dashboards/{name}": text for name, text in dashboard_files().items()},
    }


def dashboard_files() -> dict[str, str]:
    """The dashboards by file name, in the language in force."""
    return {f"relevo-{name}.json": one.text() for name, one in dashboards.all_of_them().items()}


def rule_file(definition: Definition) -> str:
    """The alert rules of a project, as a file."""
    return rules.text(rules_of(definition), job(definition.name))


def rules_of(definition: Definition) -> list[rules.Rule]:
    """The alert rules of a project."""
    units = [_WINDOWS[unit] for unit in definition.project.monitor.windows if unit in _WINDOWS]
    every = min(units, default=_WINDOWS["week"])
    return rules.of(job(definition.name), watched_every=every)


def scrape(definition: Definition, targets: Sequence[str], *, key_file: str, scheme: str) -> str:
    """Prometheus' configuration for instances whose addresses are known."""
    key = f"\n    authorization:\n      credentials_file: {json.dumps(key_file)}" if key_file else ""
    listed = ", ".join(json.dumps(target) for target in targets)
    return f"""global:
  scrape_interval: 15s
  evaluation_interval: 15s
rule_files:
  - rules.yml
scrape_configs:
  - job_name: {json.dumps(job(definition.name))}
    scheme: {scheme}
    metrics_path: /metrics{key}
    static_configs:
      - targets: [{listed}]
"""


def _source(url: str) -> str:
    return f"""apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    uid: prometheus
    access: proxy
    url: {json.dumps(url)}
    isDefault: true
    editable: false
"""


_PROVIDER = f"""apiVersion: 1
providers:
  - name: relevo
    type: file
    folder: Relevo
    allowUiUpdates: false
    disableDeletion: true
    options:
      path: {GRAFANA_FOLDER}
"""
