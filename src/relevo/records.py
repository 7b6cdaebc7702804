"""Records: facts that Relevo writes and never changes.

Times are ISO 8601 texts in UTC with microseconds; durations are seconds; sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relevo import clock

if TYPE_CHECKING:
    from collections.abc import Mapping


CHAMPION, CHALLENGER = "champion", "challenger"
"""The aliases: what answers, and what a release strategy tries beside it."""
WITHDRAW = "withdraw"
"""The act that leaves an alias without a version; the row names the version that had it."""


def now() -> str:
    """The time now, as records write it."""
    return clock.now().isoformat(timespec="microseconds")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A version of a lake table. ``id`` digests what it holds and how it was made."""

    id: str
    table: str
    version: int
    rows: int
    files: tuple[tuple[str, str], ...] = ()
    """(path as declared, SHA-256) of each source file whose rows count; raw snapshots only."""
    quarantined: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    changed: bool = True
    """Whether making it wrote rows; false when the same snapshot was there already."""


@dataclass(frozen=True, kw_only=True)
class Materialisation:
    """A keyed file of a history: the newest row of each key, for the columns that some package uses.

    ``shape`` digests how the history is made, ``layout`` the columns kept, ``snapshot`` is what was read.
    """

    project: str
    name: str
    shape: str
    layout: str
    snapshot: str
    sha256: str
    """Of the file, which bears it as its name."""
    rows: int
    bytes: int
    newest: str
    """The latest ``known_at`` in it, as the data has it; empty when it has no rows."""
    made_at: str
    number: int = 0
    """Rises with each that is recorded; 0 before."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a run: what went in, what came out and what it cost."""

    run: str
    name: str
    inputs: str
    """Digest of everything the step's output depends on."""
    status: str
    """``done``, ``reused`` (the same inputs were done before) or ``failed``."""
    output: Mapping[str, Any]
    started_at: str
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0
    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One walk to a release, or only to what is new.

    ``status`` is ``running``, ``failed``, ``released``, ``refused``, ``unchanged`` or ``watched``.
    """

    id: str
    project: str
    status: str
    started_at: str
    finished_at: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One fit of one candidate with one setting. ``state``: ``complete`` or ``pruned``."""

    run: str
    candidate: str
    number: int
    settings: Mapping[str, Any]
    state: str
    score: float | None
    """The metric on the folds' validation rows."""
    training_score: float | None
    """The metric on what was learned from; the gap between the two is penalised."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One check of a gate, whether it passed, and the sentence and figures that say why."""

    check: str
    passed: bool
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A gate's answer."""

    accepted: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered version: a semantic version and its package. ``status``: ``accepted``, ``refused``."""

    project: str
    version: str
    digest: str
    """SHA-256 of the package's manifest, which holds the digest of every other file."""
    run: str
    status: str
    algorithm: str
    metrics: Mapping[str, Any]
    verdict: Verdict
    change: str
    """Why the version number rose as it did."""
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """An alias moved. ``hash`` covers this row and the hash before it, so that no row can change unseen."""

    number: int
    project: str
    alias: str
    version: str
    previous: str
    who: str
    why: str
    act: str
    """``promote``, ``rollback``, ``challenge`` or ``withdraw``."""
    released_at: str
    previous_hash: str
    hash: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """A challenge's strategy, as ``Strategy.facts``; the evidence of an act that no person did."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How a challenger is tried, from its release on until the alias moves again.

    As a ``shadow`` it answers the same requests off the path, on at most the share ``cpu`` of one processor.
    As a ``canary`` it answers the share ``share`` of the callers, told apart by the request's field ``by``, or
    by their key where that is empty.
    """

    project: str
    version: str
    mode: str
    release: int
    """The number of the release that began it."""
    began_at: str
    who: str
    why: str
    share: float = 0.0
    by: str = ""
    cpu: float = 0.0

    @classmethod
    def of(cls, release: Release) -> Strategy:
        """Read the strategy that a challenge began."""
        return cls(
            project=release.project,
            version=release.version,
            release=release.number,
            began_at=release.released_at,
            who=release.who,
            why=release.why,
            **release.facts,
        )


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key to a project's service. The secret itself is nowhere; ``digest`` tells whether one is it."""

    project: str
    id: str
    name: str
    scopes: tuple[str, ...]
    method: str
    """What ``digest`` was made with: ``scrypt:N:r:p`` (RFC 7914)."""
    salt: str
    """Hexadecimal, as ``digest``."""
    digest: str
    rate: float | None
    """Requests per second; None is without a limit of its own."""
    concurrency: int | None
    """Requests at once."""
    who: str
    created_at: str
    expires_at: str
    """Empty when it does not expire."""
    revoked_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Window:
    """One interval watched, or one batch of rows: what was seen in it, and what that says.

    A window looked at again, since labels came late, is a window of its own with a greater ``number``.
    """

    project: str
    source: str
    """``requests`` (what the service answered), ``arrivals`` (new labelled rows) or ``scores`` (batch runs)."""
    unit: str
    """``hour``, ``day``, ``week`` or ``batch``."""
    name: str
    """When it began, as a local date or time; of a batch its name."""
    began_at: str
    ended_at: str
    version: str
    """The version that is watched."""
    rows: int
    inputs: str
    """Digest of what the window was made of."""
    figures: Mapping[str, Any]
    findings: tuple[Mapping[str, Any], ...]
    """What tells against the version or its data, worst first; see ``watching``."""
    made_at: str
    number: int = 0
    """Rises with each that is recorded; 0 before."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something a person should know. Its state is what its newest event says; see ``AlertEvent``."""

    id: str
    project: str
    signal: str
    """What it is about; one alert is open for a signal at a time: ``nulls:payer_code``, ``loss``."""
    severity: str
    """``page`` (the model's quality, or nothing works), ``warn`` (the data), ``note`` (good to know)."""
    title: str
    text: str
    evidence: Mapping[str, Any]
    opened_at: str


@dataclass(frozen=True, kw_only=True)
class AlertEvent:
    """What happened to an alert; ``alarm.Alarm`` says what follows from it.

    ``event``: ``opened``, ``again``, ``quiet`` (a window without it), ``acknowledged``, ``escalated`` or ``resolved``.
    """

    alert: str
    number: int
    at: str
    event: str
    who: str
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message about an alert's event that a channel is to carry. ``status``: ``waiting``, ``sent`` or ``failed``."""

    id: str
    project: str
    alert: str
    """Empty for a message that is about no alert."""
    event: int
    channel: str
    message: Mapping[str, Any]
    status: str
    due_at: str
    tries: int = 0
    error: str = ""
    sent_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided about renewal, and why.

    ``action`` is ``retrain``, ``quarantine``, ``note``, ``wait`` or ``roll back``.
    """

    id: str
    project: str
    at: str
    cause: str
    """``broken data``, ``drift``, ``loss``, ``fresh version``, ``no labels`` or ``explained``."""
    action: str
    text: str
    evidence: Mapping[str, Any]
    window: int = 0
    alert: str = ""
    run: str = ""
    """The run that it led to."""
    version: str = ""
    """The version that it is about."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something the scheduler has to do at a time, once.

    ``status`` is ``running``, ``done``, ``failed`` or ``skipped``.
    """

    project: str
    name: str
    due_at: str
    status: str
    holder: str
    attempt: int
    started_at: str
    finished_at: str = ""
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What another system was told of one of the ledger's facts, or would not take.

    Unlike other records it is changed: it says how things stand, and not what happened.
    """

    project: str
    server: str
    """Digest of the system's address."""
    kind: str
    key: str
    """The fact's own id: a run's, a version's number, an alias."""
    remote: str = ""
    """What the system knows it by."""
    state: str = ""
    """What of it was sent; the fact as it is now has another state when there is more to send."""
    error: str = ""
    """Why it was refused; empty when it was not."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to do something alone, until a time. ``token`` rises with each new holder."""

    project: str
    name: str
    holder: str
    token: int
    until: str
