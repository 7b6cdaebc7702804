"""The three dashboards: what the service does, what the model is asked and answers, and what makes models."""

from __future__ import annotations

from relevo.export.observing.panels import Dashboard, Panel
from relevo.export.observing.promql import ASKED, OF, now, quantile, rate, share
from relevo.texts import t

SERVICE, MODEL, PIPELINE = "service", "model", "pipeline"
_DAY = 86400.0


def all_of_them() -> dict[str, Dashboard]:
    """Each dashboard by the name of its file, in the language in force."""
    return {SERVICE: _service(), MODEL: _model(), PIPELINE: _pipeline()}


def _service() -> Dashboard:
    return Dashboard(
        uid="relevo-service",
        title=t("Relevo: the service"),
        about=t("Who asks, how fast they are answered, what is refused, and what that costs."),
        chosen=t("Service"),
        rows=[
            (t("Traffic"), _traffic()),
            (t("Processes"), _processes()),
            (t("The log of predictions"), _journal()),
        ],
    )


def _traffic() -> list[Panel]:
    all_requests = rate("relevo_requests_total", where=ASKED)
    failed = rate("relevo_requests_total", where=f'{ASKED},status=~"5.."')
    return [
        Panel(
            title=t("Requests a second, by route"),
            about=t("What comes in. A list of rows in one call is one request."),
            asks=[(rate("relevo_requests_total", by="route"), "{{route}}")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            title=t("Time of a prediction"),
            about=t("Within the service, without the network: half, 95 % and 99 % took at most so long."),
            asks=[(quantile(part), name) for part, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))],
            unit="s",
            steps=(0.1, 0.25),
        ),
        Panel(
            title=t("Share of requests that failed"),
            about=t(
                "Answered with 5xx, probes aside: nothing that callers did wrong. The alert begins at 1 %."
            ),
            asks=[(f"{failed} / {all_requests} or 0 * {all_requests}", t("failed"))],
            unit="percentunit",
            steps=(0.001, 0.01),
        ),
        Panel(
            title=t("Refusals a second, by kind"),
            about=t("What callers did not get, by the kind of problem; /docs of the service explains each."),
            asks=[(rate("relevo_refusals_total", by="kind"), "{{kind}}")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            title=t("Answers by status"),
            about=t("429 is a caller's own limit, 503 says that there is no version, or no room."),
            asks=[(rate("relevo_requests_total", by="status"), "{{status}}")],
            unit="reqps",
            stacked=True,
        ),
        Panel(
            title=t("Rows for each call of the model"),
            about=t("Requests that come at the same time share a call: the more, the cheaper each one is."),
            asks=[(f"{rate('relevo_predictions_total')} / {rate('relevo_batches_total')}", t("rows"))],
        ),
    ]


def _processes() -> list[Panel]:
    return [
        Panel(
            title=t("Processes by version"),
            about=t("Two versions at once are normal for seconds after a promotion, not for minutes."),
            asks=[(now("relevo_workers", by="version", of="sum"), "{{version}}")],
            stacked=True,
        ),
        Panel(
            title=t("Processors in use"),
            about=t("Whole processors, by instance."),
            asks=[(rate("process_cpu_seconds_total", by="instance"), "{{instance}}")],
        ),
        Panel(
            title=t("Memory"),
            about=t("Resident memory of all processes of an instance; pages that they share count in each."),
            asks=[(now("process_resident_memory_bytes", by="instance", of="sum"), "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            title=t("The largest process begun by the service"),
            about=t(
                "Bringing logged predictions into the lake, mostly. It needs its room beside the service."
            ),
            asks=[(now("relevo_children_peak_memory_bytes", by="instance"), "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            title=t("Workers started in place of dead ones"),
            about=t("In the last hour. The service's own log says by which signal each ended."),
            asks=[(f"sum (increase(relevo_worker_restarts_total{OF}[1h]))", t("restarts"))],
            kind="stat",
            steps=(1, 5),
        ),
        Panel(
            title=t("The ledger answers"),
            about=t("0 means that it is away: answers go on by the version at hand, promotions wait."),
            asks=[(now("relevo_ledger_up", of="min"), t("ledger"))],
            kind="stat",
            steps=(1, 0.5),
        ),
    ]


def _journal() -> list[Panel]:
    return [
        Panel(
            title=t("Logged and not yet in the lake"),
            about=t("It falls whenever a segment is collected. When it only grows, collecting fails."),
            asks=[(now("relevo_journal_backlog_bytes", by="instance"), "{{instance}}")],
            unit="bytes",
            steps=(268435456, 1073741824),
        ),
        Panel(
            title=t("The oldest line that is not on the disk"),
            about=t("A loss of power loses at most what came in this time."),
            asks=[(now("relevo_journal_unsynced_seconds", by="instance"), "{{instance}}")],
            unit="s",
            steps=(1, 5),
        ),
        Panel(
            title=t("How long the disk takes"),
            about=t("For the last lines that were flushed."),
            asks=[(now("relevo_journal_sync_seconds", by="instance"), "{{instance}}")],
            unit="s",
        ),
    ]


def _model() -> Dashboard:
    return Dashboard(
        uid="relevo-model",
        title=t("Relevo: the model"),
        about=t(
            "Which version answers, what it decides, and whether what it is asked is what it learned from."
        ),
        chosen=t("Service"),
        rows=[
            (t("What answers"), _answering()),
            (t("Decisions"), _decisions()),
            (t("What is asked"), _asked()),
        ],
    )


def _answering() -> list[Panel]:
    model = "max by (project, version, algorithm)"
    challenger = f"max by (version, mode) (relevo_challenger_info{OF})"
    return [
        Panel(
            title=t("The version that answers"),
            about=t("Of each instance; more than one line means that instances differ."),
            asks=[(f"{model} (relevo_model_info{OF})", "{{project}} {{version}} ({{algorithm}})")],
            kind="stat",
        ),
        Panel(
            title=t("Age of the model"),
            about=t(
                "Since it was made. What is too old depends on the project: its Retrain decides, not this."
            ),
            asks=[(now("relevo_model_age_seconds"), t("age"))],
            unit="s",
            kind="stat",
        ),
        Panel(
            title=t("Age of the look-ups"),
            about=t("Since the newest row of each history was known."),
            asks=[(now("relevo_lookup_age_seconds", by="lookup"), "{{lookup}}")],
            unit="s",
            kind="bargauge",
            steps=(2 * _DAY, 8 * _DAY),
        ),
        Panel(
            title=t("Relevo's own alerts"),
            about=t(
                "Not resolved, by severity. `relevo alerts` tells each one, `relevo why` how it came about."
            ),
            asks=[(now("relevo_alerts", by="severity, state"), "{{severity}} ({{state}})")],
            kind="bargauge",
            steps=(1, 3),
        ),
        Panel(
            title=t("Tried beside it"),
            about=t("The challenger, and what became of the requests that it was asked."),
            asks=[
                (challenger, "{{version}} ({{mode}})"),
                (now("relevo_challenger_requests_total", by="outcome", of="sum"), "{{outcome}}"),
            ],
            kind="bargauge",
        ),
        Panel(
            title=t("Versions taken over, taken back, and refused"),
            about=t(
                "In the last day: promotions, what the service rolled back by itself, packages that did not load."
            ),
            asks=[
                (f"max (increase({metric}{OF}[1d]))", name)
                for metric, name in (
                    ("relevo_swaps_total", t("taken over")),
                    ("relevo_lookup_swaps_total", t("newer histories")),
                    ("relevo_rollbacks_total", t("taken back")),
                    ("relevo_refused_packages_total", t("refused")),
                )
            ],
            kind="bargauge",
        ),
    ]


def _decisions() -> list[Panel]:
    decided = rate("relevo_predictions_total", by="label", span="1h")
    scores = rate("relevo_feature_values_total", by="cell", where='feature="(score)"', span="1d")
    return [
        Panel(
            title=t("Share of each decision"),
            about=t("Over the last hour. A jump without a new version means that the requests changed."),
            asks=[(f"{decided} / ignoring (label) group_left () sum ({decided})", "{{label}}")],
            unit="percentunit",
            stacked=True,
        ),
        Panel(
            title=t("Scores of the last day"),
            about=t("How many predictions a second had a probability in each range."),
            asks=[(scores, "{{cell}}")],
            kind="bargauge",
        ),
        Panel(
            title=t("Predictions a second, by version"),
            about=t("Rows, of all routes."),
            asks=[(rate("relevo_predictions_total", by="version"), "{{version}}")],
            stacked=True,
        ),
        Panel(
            title=t("Outcomes received a second"),
            about=t("Labels, repetitions too. Without them the model's quality is an estimate."),
            asks=[(rate("relevo_labels_total", by="label", span="1h"), "{{label}}")],
        ),
    ]


def _asked() -> list[Panel]:
    return [
        Panel(
            title=t("Features that moved in the newest window"),
            about=t(
                "Population stability index, corrected for chance. It is here to look at: Relevo's own alerts know how "
                "much each feature moves by itself, a fixed limit does not."
            ),
            asks=[(f"topk(12, {now('relevo_window_psi', by='feature')})", "{{feature}}")],
            kind="bargauge",
            steps=(0.1, 0.25),
        ),
        Panel(
            title=t("Share of rows without a value, by feature"),
            about=t("Over the last hour; the twelve highest."),
            asks=[(share("relevo_feature_missing_total"), "{{feature}}")],
            unit="percentunit",
        ),
        Panel(
            title=t("Share of strange values, by feature"),
            about=t("New texts, and numbers out of the range that was learned from; the twelve highest."),
            asks=[(share("relevo_feature_strange_total"), "{{feature}}")],
            unit="percentunit",
        ),
        Panel(
            title=t("Texts that the model does not know"),
            about=t("A second, by feature."),
            asks=[(rate("relevo_unseen_categories_total", by="feature", span="1h"), "{{feature}}")],
        ),
        Panel(
            title=t("Unknown keys asked of a history"),
            about=t("A second. Such a request is answered with the nulls that the features define."),
            asks=[(rate("relevo_lookup_missing_total", by="lookup", span="1h"), "{{lookup}}")],
        ),
        Panel(
            title=t("Fields that the contract does not name"),
            about=t("A second. They are ignored; many at once mean that a caller was changed."),
            asks=[(rate("relevo_unknown_fields_total", span="1h"), t("fields"))],
        ),
    ]


def _pipeline() -> Dashboard:
    return Dashboard(
        uid="relevo-pipeline",
        title=t("Relevo: what makes models"),
        about=t("When runs ended and how, what each step cost when it was last done, and what is watched."),
        chosen=t("Service"),
        rows=[(t("Runs"), _runs()), (t("Steps"), _steps()), (t("Windows"), _windows())],
    )


def _runs() -> list[Panel]:
    ended = "relevo_run_finished_timestamp_seconds"
    return [
        Panel(
            title=t("Since a run last ended, by how it did"),
            about=t("released, refused (by the gate: a result, no failure), unchanged, watched or failed."),
            asks=[(f"time() - {now(ended, by='status')}", "{{status}}")],
            unit="s",
            kind="bargauge",
        ),
        Panel(
            title=t("Messages that wait"),
            about=t("About alerts, by channel; `relevo deliver` sends them."),
            asks=[(now("relevo_messages_waiting", by="channel"), "{{channel}}")],
            kind="bargauge",
            steps=(1, 10),
        ),
        Panel(
            title=t("Keys of each history"),
            about=t("Rows of the keyed files that answers are looked up in."),
            asks=[(now("relevo_lookup_rows", by="lookup"), "{{lookup}}")],
            kind="bargauge",
        ),
    ]


def _steps() -> list[Panel]:
    shown = (
        ("relevo_step_seconds", t("Time of each step"), "s"),
        ("relevo_step_cpu_seconds", t("Processor time of each step"), "s"),
        ("relevo_step_peak_memory_bytes", t("The most memory of each step"), "bytes"),
        ("relevo_step_rows", t("Rows that each step gave"), "short"),
        ("relevo_step_bytes", t("Bytes that each step wrote"), "bytes"),
    )
    about = t("When it was last done, not reused. `relevo trends` says what became dearer beyond chance.")
    panels = [
        Panel(
            title=title, about=about, asks=[(now(metric, by="step"), "{{step}}")], unit=unit, kind="bargauge"
        )
        for metric, title, unit in shown
    ]
    since = Panel(
        title=t("Since each step was last done"),
        about=t("A step whose inputs did not change is reused, so old is not wrong."),
        asks=[(f"time() - {now('relevo_step_timestamp_seconds', by='step')}", "{{step}}")],
        unit="s",
        kind="bargauge",
    )
    return [*panels, since]


def _windows() -> list[Panel]:
    legend = "{{source}}, {{unit}}"
    return [
        Panel(
            title=t("Rows of the newest window"),
            about=t("Of requests, of rows that arrived, or of batch runs."),
            asks=[(now("relevo_window_rows", by="source, unit"), legend)],
            kind="bargauge",
        ),
        Panel(
            title=t("Since the newest window ended"),
            about=t("When this grows beyond two windows, nobody runs `relevo monitor`."),
            asks=[(f"time() - {now('relevo_window_ended_timestamp_seconds', by='source, unit')}", legend)],
            unit="s",
            kind="bargauge",
        ),
        Panel(
            title=t("What stood out in the newest window"),
            about=t("Findings by severity; those that matter became alerts."),
            asks=[(now("relevo_window_findings", by="source, unit, severity"), legend + ", {{severity}}")],
            kind="bargauge",
            steps=(1, 5),
        ),
    ]
