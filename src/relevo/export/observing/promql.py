"""PromQL as the dashboards ask it: of the chosen service, over all of its instances."""

from __future__ import annotations

SPAN = "$__rate_interval"
OF = '{job="$job"}'
ASKED = 'route!~"/health|/ready|/metrics|/v2/health/.*"'
"""Of requests those that somebody asked, not the probes and Prometheus itself."""


def rate(metric: str, *, by: str = "", where: str = "", span: str = SPAN) -> str:
    """The sum over instances of a counter's rate."""
    chosen = f'{{job="$job"{f",{where}" if where else ""}}}'
    return f"sum{f' by ({by}) ' if by else ' '}(rate({metric}{chosen}[{span}]))"


def quantile(part: float) -> str:
    """The seconds that this part of the predictions took at most."""
    return f"histogram_quantile({part}, {rate('relevo_predict_seconds_bucket', by='le')})"


def now(metric: str, *, by: str = "", of: str = "max") -> str:
    """A gauge that all instances say alike, or the worst of them."""
    return f"{of}{f' by ({by}) ' if by else ' '}({metric}{OF})"


def share(metric: str) -> str:
    """Of the rows of the last hour, by feature; the twelve highest."""
    counted, rows = rate(metric, by="feature", span="1h"), rate("relevo_predictions_total", span="1h")
    return f"topk(12, {counted} / ignoring (feature) group_left () {rows})"
