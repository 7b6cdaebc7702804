"""Scores: a population is drawn, scored, decided, recorded in the lake, and listed in a file.

The lake table ``scores/<project>`` holds the newest scores of each period: the request's fields, ``_time``,
the segments, ``_probability``, ``_positive``, ``_naive`` (the rule of thumb), ``_version``, ``_rule`` (how was
decided), ``_scored_at``, ``_hindsight`` (outcomes of the period were known already), ``_inputs`` and the
partition ``_period``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import batch, casting, counted, header
from relevo import decide as decisions
from relevo import listing as listings
from relevo.bins import Bins
from relevo.errors import DataError
from relevo.ids import uuid7
from relevo.lake import explained, literal, running
from relevo.records import now
from relevo.sql import quote
from relevo.sql.plan import TIME
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.decide import Cut
    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.listing import Listing
    from relevo.package import ModelPackage
    from relevo.records import Snapshot

VERSION = 1
"""Raised when the same inputs would give other scores."""
PERIOD = "_period"
LEADING = 5
"""How many values an error names."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What scoring a period gave. ``fixed`` and ``expected`` are the two thresholds, side by side."""

    period: str
    version: str
    rule: str
    rows: int
    positive: int
    naive: int | None
    refused: int
    reasons: Mapping[str, int]
    fixed: Cut
    expected: Cut
    hindsight: bool
    lake_version: int
    listed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Drawn:
    """The population as the table ``request``; ``segments`` are its columns that are no request fields."""

    time: datetime
    period: str
    fields: tuple[str, ...]
    segments: tuple[str, ...]
    rows: int
    refused: int
    reasons: Mapping[str, int]


def table_of(project: str) -> str:
    """Name of the lake table with a project's scores."""
    return f"scores/{project}"


def period_of(time: datetime) -> str:
    """A period's name: its day, with the time of day unless that is midnight."""
    if time.time() == datetime.min.time():
        return f"{time:%Y-%m-%d}"
    return f"{time:%Y-%m-%dT%H%M%S}" + (f".{time:%f}" if time.microsecond else "")


def score_population(
    definition: Definition,
    lake: Lake,
    package: ModelPackage,
    *,
    version: str,
    clean: Mapping[str, Snapshot],
    histories: Mapping[str, Snapshot],
    inputs: str = "",
    listing: Listing | None = None,
) -> Scores:
    """Score the population with a package, put its scores in place of the period's former ones, and list them.

    ``clean`` are the snapshots of the clean tables, ``histories`` those of the histories, by name. Rows
    that break the request's contract are counted in ``refused`` with their reasons. Raises ``DataError``
    when the population has no row, several times, or one pair twice, and about the file of ``listing``;
    ``WorkspaceError`` when memory or disk do not suffice.
    """
    order = listings.order(package, listing) if listing else None
    with explained(lake.root), lake.connect() as connection:
        for name, snapshot in clean.items():
            lake.bind(connection, snapshot.table, as_=name, version=snapshot.version)
        drawn = _draw(connection, definition, package)
        hindsight = _known(connection, definition, drawn.time)
        batch.bind_histories(connection, package, definition, lake, histories, until=drawn.time)
        probability, naive, counts = _answers(connection, package, drawn.rows)
        positive = decisions.decide(
            package.manifest.decision,
            probability,
            threshold=package.threshold,
            groups=_groups(connection, package),
        )
        _join(connection, drawn, probability, positive, naive)
        rule = str(package.manifest.decision["rule"])
        # First the counts: were it killed in between, what is done again counts anew, and the newest counts.
        of = counted.Period(definition.name, version, package, drawn.period, drawn.time)
        counted.record(lake, connection, of, counted.Counted(drawn.rows, drawn.refused, 0, counts))
        lake_version = lake.replace_part(
            table_of(definition.name),
            connection.sql(_recorded(drawn, version, rule, inputs, hindsight=hindsight)),
            column=PERIOD,
            value=drawn.period,
            transaction=uuid7(),
        )
        return Scores(
            period=drawn.period,
            version=version,
            rule=rule,
            rows=drawn.rows,
            positive=int(positive.sum()),
            naive=None if naive is None else int(naive.sum()),
            refused=drawn.refused,
            reasons=drawn.reasons,
            fixed=decisions.cut_at(probability, package.threshold),
            expected=decisions.expected_f1(probability),
            hindsight=hindsight,
            lake_version=lake_version,
            listed=listings.write(connection, order, _shown(definition, package, drawn)) if order else None,
        )


def holds(lake: Lake, project: str, inputs: str) -> bool:
    """Whether the scores of some period are those that were made from ``inputs``."""
    name = table_of(project)
    if not lake.exists(name) or "_inputs" not in lake.columns(name):
        return False
    with lake.connect() as connection:
        lake.bind(connection, name, as_="scores")
        return bool(connection.execute("select 1 from scores where _inputs = ? limit 1", [inputs]).fetchall())


def _draw(connection: DuckDBPyConnection, definition: Definition, package: ModelPackage) -> _Drawn:
    """Make the table ``request``, numbered by ``_row`` in the order of the request's fields."""
    population, wanted = definition.population, definition.project.population
    if population is None or wanted is None:
        raise DataError(
            t("The project has no population. Write Population(…) in project.py and a population.sql.")
        )
    with running(population.file):
        connection.execute(f"create temp table _drawn as select * from (\n{population.sql}\n)")
    time = _time(connection, population.file, wanted.time)
    fields = tuple(f.name for f in package.request.fields if f.name in population)
    aliases = [package.request[name].alias for name in fields]
    header.check(package.request, aliases, place=population.file, forbid=False)
    segments = tuple(name for name in wanted.segments if name not in fields and name != wanted.time)
    cells = [
        f"cast({quote(n)} as varchar) as {quote(alias)}" for n, alias in zip(fields, aliases, strict=True)
    ]
    kept = [f"_segment_{place}" for place in range(len(segments))]
    cells += [f"{quote(name)} as {cell}" for name, cell in zip(segments, kept, strict=True)]
    query = casting.cleaning_query(package.request, aliases).select(
        f"(select {', '.join(cells)} from _drawn)", {cell: cell for cell in kept}
    )
    refused, reasons = _refused(connection, query)
    every = [quote(field.name) for field in package.request.fields]
    shown = [*every, *(f"{cell} as {quote(name)}" for name, cell in zip(segments, kept, strict=True))]
    connection.execute(
        f"""create temp table request as
        select row_number() over (order by {", ".join(every)}) - 1 as _row, {", ".join(shown)},
               cast('{time.isoformat(sep=" ")}' as timestamp) as {quote(TIME)}
        from ({query}) where not {casting.REFUSED} order by _row"""
    )
    connection.execute("drop table _drawn")
    _check_distinct(connection, population.file, package.request.names)
    rows = int(connection.execute("select count(*) from request").fetchall()[0][0])
    if not rows:
        raise DataError(
            t(
                "{file}: every row breaks the request's contract: {reasons}.",
                file=population.file,
                reasons=told(reasons),
            )
        )
    return _Drawn(time, period_of(time), tuple(package.request.names), segments, rows, refused, reasons)


def _time(connection: DuckDBPyConnection, file: str, column: str) -> datetime:
    query = f"select distinct cast({quote(column)} as timestamp) from _drawn order by 1 limit {LEADING}"
    found = [time for (time,) in connection.execute(query).fetchall()]
    if not found:
        raise DataError(
            t("{file} gives no row, so there is nothing to score. Check what it selects.", file=file)
        )
    if len(found) > 1 or found[0] is None:
        raise DataError(
            t(
                "{file}: all rows must have one time, and “{column}” has {values}. Score one period at a time.",
                file=file,
                column=column,
                values=", ".join("null" if time is None else str(time) for time in found),
            )
        )
    time: datetime = found[0]
    return time


def _refused(connection: DuckDBPyConnection, query: str) -> tuple[int, dict[str, int]]:
    """Count the rows that break the contract, and why, the most frequent reason first."""
    count = f"select count(*) from ({query}) where {casting.REFUSED}"
    refused = int(connection.execute(count).fetchall()[0][0])
    if not refused:
        return 0, {}
    kinds = f"select unnest(list_distinct({casting.KINDS})) as kind from ({query}) where {casting.REFUSED}"
    found = connection.execute(
        f"select kind, count(*) from ({kinds}) group by kind order by 2 desc, 1"
    ).fetchall()
    return refused, {str(kind): int(rows) for kind, rows in found}


def told(reasons: Mapping[str, int]) -> str:
    """Write the leading reasons with their numbers of rows."""
    return ", ".join(f"{kind} ({rows:,})" for kind, rows in list(reasons.items())[:LEADING])


def _check_distinct(connection: DuckDBPyConnection, file: str, names: Sequence[str]) -> None:
    listed = ", ".join(map(quote, names))
    found = connection.execute(
        f"select {listed}, count(*) from request group by {listed} having count(*) > 1 order by all limit 1"
    ).fetchall()
    if found:
        *values, count = found[0]
        row = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
        raise DataError(
            t(
                "{file}: {count} rows ask the same ({row}). Give each one row.",
                file=file,
                count=count,
                row=row,
            )
        )


def _known(connection: DuckDBPyConnection, definition: Definition, time: datetime) -> bool:
    """Whether outcomes of the period, or of a later one, are there already."""
    outcomes, wanted = definition.outcomes, definition.project.population
    if outcomes is None or wanted is None:
        return False
    with running(outcomes.file):
        query = (
            f"select 1 from (\n{outcomes.sql}\n) where cast({quote(wanted.time)} as timestamp) >= ? limit 1"
        )
        return bool(connection.execute(query, [time]).fetchall())


def _answers(
    connection: DuckDBPyConnection, package: ModelPackage, rows: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None, NDArray[np.int64]]:
    """Each row's probability, and what the rule of thumb says, by ``_row``; and the counts over the package's bins."""
    rule = package.manifest.naive
    probability = np.full(rows, np.nan)
    naive = None if rule is None else np.zeros(rows, np.bool_)
    added = {} if rule is None else {"_naive": f"coalesce({rule}, false)"}
    bins = Bins.of(package)
    counts = np.zeros(bins.size if bins is not None else 0, np.int64)
    for part in batch.scored(connection, package, carry=("_row",), added=added):
        if bins is not None:
            counts += bins.columns(part.features, part.probability)
        place = part.carried["_row"]
        probability[place] = part.probability
        if naive is not None:
            naive[place] = part.carried["_naive"]
    if np.isnan(probability).any():
        raise DataError(t("The features' SQL gives fewer rows than it is asked for."))
    return probability, naive, counts


def _groups(connection: DuckDBPyConnection, package: ModelPackage) -> Any:
    """Numbers of the values of the field that top-K counts within; None for another rule."""
    by = package.manifest.decision.get("by")
    if by is None:
        return None
    query = f"select dense_rank() over (order by {quote(by)}) as place from request order by _row"
    return connection.execute(query).fetchnumpy()["place"]


def _join(
    connection: DuckDBPyConnection,
    drawn: _Drawn,
    probability: NDArray[np.float64],
    positive: NDArray[np.bool_],
    naive: NDArray[np.bool_] | None,
) -> None:
    """Make the view ``_scores``: the request's rows with their answers."""
    answers: dict[str, Any] = {"_row": np.arange(drawn.rows), "_p": probability, "_yes": positive}
    connection.register("_answers", {**answers, "_rule": positive if naive is None else naive})
    columns = ", ".join(map(quote, (*drawn.fields, TIME, *drawn.segments)))
    rule = "cast(null as boolean)" if naive is None else "_rule"
    connection.execute(
        f"""create temp view _scores as
        select _row, {columns}, _p as _probability, _yes as _positive, {rule} as _naive
        from request join _answers using (_row)"""
    )


def _recorded(drawn: _Drawn, version: str, rule: str, inputs: str, *, hindsight: bool) -> str:
    return f"""select * exclude (_row), {literal(version)} as _version, {literal(rule)} as _rule,
        {literal(now())} as _scored_at,
        {str(hindsight).lower()} as _hindsight, {literal(inputs)} as _inputs, {literal(drawn.period)} as {PERIOD}
        from _scores order by _row"""


def _shown(definition: Definition, package: ModelPackage, drawn: _Drawn) -> listings.Shown:
    population, wanted = definition.population, definition.project.population
    assert population is not None
    assert wanted is not None
    return listings.Shown(
        drawn.fields, wanted.time, population.type_of(wanted.time), drawn.segments, package.labels
    )
