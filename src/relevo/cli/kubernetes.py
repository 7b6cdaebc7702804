"""What ``relevo export kubernetes`` does: gather what was measured, see that it fits, write, and print the sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevo import resources, trends
from relevo.cli.exporting import put
from relevo.cli.output import say, table
from relevo.definition import load
from relevo.errors import LedgerError, RequestError, WorkspaceError
from relevo.export import kubernetes as kubernetes_
from relevo.export.kubernetes import FULL, LIGHT, Drain, Image, Plan, Sizes
from relevo.serving.collecting import PATIENCE
from relevo.serving.drain import LINGER
from relevo.serving.run import FAREWELL
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.export.kubernetes import Measured

_PAUSE = 10  # seconds until nobody sends requests to an instance that is to end
_MARGIN = 15
_GIB = 1 << 30
_LEAST_STORAGE, _TIMES = 5, 10  # GiB, and how many times what the tables take now
_INSTANCES = {LIGHT: (1, 1), FULL: (2, 4)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was typed."""

    to: Path
    image: str
    serve_image: str
    profile: str
    load_test: Path | None
    node: str
    workflows: bool
    assume: bool
    force: bool
    json: bool


def kubernetes(folder: Path, options: Options) -> None:
    """Write the manifests; print what is requested, where it comes from, and the sum."""
    if options.profile not in _INSTANCES:
        problem = t("{profile!r} is none of: {known}.", profile=options.profile, known=", ".join(_INSTANCES))
        raise RequestError([{"field": "--profile", "problem": problem}])
    node = kubernetes_.node(options.node)
    definition = load(folder)
    image = Image.of(options.image or f"{definition.name.replace('_', '-')}:1.0.0", "--image")
    workspace = Workspace.open(folder, create=False) if _made(folder) else None
    found = _measured(definition, workspace, folder, options)
    plan = _plan(definition, workspace, image, found, options)
    remark = kubernetes_.see_that_it_fits(plan.sizes, node) if plan.profile == LIGHT else ""
    put(
        kubernetes_.files(plan),
        options.to,
        engine=f"kubernetes {definition.name}",
        force=options.force,
        json=options.json,
        facts=_facts(plan, remark),
    )
    if not options.json:
        _tell(plan, options, remark)


def _made(folder: Path) -> bool:
    """Whether there is a workspace to ask."""
    try:
        Workspace.open(folder, create=False)
    except WorkspaceError:
        return False
    return True


def _measured(
    definition: Definition, workspace: Workspace | None, folder: Path, options: Options
) -> Measured:
    if workspace is not None:
        workspace.ledger.projects()  # what asks it is loaded then too, as whoever begins on it would
    loading = resources.resident_peak()
    return kubernetes_.measured(
        workspace.ledger if workspace is not None else None,
        definition.name,
        options.load_test,
        loading=loading,
        folder=folder,
        assume=options.assume,
    )


def _plan(
    definition: Definition, workspace: Workspace | None, image: Image, found: Measured, options: Options
) -> Plan:
    from relevo.workspace import Settings

    settings = workspace.settings if workspace is not None else Settings.read(definition.project.root)
    serve_image = Image.of(options.serve_image, "--serve-image") if options.serve_image else image
    collecting = serve_image == image
    flows = kubernetes_.flows(definition, settings, collecting=collecting) if options.workflows else []
    storage, stored = _storage(workspace, definition.name)
    drain = Drain(
        pause=_PAUSE,
        answers=math.ceil(LINGER + FAREWELL) + (0 if collecting else _MARGIN),
        collecting=math.ceil(PATIENCE + _MARGIN) if collecting else 0,
    )
    return Plan(
        definition=definition,
        settings=settings,
        profile=options.profile,
        image=image,
        serve_image=serve_image,
        sizes=Sizes.of(
            found, [flow.name for flow in flows], _INSTANCES[options.profile], collecting=collecting
        ),
        drain=drain,
        workers=found.service.workers,
        rate=found.service.rate,
        storage=storage,
        stored=stored,
        workflows=options.workflows,
    )


def _storage(workspace: Workspace | None, project: str) -> tuple[int, str]:
    """GiB of the workspace: ten times what the newest run left in the tables."""
    points: list[Any] = []
    if workspace is not None:
        try:
            from relevo import clock

            points = trends.series(workspace.ledger.costs(project, until=clock.now())).get(trends.TABLES, [])
        except LedgerError:
            points = []
    if not points:
        return _LEAST_STORAGE, t("the least: nothing was measured")
    size = points[-1].bytes
    needed = max(_LEAST_STORAGE, math.ceil(_TIMES * size / _GIB))
    return needed, t(
        "{times} times the {size:,.1f} MiB of the tables on {date}, at least {least} GiB",
        times=_TIMES,
        size=size / (1 << 20),
        date=points[-1].at.date().isoformat(),
        least=_LEAST_STORAGE,
    )


def _facts(plan: Plan, remark: str) -> dict[str, Any]:
    sums = _sums(plan)
    return {
        "profile": plan.profile,
        "requests": [
            {
                "name": name,
                "instances": count,
                "cpu_millicores": size.cpu,
                "cpu_limit_millicores": size.cpu_limit,
                "memory_mib": size.memory,
                "memory_limit_mib": size.memory_limit,
                "cpu_from": size.cpu_why,
                "memory_from": size.memory_why,
            }
            for name, count, size in _rows(plan)
        ],
        "sum": {
            name: {"cpu_millicores": one.cpu, "memory_mib": one.memory} for name, (_, one) in sums.items()
        },
        "remark": remark,
    }


def _rows(plan: Plan) -> list[tuple[str, str, Any]]:
    least, most = plan.sizes.instances
    instances = str(least) if least == most else f"{least}-{most}"
    return [
        ("api", instances, plan.sizes.api),
        ("api: prepare", "", plan.sizes.prepare),
        *((name, "", size) for name, size in plan.sizes.jobs.items()),
    ]


def _sums(plan: Plan) -> dict[str, tuple[str, kubernetes_.Node]]:
    sizes = plan.sizes
    return {
        "at_rest": (t("in all, while no job runs"), sizes.at_rest()),
        "busy": (t("with the largest job, while the API is updated"), sizes.busy()),
        "at_most": (t("at most: every instance and every job at once"), sizes.at_most()),
    }


def _tell(plan: Plan, options: Options, remark: str) -> None:
    say()
    rows = [
        (name, count, f"{size.cpu}m", f"{size.cpu_limit}m", f"{size.memory}Mi", f"{size.memory_limit}Mi")
        for name, count, size in _rows(plan)
    ]
    rows += [(told, "", f"{one.cpu}m", "", f"{one.memory}Mi", "") for told, one in _sums(plan).values()]
    table(
        [t("requested by"), t("instances"), "CPU", t("at most"), t("memory"), t("at most")],
        rows,
    )
    if remark:
        say("\n" + remark)
    file = " FILE" if plan.profile == FULL else ""
    say(
        "\n"
        + t("Next:")
        + f"\n  {options.to}/secrets.sh{file}\n  kubectl apply -k {options.to}/overlays/{plan.profile}"
        + (
            f"\n  kubectl -n {plan.name} create job --from=cronjob/{plan.name}-run first"
            if plan.workflows
            else ""
        )
    )
