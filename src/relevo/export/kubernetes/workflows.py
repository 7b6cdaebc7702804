"""The workflows as CronJobs, for where no Airflow runs them: the same commands that ``relevo up`` begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import durations
from relevo.export.emit import Noted
from relevo.export.kubernetes import pods
from relevo.export.kubernetes.measured import CASES, COLLECT, DELIVER, MONITOR, REPORT, RUN
from relevo.export.kubernetes.plan import JOBS, PROJECT
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.export.kubernetes.plan import Plan
    from relevo.workspace import Settings

_WINDOWS = {"hour": "5 * * * *", "day": "5 0 * * *", "week": "5 0 * * 1"}
"""Five minutes after the shortest window ends, as the scheduler has it."""
_NEVER = "0 0 1 1 *"
_REFUSED = 3
"""Exit code of a run whose model the gate refused: it would be refused again."""
_LATE = 3600


class Flow(NamedTuple):
    """A workflow: its command, when it is due (never when empty) in which time zone, and the seconds it may take."""

    name: str
    schedule: str
    zone: str
    seconds: int


def flows(definition: Definition, settings: Settings, *, collecting: bool) -> list[Flow]:
    """The workflows that a project has; ``collecting`` says whether the API brings its log into the lake."""
    monitor, retrain = definition.project.monitor, definition.project.retrain
    longest = round(durations.parse(settings.up.timeout).total_seconds())
    unit = next((one for one in _WINDOWS if one in monitor.windows), "day")
    zone = monitor.timezone
    found = [
        Flow(RUN, retrain.schedule if retrain is not None else "", zone, longest),
        Flow(MONITOR, _WINDOWS[unit], zone, longest),
    ]
    if settings.up.cases and definition.cases:
        found.append(Flow(CASES, settings.up.cases, zone, 1800))
    if settings.up.report:
        found.append(Flow(REPORT, settings.up.report, zone, 1800))
    if not collecting:
        found.append(Flow(COLLECT, "*/5 * * * *", "UTC", 3600))
    if settings.alerts.channels:
        found.append(Flow(DELIVER, "*/5 * * * *", "UTC", 240))
    return found


def cron_job(plan: Plan, flow: Flow) -> dict[str, Any]:
    """A workflow's CronJob: never two at once, within its time, and not forgotten when the cluster was away."""
    name = f"{plan.name}-{flow.name}"
    begun = t(
        "Without a schedule in the project. Begin one: kubectl -n {space} create job --from=cronjob/{name} first",
        space=plan.name,
        name=name,
    )
    suspended = {} if flow.schedule else {"suspend": Noted(value=True, why=begun)}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": plan.labels(JOBS)},
        "spec": {
            **suspended,
            "schedule": flow.schedule or _NEVER,
            "timeZone": flow.zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": min(_LATE, max(flow.seconds, 60)),
            "successfulJobsHistoryLimit": 2,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": _job(plan, flow)},
        },
    }


def _job(plan: Plan, flow: Flow) -> dict[str, Any]:
    ignored = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    refused = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [_REFUSED]}}
    rules: list[Any] = [
        Noted(ignored, t("a node that goes away is no failure: what was done is found again"))
    ]
    if flow.name == RUN:
        rules.append(Noted(refused, t("the gate refused the model: trying again would change nothing")))
    return {
        "activeDeadlineSeconds": flow.seconds,
        "backoffLimit": plan.settings.up.tries - 1,
        "podFailurePolicy": {"rules": rules},
        "template": {
            "metadata": {"labels": plan.labels(JOBS)},
            "spec": {
                **pods.pod(plan, JOBS),
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 30,
                "containers": [_container(plan, flow)],
            },
        },
    }


def _container(plan: Plan, flow: Flow) -> dict[str, Any]:
    size = plan.sizes.jobs[flow.name]
    return {
        "name": flow.name,
        "image": "relevo-jobs",
        "command": ["relevo", flow.name, PROJECT],
        **pods.environment(plan, size),
        "resources": size.resources(),
        "securityContext": pods.security(),
        "volumeMounts": pods.mounts(plan, JOBS),
    }
