"""What a project's service and jobs were seen to use, by the ledger's steps and jobs and by a load test's report."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import clock
from relevo.errors import LoadTestError, WorkspaceError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relevo.ledger import Ledger
    from relevo.records import Job, Step

RUN, MONITOR, CASES, REPORT, DELIVER, COLLECT = "run", "monitor", "cases", "report", "deliver", "collect"
_NAMED = {"first run": RUN, "run": RUN}
_RUNS = 10
"""The newest runs that count."""
_STEPS, _JOBS = 2000, 500
_TELLING = 1.0  # seconds
_FORMAT = 1
_GUESSED_JOB, _GUESSED_SERVICE = (1 << 30, 1.0), (256 << 20, 0.25)
"""What ``--assume`` takes: bytes and processors."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """The most memory in bytes, and the processors on average; ``source`` says who measured it, and when."""

    memory: int
    cpu: float
    source: str
    cpu_source: str = ""
    """Who measured the processors, when it was another."""

    @property
    def busiest(self) -> str:
        """Who measured the processors."""
        return self.cpu_source or self.source


@dataclass(frozen=True, kw_only=True)
class Served:
    """The service under load: one instance's memory, its processors at ``rate`` requests a second."""

    memory: int
    cpu: float
    rate: float
    workers: int
    source: str
    bound: bool = False
    """Whether the rate is the highest within limits that was found, and not just one that was tried."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that is known. ``collect`` is what bringing logged rows into the lake takes, beside the service."""

    service: Served
    collect: Use
    jobs: Mapping[str, Use]


def measured(
    ledger: Ledger | None, project: str, load_test: Path | None, *, loading: int, folder: Path, assume: bool
) -> Measured:
    """Gather it; ``loading`` is the memory that loading the project took just now.

    Raises ``WorkspaceError`` with the commands that measure when something was not, unless guesses are to be
    assumed; ``LoadTestError`` when the report cannot be used.
    """
    steps = _newest(ledger.costs(project, until=clock.now(), limit=_STEPS)) if ledger is not None else []
    known = _jobs(ledger.agenda.jobs(project, limit=_JOBS)) if ledger is not None else {}
    run = _most(_run(steps), known.get(RUN))
    service = read(load_test, project) if load_test is not None else None
    if (run is None or service is None) and not assume:
        raise WorkspaceError(_unmeasured(folder, run=run, service=service))
    if run is None:
        memory, cpu = _GUESSED_JOB
        run = Use(memory=memory, cpu=cpu, source=t("guessed (--assume): nothing was measured"))
    if service is None:
        memory, cpu = _GUESSED_SERVICE
        source = t("guessed (--assume): no load test was given")
        service = Served(memory=memory, cpu=cpu, rate=0.0, workers=1, source=source)
    return Measured(
        service=service, collect=_collect(load_test, steps, known, run), jobs=_all(known, run, loading)
    )


def _all(known: Mapping[str, Use], run: Use, loading: int) -> dict[str, Use]:
    """Each workflow's use; of one that no scheduler measured, what bounds it."""
    small = t("this export, which loads the project too; not measured itself, `relevo up` would")
    found = {
        RUN: run,
        MONITOR: _most(known.get(MONITOR), run),
        CASES: known.get(CASES) or _like(run),
        REPORT: known.get(REPORT) or _like(run),
        DELIVER: known.get(DELIVER) or Use(memory=loading, cpu=0.25, source=small),
        "prepare": Use(memory=loading, cpu=0.25, source=t("this export, which loads the project too")),
    }
    return {name: use for name, use in found.items() if use is not None}


def _like(run: Use) -> Use:
    memory, cpu = (
        t("{source}; not measured itself, `relevo up` would", source=source)
        for source in (run.source, run.busiest)
    )
    return replace(run, source=memory, cpu_source=cpu)


def _unmeasured(folder: Path, *, run: Use | None, service: Served | None) -> str:
    lines = [t("Requests and limits are measured, and these were not yet:")]
    if run is None:
        lines.append(t("- a run. Type: relevo run {folder}", folder=folder))
    if service is None:
        lines.append(
            t(
                "- the service under load. Type: relevo serve {folder}, and beside it: relevo loadtest "
                "http://127.0.0.1:8000 --capacity --p95 200ms --out load.json; then export with --load-test load.json",
                folder=folder,
            )
        )
    lines.append(t("Or take guesses, which are marked as such, with --assume."))
    return "\n".join(lines)


def _newest(steps: Sequence[Step]) -> list[Step]:
    """The steps of the newest runs."""
    kept = list(dict.fromkeys(step.run for step in reversed(steps)))[:_RUNS]
    return [step for step in steps if step.run in kept]


def _run(steps: Sequence[Step]) -> Use | None:
    """The dearest step's memory and the busiest one's processors, of runs that trained."""
    trained = {step.run for step in steps if step.name.startswith("train:")}
    return _use(
        [
            _Taken(
                step.peak_rss_bytes,
                step.cpu_seconds,
                step.wall_seconds,
                t(
                    "step {step} of run {run}, {date}",
                    step=step.name,
                    run=step.run,
                    date=step.started_at[:10],
                ),
            )
            for step in steps
            if step.run in trained
        ]
    )


def _jobs(jobs: Sequence[Job]) -> dict[str, Use]:
    """What each kind of job took at most, of those that a scheduler measured."""
    taken: dict[str, list[_Taken]] = {}
    for job in jobs:
        memory, seconds = job.facts.get("peak_rss_bytes"), job.facts.get("seconds")
        if job.status != "done" or not memory or not seconds:
            continue
        source = t("job {job}, {date}", job=job.name, date=job.started_at[:10])
        one = _Taken(int(memory), float(job.facts["cpu_seconds"]), float(seconds), source)
        taken.setdefault(_NAMED.get(job.name, job.name), []).append(one)
    return {name: use for name, found in taken.items() if (use := _use(found)) is not None}


class _Taken(NamedTuple):
    """What a step or a job took."""

    memory: int
    cpu_seconds: float
    seconds: float
    source: str

    @property
    def cpu(self) -> float:
        """The processors on average."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


def _use(taken: Sequence[_Taken]) -> Use | None:
    """The dearest one's memory, and the processors of the busiest one that took long enough to tell."""
    if not taken:
        return None
    dearest = max(taken, key=lambda one: one.memory)
    busiest = max([one for one in taken if one.seconds >= _TELLING] or taken, key=lambda one: one.cpu)
    return Use(memory=dearest.memory, cpu=busiest.cpu, source=dearest.source, cpu_source=busiest.source)


def _most(one: Use | None, other: Use | None) -> Use | None:
    """The memory of the dearer one, and the processors of the busier one."""
    if one is None or other is None:
        return one or other
    dearer, busier = max(one, other, key=lambda use: use.memory), max(one, other, key=lambda use: use.cpu)
    return replace(dearer, cpu=busier.cpu, cpu_source=busier.busiest)


def _collect(load_test: Path | None, steps: Sequence[Step], known: Mapping[str, Use], run: Use) -> Use:
    """A job that collected, what the service saw of its own, or else the step that also appends to the lake."""
    if COLLECT in known:
        return known[COLLECT]
    seen = json.loads(load_test.read_text("utf-8"))["service"]["children_peak_bytes"] if load_test else 0
    if seen:
        return Use(
            memory=int(seen), cpu=0.0, source=t("{file}: a collection during the test", file=load_test)
        )
    taken = [step for step in steps if step.name == "ingest"]
    if not taken:
        return Use(memory=run.memory, cpu=0.0, source=run.source)
    top = max(taken, key=lambda step: step.peak_rss_bytes)
    source = t(
        "step ingest of run {run}, {date}, which writes to the lake too; not measured itself",
        run=top.run,
        date=top.started_at[:10],
    )
    return Use(memory=top.peak_rss_bytes, cpu=0.0, source=source)


def read(file: Path, project: str) -> Served:
    """What a load test's report says of the service; raises ``LoadTestError`` when it does not."""
    found = _document(file)
    service = found.get("service")
    if not isinstance(service, dict):
        raise LoadTestError(
            t(
                "{file}: says nothing of the service's own memory and processors. Test a Relevo service by itself, "
                "not a proxy; where keys are needed, with one that has the scopes predict and read.",
                file=file,
            )
        )
    if service.get("project") != project:
        raise LoadTestError(
            t(
                "{file}: is a test of {found}, not of {project}. Test this project's service.",
                file=file,
                found=service.get("project") or "?",
                project=project,
            )
        )
    rate = _rate(found)
    if found["limits"]["missed"] or not rate:
        raise LoadTestError(
            t(
                "{file}: the limits were missed, so it does not show what the service can do. Find that with "
                "--capacity --p95 200ms.",
                file=file,
            )
        )
    bound = found.get("kind") == "capacity"
    source = t(
        "{file}, {kind}, {date}: version {version}, {rate:,.0f} requests a second, {each:.0f} µs of processor each",
        file=file.name,
        kind=found.get("kind"),
        date=str(found.get("started_at"))[:10],
        version=service.get("version"),
        rate=rate,
        each=service["cpu_seconds_per_request"] * 1e6,
    )
    return Served(
        memory=int(service["resident_bytes"]),
        cpu=rate * float(service["cpu_seconds_per_request"]),
        rate=rate,
        workers=max(1, int(service["workers"])),
        source=source,
        bound=bound,
    )


def _rate(found: Mapping[str, Any]) -> float:
    """Requests a second: of a search, at the largest number of users within the limits."""
    users = found.get("capacity", {}).get("users")
    good = [
        level["figures"]["rate"]
        for level in found.get("levels", ())
        if level["users"] == users and not level["missed"]
    ]
    return float((good or [found["figures"]["rate"]])[-1] or 0.0)


def _document(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LoadTestError(t("{file}: cannot be read ({error}).", file=file, error=error)) from error
    wanted = {"figures", "limits", "kind", "started_at"}
    if not isinstance(found, dict) or found.get("format") != _FORMAT or not wanted <= found.keys():
        raise LoadTestError(
            t(
                "{file}: is no report of a load test. `relevo loadtest URL --capacity --p95 200ms --out FILE` "
                "writes one.",
                file=file,
            )
        )
    return found
