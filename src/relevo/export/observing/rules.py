"""Alert rules for Prometheus: what no alert of Relevo's own can tell since Relevo itself fails, and those it has."""

from __future__ import annotations

from typing import Any, NamedTuple

from relevo.export.emit import documents
from relevo.export.observing.promql import ASKED
from relevo.texts import t

_LARGE = 268435456  # bytes of the log


class Rule(NamedTuple):
    """A rule; ``expression`` is PromQL in which ``{of}`` stands for the choice of the service's samples."""

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str
    remedy: str


def of(job: str, *, watched_every: float) -> list[Rule]:
    """The rules for the service that is scraped as ``job``; its windows are due every so many seconds."""
    chosen = f'{{job="{job}"}}'
    also = f'job="{job}"'
    return [*_service(chosen, also), *_log(chosen, also), *_loop(chosen, also, watched_every)]


def _service(of: str, also: str) -> list[Rule]:
    asked = f"{also},{ASKED}"
    requests = f"sum (rate(relevo_requests_total{{{asked}}}[5m]))"
    failed = f'sum (rate(relevo_requests_total{{{asked},status=~"5.."}}[5m]))'
    p95 = f"histogram_quantile(0.95, sum by (le) (rate(relevo_predict_seconds_bucket{of}[5m])))"
    return [
        Rule(
            "RelevoDown",
            f"up{of} == 0 or absent(up{of})",
            "2m",
            "page",
            t("The service does not answer Prometheus."),
            t(
                "Ask /health. A key that lacks the scope read is refused too: then the target says 401 or 403."
            ),
        ),
        Rule(
            "RelevoNoModel",
            f'sum (relevo_workers{{{also},version=""}}) > 0',
            "5m",
            "page",
            t("A service has no version to answer with."),
            t("/ready says why; `relevo run` makes a version, `relevo promote` releases one."),
        ),
        Rule(
            "RelevoFailures",
            f"{failed} / {requests} > 0.01",
            "5m",
            "page",
            t("More than 1 % of the requests fail."),
            t("Each is in the service's log under its id, with its traceback."),
        ),
        Rule(
            "RelevoSlow",
            f"{p95} > 0.25",
            "10m",
            "warn",
            t("One prediction in twenty takes more than a quarter of a second."),
            t("Compare with the load test; the dashboard shows processors and memory."),
        ),
        Rule(
            "RelevoWorkersDie",
            f"sum (increase(relevo_worker_restarts_total{of}[15m])) > 3",
            "0m",
            "warn",
            t("Workers die again and again."),
            t("The service's log names the signal: 9 is mostly a lack of memory."),
        ),
        Rule(
            "RelevoVersionsDiffer",
            f"count (count by (version) (relevo_workers{of} > 0)) > 1",
            "5m",
            "warn",
            t("Instances answer with different versions."),
            t("One cannot load what was released, or does not reach the ledger: see `note` in /v1/model."),
        ),
        Rule(
            "RelevoPackageRefused",
            f"sum (increase(relevo_refused_packages_total{of}[15m])) > 0",
            "0m",
            "page",
            t("A released version could not be loaded; the one before goes on."),
            t("`note` in /v1/model says why."),
        ),
        Rule(
            "RelevoLedgerAway",
            f"min (relevo_ledger_up{of}) == 0",
            "5m",
            "warn",
            t("The ledger is away: answers go on, promotions do not arrive."),
            t("See that the database answers; nothing has to be started again."),
        ),
    ]


def _log(of: str, also: str) -> list[Rule]:
    backlog = f"max (relevo_journal_backlog_bytes{of})"
    return [
        Rule(
            "RelevoNotLogged",
            f'sum (increase(relevo_refusals_total{{{also},kind="not-logged"}}[5m])) > 0',
            "0m",
            "page",
            t("Requests are refused because predictions cannot be logged."),
            t("The disk of the workspace is full or gone."),
        ),
        Rule(
            "RelevoLogUnsynced",
            f"max (relevo_journal_unsynced_seconds{of}) > 5",
            "2m",
            "warn",
            t("The disk does not keep up with the log of predictions."),
            t("A loss of power would lose what waits."),
        ),
        Rule(
            "RelevoLogGrows",
            f"{backlog} > {_LARGE} and {backlog} > max (relevo_journal_backlog_bytes{of} offset 3h)",
            "30m",
            "warn",
            t("The log of predictions grows and is not brought into the lake."),
            t("Type `relevo collect` and read what it says."),
        ),
    ]


def _loop(of: str, also: str, watched_every: float) -> list[Rule]:
    ended = "relevo_run_finished_timestamp_seconds"
    fine = f'max ({ended}{{{also},status!="failed"}})'
    looked = f'max ({ended}{{{also},status="watched"}})'
    patience = round(2 * watched_every + 6 * 3600)
    return [
        Rule(
            "RelevoRunFailed",
            f'max ({ended}{{{also},status="failed"}}) > ({fine} or vector(0))',
            "0m",
            "warn",
            t("The last run failed."),
            t("`relevo status` says at which step; the next run goes on from there."),
        ),
        Rule(
            "RelevoNotWatched",
            f"time() - ({looked} or max (relevo_model_created_timestamp_seconds{of})) > {patience}",
            "0m",
            "warn",
            t("Nobody looked at what the model is asked for two windows."),
            t("See that `relevo monitor` runs: `relevo jobs`, the CronJob, or Airflow."),
        ),
        Rule(
            "RelevoAlert",
            f'sum by (severity) (relevo_alerts{{{also},state="open",severity=~"page|warn"}}) > 0',
            "0m",
            "warn",
            t("Relevo has alerts that nobody acknowledged."),
            t("`relevo alerts` tells them, `relevo why ID` how each came about."),
        ),
        Rule(
            "RelevoMessagesWait",
            f"sum by (channel) (relevo_messages_waiting{of}) > 0",
            "30m",
            "warn",
            t("Messages about alerts are not sent."),
            t("Type `relevo deliver` and read what it says."),
        ),
    ]


def plain(rules: list[Rule]) -> list[dict[str, Any]]:
    """The rules as Prometheus has them."""
    return [
        {
            "alert": rule.name,
            "expr": rule.expression,
            "for": rule.lasting,
            "labels": {"severity": rule.severity},
            "annotations": {"summary": rule.summary, "description": rule.remedy},
        }
        for rule in rules
    ]


def text(rules: list[Rule], group: str) -> str:
    """The rules as a file of Prometheus."""
    return documents({"groups": [{"name": group, "rules": plain(rules)}]})
