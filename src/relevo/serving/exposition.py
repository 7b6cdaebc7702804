"""The metrics as Prometheus' text (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import clock
from relevo.serving import recorded
from relevo.serving.metrics import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from relevo.bins import Bins
    from relevo.serving.metrics import Metrics

    Sample = tuple[Mapping[str, object], float]
    Add = Callable[[str, str, str, Iterable[Sample]], None]


class Seen(NamedTuple):
    """What is known beside the counters when the text is written."""

    processes: Sequence[Mapping[str, Any]]
    """Of each process, ``relevo.serving.board.Share.gauges``."""
    model: Mapping[str, object] | None
    """Describes the version that answers."""
    created: float
    """When that version was made, Unix time."""
    backlog: int
    """Bytes that are logged and not yet in the lake."""
    lookups: Sequence[Mapping[str, Any]]
    """The histories of that version, as ``relevo.lookups.described``."""
    challenger: Mapping[str, Any] | None = None
    """What is tried beside it, as ``Challenger.described``."""
    bins: Bins | None = None
    """Over which the values of that version's features are counted."""


def text(metrics: Metrics, seen: Seen) -> str:
    """Write the counters of all processes, and what was seen."""
    lines: list[str] = []
    add = _writer(lines)
    _requests(add, metrics)
    _histogram(lines, metrics)
    _counters(add, metrics)
    _processes(add, seen.processes)
    _log(add, seen)
    _lookups(add, metrics, seen.lookups)
    _model(add, seen)
    _challenger(add, seen)
    _values(add, metrics, seen.bins)
    for one in seen.processes:
        if one.get("recorded") is not None:
            recorded.expose(add, one["recorded"])
    return "\n".join(lines) + "\n"


def _requests(add: Add, metrics: Metrics) -> None:
    requests = (({"route": route, "status": status}, n) for (route, status), n in metrics.requests.items())
    add("relevo_requests_total", "counter", "Requests by route and status.", requests)
    decided = (
        ({"version": version, "label": label}, count)
        for (version, labels), counts in metrics.predictions.items()
        for label, count in zip(labels, counts, strict=True)
    )
    add("relevo_predictions_total", "counter", "Predictions by version and label.", decided)
    refused = (({"kind": kind}, n) for kind, n in metrics.refusals.items())
    add("relevo_refusals_total", "counter", "Requests refused, by kind of problem.", refused)
    labelled = (({"label": label}, n) for label, n in metrics.labels.items())
    add("relevo_labels_total", "counter", "Outcomes received, by label.", labelled)
    unseen = (({"feature": name}, count[0]) for name, count in metrics.unseen.items())
    add("relevo_unseen_categories_total", "counter", "Texts that the model does not know.", unseen)


def _counters(add: Add, metrics: Metrics) -> None:
    for name, help_, value in (
        ("relevo_unknown_fields_total", "Fields that the contract does not name.", metrics.unknown_fields),
        ("relevo_batches_total", "Calls of the model; single requests share them.", metrics.batches),
        ("relevo_swaps_total", "Versions taken over since the start.", metrics.swaps),
        ("relevo_rollbacks_total", "Versions taken back by the service itself.", metrics.rollbacks),
        ("relevo_lookup_swaps_total", "Newer histories taken over since the start.", metrics.lookup_swaps),
        (
            "relevo_refused_packages_total",
            "Packages, or histories of one, that failed to load.",
            metrics.refused_packages,
        ),
        ("relevo_worker_restarts_total", "Workers started in place of dead ones.", metrics.restarts),
        ("process_cpu_seconds_total", "Processor time.", round(metrics.cpu, 3)),
    ):
        add(name, "counter", help_, [({}, value)])


def _processes(add: Add, processes: Sequence[Mapping[str, Any]]) -> None:
    workers = [one for one in processes if "version" in one]
    versions = Counter(one["version"] for one in workers)
    shown = [({"version": version}, n) for version, n in versions.items()]
    add("relevo_workers", "gauge", "Processes that answer, by version.", shown)
    up = min((one["ledger_up"] for one in workers), default=0)
    add("relevo_ledger_up", "gauge", "Whether the ledger answered when last asked.", [({}, up)])
    single = len(processes) == 1
    for name, part, help_ in (
        ("process_resident_memory_bytes", "resident", "Resident memory."),
        ("process_start_time_seconds", "started", "When the process began."),
        (
            "relevo_children_peak_memory_bytes",
            "children",
            "The most memory of a process that this one started and that ended, such as relevo collect.",
        ),
    ):
        samples = [({} if single else {"process": one["process"]}, one[part]) for one in processes]
        add(name, "gauge", help_, samples)


def _log(add: Add, seen: Seen) -> None:
    workers = [one for one in seen.processes if "unsynced" in one]
    for name, help_, value in (
        ("relevo_journal_backlog_bytes", "Logged and not yet in the lake.", seen.backlog),
        (
            "relevo_journal_unsynced_seconds",
            "How long the oldest line waits that is not on the disk.",
            max((one["unsynced"] for one in workers), default=0.0),
        ),
        (
            "relevo_journal_sync_seconds",
            "How long the disk took for the last lines.",
            max((one["sync_seconds"] for one in workers), default=0.0),
        ),
    ):
        add(name, "gauge", help_, [({}, value)])


def _lookups(add: Add, metrics: Metrics, lookups: Sequence[Mapping[str, Any]]) -> None:
    ages = [(one["name"], one["age_seconds"]) for one in lookups if one["age_seconds"] is not None]
    rows = [(one["name"], one["rows"]) for one in lookups]
    missing = [(name, count[0]) for name, count in metrics.missing.items()]
    for name, kind, help_, values in (
        ("relevo_lookup_age_seconds", "gauge", "Since the newest row of a history was known.", ages),
        ("relevo_lookup_rows", "gauge", "Keys of a history.", rows),
        ("relevo_lookup_missing_total", "counter", "Unknown keys asked of a history.", missing),
    ):
        add(name, kind, help_, [({"lookup": lookup}, value) for lookup, value in values])


def _values(add: Add, metrics: Metrics, bins: Bins | None) -> None:
    for name, help_, counted in (
        ("relevo_feature_missing_total", "Answered rows without a value.", metrics.lacking),
        ("relevo_feature_strange_total", "Values unlike all that were learned from.", metrics.strange),
    ):
        add(name, "counter", help_, (({"feature": feature}, n) for feature, n in counted.items()))
    counts = metrics.cells.get(bins.digest) if bins is not None else None
    if bins is None or counts is None:
        return
    cells: Counter[tuple[str, str]] = Counter()  # a text may be the same as the name of all others
    for signal in bins.single:
        for cell, n in zip(signal.cells, signal.of(counts).tolist(), strict=True):
            cells[signal.name, cell] += n
    samples = (({"feature": feature, "cell": cell}, n) for (feature, cell), n in cells.items())
    add("relevo_feature_values_total", "counter", "Answered rows by the value of a feature.", samples)


def _model(add: Add, seen: Seen) -> None:
    if seen.model is None:
        return
    add("relevo_model_info", "gauge", "The version that answers.", [(seen.model, 1)])
    for name, help_, value in (
        ("relevo_model_created_timestamp_seconds", "When that version was made.", seen.created),
        ("relevo_model_age_seconds", "Age of that version.", round(clock.seconds() - seen.created, 3)),
    ):
        add(name, "gauge", help_, [({}, value)])


def _histogram(lines: list[str], metrics: Metrics) -> None:
    name = "relevo_predict_seconds"
    lines += [f"# HELP {name} Time of predict in this process.", f"# TYPE {name} histogram"]
    total = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), metrics.seconds, strict=True):
        total += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
    lines += [f"{name}_sum {metrics.seconds_sum:.6f}", f"{name}_count {total}"]


def _writer(lines: list[str]) -> Add:
    def add(name: str, kind: str, help_: str, samples: Iterable[Sample]) -> None:
        lines.extend((f"# HELP {name} {help_}", f"# TYPE {name} {kind}"))
        for labels, value in samples:
            shown = ",".join(f'{key}="{_escape(str(value_))}"' for key, value_ in labels.items())
            lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")

    return add


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _challenger(add: Add, seen: Seen) -> None:
    challenger = seen.challenger
    if challenger is None:
        return
    shown = {"version": challenger["version"], "mode": challenger["mode"]}
    add("relevo_challenger_info", "gauge", "The version that is tried beside it.", [(shown, 1)])
    counts = [({"outcome": outcome}, count) for outcome, count in challenger["counts"].items()]
    help_ = "Requests that the version tried was asked since it began here."
    add("relevo_challenger_requests_total", "counter", help_, counts)
