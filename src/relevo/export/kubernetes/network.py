"""Who may talk with whom: nobody, but for what is listed with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.export.emit import Noted
from relevo.export.kubernetes.plan import API
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.export.kubernetes.plan import Plan, Way

_DNS = 53
_CACHE = "169.254.20.10/32"


def policies(plan: Plan) -> list[dict[str, Any]]:
    """Deny everything, then allow callers of the API, the DNS, and each way out that the project needs."""
    return [_nothing(plan), _callers(plan), _names(plan), *(_out(plan, way) for way in plan.ways())]


def _policy(plan: Plan, name: str, part: str, kinds: list[str], **rules: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{plan.name}-{name}", "labels": plan.labels()},
        "spec": {"podSelector": {"matchLabels": plan.labels(part)}, "policyTypes": kinds, **rules},
    }


def _nothing(plan: Plan) -> dict[str, Any]:
    return _policy(plan, "nothing", "", ["Ingress", "Egress"])


def _callers(plan: Plan) -> dict[str, Any]:
    why = t(
        "Label who may ask, Prometheus too: kubectl label namespace NAME {label}=allowed",
        label=next(iter(plan.access)),
    )
    chosen = {"matchLabels": plan.access}
    rule = {
        "from": Noted([{"namespaceSelector": chosen}, {"podSelector": chosen}], why),
        "ports": [{"port": "http", "protocol": "TCP"}],
    }
    return _policy(plan, "callers", API, ["Ingress"], ingress=[rule])


def _names(plan: Plan) -> dict[str, Any]:
    to = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
        {"ipBlock": {"cidr": Noted(_CACHE, t("the usual address of a node's own DNS cache"))}},
    ]
    ports = [{"port": _DNS, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return _policy(plan, "dns", "", ["Egress"], egress=[{"to": to, "ports": ports}])


def _out(plan: Plan, way: Way) -> dict[str, Any]:
    ports = Noted([{"port": way.port, "protocol": "TCP"}], way.why)
    return _policy(plan, f"{way.part}-to-{way.port}", way.part, ["Egress"], egress=[{"ports": ports}])
