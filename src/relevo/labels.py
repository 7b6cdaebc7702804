"""Labels beside the predictions that they are of: what was answered, and what came true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.casting import SQL_TYPES, literal
from relevo.journal import LABELS, PREDICTIONS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from relevo.contract import Contract, Field
    from relevo.lake import Lake

_EMPTY = {
    PREDICTIONS: """select null::varchar as id, null::timestamp as "at", null::varchar as project,
        null::varchar as version, null::varchar as digest, null::double as probability,
        null::boolean as decision, null::varchar as label, null::varchar as request limit 0""",
    LABELS: """select null::varchar as id, null::timestamp as received_at, null::varchar as project,
        null::varchar as prediction, null::varchar as "key", null::timestamp as "time",
        null::boolean as outcome, null::varchar as label, null::timestamp as "at" limit 0""",
}
# Of each prediction the newest label counts; of two received at once the one with the greater id, so that the
# answer is the same each time. A label that says what the one before it said is no correction.
_CURRENT = """
with told as (
    select
        *,
        lag(struct_pack(outcome, outcome_at)) over in_order as before,
        count(*) over (partition by prediction) as labels,
    from of_label
    window in_order as (partition by prediction order by received_at, label_id)
),
newest as (
    select
        prediction,
        max_by(struct_pack(outcome, outcome_label, outcome_at, received_at),
               struct_pack(received_at, label_id)) as last,
        count(*) filter (before is not null and before is distinct from struct_pack(outcome, outcome_at))
            as corrections,
    from told
    group by prediction
)
select
    p.id, p."at", p.version, p.probability, p.decision, p.label, p.request,
    last.outcome as outcome, last.outcome_label as outcome_label, last.outcome_at as outcome_at,
    last.received_at as received_at, corrections
from newest n join _predictions p on p.id = n.prediction
"""


def current(connection: DuckDBPyConnection, lake: Lake, project: str, request: Contract) -> DuckDBPyRelation:
    """The labelled predictions of a project, each once, with the outcome that counts now.

    Columns: those of the prediction (``id at version probability decision label request``), then ``outcome``
    (whether the positive class came true), ``outcome_label``, ``outcome_at`` (null when it was not said),
    ``received_at`` of the label that counts, and ``corrections``, how often the outcome was changed.
    ``request`` tells how the fields of a key are compared. A key means the newest prediction with these values
    that was asked at or before the label's time; where there is none, the label waits.
    """
    for stream in (PREDICTIONS, LABELS):
        lake_table = f"_{stream}"
        if lake.exists(stream):
            lake.bind(connection, stream, as_=f"_lake_{stream}")
            query = f"select * from _lake_{stream} where project = {literal(project)}"
        else:
            query = _EMPTY[stream]
        connection.execute(f"create or replace temp view {lake_table} as {query}")
    parts = [
        """select prediction, id as label_id, received_at, outcome, label as outcome_label, "at" as outcome_at
        from _labels where prediction is not null"""
    ]
    kinds = connection.execute(
        'select distinct json_keys("key") from _labels where "key" is not null order by all'
    ).fetchall()
    parts += [_keyed(keys, request) for (keys,) in kinds]
    connection.execute(f"create or replace temp view of_label as {' union all by name '.join(parts)}")
    return connection.sql(_CURRENT)


def _keyed(keys: list[str], request: Contract) -> str:
    """Labels whose key has just these fields, with the prediction that each is of."""
    known = {field.alias: field for field in request.fields}
    label, asked = (
        f"to_json([{', '.join(cell(source, key, known.get(key)) for key in keys)}])"
        for source in ('l."key"', "p.request")
    )
    same = " and ".join(f'json_exists(l."key", {literal(_pointer(key))})' for key in keys)
    return f"""
        select p.prediction, l.label_id, l.received_at, l.outcome, l.outcome_label, l.outcome_at
        from (
            select id as label_id, received_at, outcome, label as outcome_label, "at" as outcome_at, "time",
                {label} as "key"
            from _labels l where len(json_keys(l."key")) = {len(keys)} and {same}
        ) l
        asof join (select id as prediction, "at", {asked} as "key" from _predictions p) p
            on l."key" = p."key" and l."time" >= p."at"
    """


def cell(source: str, key: str, field: Field | None) -> str:
    """SQL of a request's field as text, the same for every way in which a client may write it."""
    spelled = [key] if field is None else list(dict.fromkeys((field.alias, field.name)))
    found = ", ".join(f"json_extract_string({source}, {literal(_pointer(name))})" for name in spelled)
    kind = "VARCHAR" if field is None else SQL_TYPES[field.type]
    return f"cast(try_cast(coalesce({found}) as {kind}) as varchar)"


def _pointer(key: str) -> str:
    """The JSON pointer of a member (RFC 6901)."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
