"""Clean: raw rows that keep the contract become typed rows; the others go to quarantine with their reasons.

Both are computed from ``raw`` each time, so a change of the contract replays every row. ``clean/<table>`` and
``quarantine/<table>`` hold one snapshot at a time; earlier ones stay readable as versions of the table. The
quarantine is written first, so it can be looked at when there is too much of it. ``relevo.casting`` says
what a cell may look like.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from relevo import casting, header, interrupts, reading, spellings
from relevo import digest as digests
from relevo.casting import CleaningSQL, cleaning_query, literal
from relevo.errors import DataError, RelevoError
from relevo.lake import explained, first_line
from relevo.records import Snapshot
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from relevo.contract import Contract
    from relevo.lake import Lake
    from relevo.project import Table

__all__ = ["CleaningSQL", "clean", "cleaning_query"]

VERSION = 2
"""Raised when the same raw rows would give other clean ones."""
ID = f"left(_file, 16) || ':' || {reading.ROW}"
ROWS = 1 << 40
"""More than a file has rows: a row's place in the order of files and rows is one number."""
SAMPLES = 3
LEADING = 5
_MARK = "\0"


def clean(
    table: Table, contract: Contract, lake: Lake, raw: Snapshot, *, limit: float, where_sql: str | None = None
) -> Snapshot:
    """Clean a raw snapshot; ``where_sql`` is a condition over clean columns that rows must meet to be kept.

    Raises ``DataError`` when the share of quarantined rows exceeds ``limit`` or no row is left.
    """
    connection = lake.connect()
    try:
        with explained(lake.scratch):
            return _clean(connection, table, contract, lake, raw, limit, where_sql)
    finally:
        connection.close()


def _clean(
    connection: DuckDBPyConnection,
    table: Table,
    contract: Contract,
    lake: Lake,
    raw: Snapshot,
    limit: float,
    where_sql: str | None,
) -> Snapshot:
    identity = snapshot_id(table, contract, raw, where_sql)
    name, aside = f"clean/{table.name}", f"quarantine/{table.name}"
    version = lake.done(name, f"clean:{identity}")
    changed = version is None
    if changed:
        _bind(connection, table, contract, lake, raw)
        with _filtering(connection, table):
            _sort(connection, table, contract, where_sql)
            refused = connection.sql(f"select *, {literal(identity)} as snapshot from refused")
            lake.replace(aside, refused, transaction=f"quarantine:{identity}")
    version_aside = lake.done(aside, f"quarantine:{identity}")
    lake.bind(connection, aside, as_="quarantined", version=version_aside)
    quarantined, reasons = _count(connection, "quarantined"), _kinds(connection)
    if quarantined > limit * raw.rows or quarantined == raw.rows:
        raise DataError(_too_many(connection, table, quarantined, raw.rows, limit, reasons))
    if version is None:
        columns = ", ".join(["_id", *(quote(field.name) for field in contract.fields)])
        with _filtering(connection, table):
            _check_left(connection, table, raw.rows, quarantined)
            kept = connection.sql(f"select {columns} from kept")
            version = lake.replace(name, kept, transaction=f"clean:{identity}")
    lake.bind(connection, name, as_="cleaned", version=version)
    return Snapshot(
        id=identity,
        table=name,
        version=version,
        rows=_count(connection, "cleaned"),
        quarantined=quarantined,
        reasons=reasons,
        changed=changed,
    )


def snapshot_id(table: Table, contract: Contract, raw: Snapshot, where_sql: str | None) -> str:
    """Digest of all that the clean rows depend on; the same on every machine."""
    return digests.of_json(
        {
            "raw": raw.id,
            "contract": contract.to_json(),
            "nulls": list(table.nulls),
            "unique": list(table.unique),
            "key": list(table.row_key),
            "where": where_sql,
            "version": [VERSION, casting.VERSION],
        }
    )


def _bind(
    connection: DuckDBPyConnection, table: Table, contract: Contract, lake: Lake, raw: Snapshot
) -> None:
    """Make the view ``raw`` of the rows in force, and the view ``casted`` of the undamaged ones, typed."""
    lake.bind(connection, raw.table, as_="all_raw", version=raw.version)
    condition = reading.in_force(table.source, [content for _, content in raw.files])
    connection.execute(f"create view raw as select * from all_raw where {condition}")
    columns = [name for name in lake.columns(raw.table) if name not in reading.RESERVED]
    header.check(contract, columns, place=raw.table, forbid=False)
    _check_patterns(connection, contract)
    places = ", ".join(literal(content) for _, content in raw.files)
    rows = ", ".join(literal(t("{file}, row {row}", file=name, row="")) for name, _ in raw.files)
    connection.execute(f"create macro place(at_) as [{rows}][at_ // {ROWS}] || at_ % {ROWS}")
    packed = ", ".join(f"{quote(name)} := {quote(name)}" for name in columns)
    carry = {
        "_id": ID,
        "_row": "_row",
        "_at": f"(list_position([{places}], _file) * {ROWS} + _row)",
        "_file": "_file",
        "_source": "_source",
        "_json": "_json",
    }
    united = spellings.united(connection, "raw", contract, columns)
    cells = ", ".join(f"{cell} as {quote(column)}" for column, cell in united.items())
    shown = f"* replace ({cells})" if united else "*"
    undamaged = f"select *, to_json(struct_pack({packed})) as _json from raw where _defect is null"
    query = cleaning_query(contract, columns, table.nulls).select(
        f"(select {shown} from ({undamaged}))", carry
    )
    connection.execute(f"create view casted as {query}")


def _check_patterns(connection: DuckDBPyConnection, contract: Contract) -> None:
    import duckdb

    for field in contract.fields:
        if field.pattern is None:
            continue
        try:
            connection.execute("select regexp_matches('', ?)", [casting.re2(field.pattern)]).fetchall()
        except duckdb.Error as error:
            raise DataError(
                t(
                    "{contract}.{field}: tables cannot be checked with the pattern {pattern}: {error}. Write it"
                    " without that.",
                    contract=contract.name,
                    field=field.name,
                    pattern=field.pattern,
                    error=first_line(error),
                )
            ) from error


def _sort(connection: DuckDBPyConnection, table: Table, contract: Contract, where_sql: str | None) -> None:
    """Make the views ``refused`` and ``kept``; neither is ever held in memory whole."""
    damaged = t("damaged row")
    refused = [
        f"""select {ID} as _id, _source, _file, _row, cast(to_json({{'_line': _line}}) as varchar) as row,
               [{literal(damaged + ": ")} || _defect] as reasons, [{literal(damaged)}] as kinds
        from raw where _defect is not null""",
        f"""select _id, _source, _file, _row, cast(_json as varchar) as row,
               {casting.REASONS} as reasons, {casting.KINDS} as kinds
        from casted where {casting.REFUSED}""",
    ]
    condition = f"and ({where_sql})" if where_sql else ""
    connection.execute(
        f"create view accepted as select * from casted where not {casting.REFUSED} {condition}"
    )
    alike = [columns for columns in (table.row_key, tuple(table.unique)) if columns]
    for number, columns in enumerate(alike):
        _find_doubles(connection, number, columns)
    faults = [*_null_faults(table, contract)]
    faults += [_double_fault(number, columns, contract) for number, columns in enumerate(alike)]
    joins = " ".join(f"left join later{n} on _at = later{n}.place" for n in range(len(alike)))
    faulty = " or ".join(when for when, _, _ in faults) or "false"
    if faults:
        reasons, kinds = (
            ", ".join(f"case when {fault[0]} then {fault[part]} end" for fault in faults) for part in (1, 2)
        )
        refused.append(
            f"""select _id, _source, _file, _row, cast(_json as varchar) as row,
                   list_filter([{reasons}], lambda said: said is not null) as reasons,
                   list_filter([{kinds}], lambda said: said is not null) as kinds
            from accepted {joins} where {faulty}"""
        )
    connection.execute(f"create view refused as {' union all by name '.join(refused)}")
    connection.execute(f"create view kept as select accepted.* from accepted {joins} where not ({faulty})")


def _null_faults(table: Table, contract: Contract) -> Iterator[tuple[str, str, str]]:
    for key in table.row_key:
        said = [t("is empty, but it is part of the key"), t("empty, but part of the key")]
        sentence, kind = (literal(f"{contract[key].alias}: {text}") for text in said)
        yield f"{quote(key)} is null", sentence, kind


def _double_fault(number: int, columns: Sequence[str], contract: Contract) -> tuple[str, str, str]:
    aliases = ", ".join(contract[column].alias for column in columns)
    first = f"later{number}.first"
    before, _, after = t("the same as in {place}", place=_MARK).partition(_MARK)
    sentence = f"{literal(f'{aliases}: {before}')} || place({first}) || {literal(after)}"
    return (
        f"later{number}.place is not null",
        sentence,
        literal(f"{aliases}: {t('the same as in an earlier row')}"),
    )


@contextmanager
def _filtering(connection: DuckDBPyConnection, table: Table) -> Iterator[None]:
    """Say of a condition that stops at some row that it does; it is tried by itself, for the engine may not tell."""
    import duckdb

    try:
        with interrupts.heard():
            yield
    except RelevoError:
        raise
    except Exception:
        if table.where is not None:
            try:
                connection.execute("select count(*) from accepted").fetchall()
            except duckdb.OperationalError:  # memory or disk
                raise
            except duckdb.Error as error:
                what = t("the condition “{where}” of the table {table}", where=table.where, table=table.name)
                raise DataError(
                    t(
                        "{what} cannot be computed for every row: {error}. Write it so that such a row gives null, with"
                        " case when … end for example.",
                        what=what,
                        error=first_line(error),
                    )
                ) from error
        raise


def _find_doubles(connection: DuckDBPyConnection, number: int, columns: Sequence[str]) -> None:
    """Find all but the first of the rows that share these columns, none of them null."""
    names = ", ".join(quote(column) for column in columns)
    filled = " and ".join(f"{quote(column)} is not null" for column in columns)
    connection.execute(
        f"""create table later{number} as select _at as place, first
        from accepted join (
            select {names}, min(_at) as first from accepted where {filled}
            group by {names} having count(*) > 1
        ) using ({names}) where _at > first"""
    )


def _count(connection: DuckDBPyConnection, name: str) -> int:
    row = connection.execute(f"select count(*) from {name}").fetchall()[0]
    return int(row[0]) if row else 0


def _kinds(connection: DuckDBPyConnection) -> dict[str, int]:
    """Count the refused rows by reason, the most frequent first."""
    counted = connection.execute(
        """select kind, count(*) from (select unnest(list_distinct(kinds)) as kind from quarantined)
        group by kind order by 2 desc, 1"""
    )
    return {str(kind): int(count) for kind, count in counted.fetchall()}


def _check_left(connection: DuckDBPyConnection, table: Table, rows: int, quarantined: int) -> None:
    if not connection.execute("select 1 from kept limit 1").fetchall():
        raise DataError(
            t(
                "{table}: no row is left: {quarantined:,} of {rows:,} are in quarantine and the others do not meet"
                " {where}. Correct the condition or the data.",
                table=table.name,
                quarantined=quarantined,
                rows=rows,
                where=f"“{table.where}”",
            )
        )


def _too_many(
    connection: DuckDBPyConnection,
    table: Table,
    quarantined: int,
    rows: int,
    limit: float,
    reasons: Mapping[str, int],
) -> str:
    samples = connection.execute(
        f"""select _source, _row, array_to_string(reasons, '; ') from quarantined
        order by _source, _row limit {SAMPLES}"""
    ).fetchall()
    leading = [f"{kind} ({count:,})" for kind, count in list(reasons.items())[:LEADING]]
    if len(reasons) > LEADING:
        leading.append(t("{number} more", number=len(reasons) - LEADING))
    shown = [t("{file}, row {row}: {reasons}", file=f, row=row, reasons=said) for f, row, said in samples]
    return "\n".join(
        [
            t(
                "{table}: {quarantined:,} of {rows:,} rows ({share:.1%}) break the contract, and only {limit:.1%}"
                " may.",
                table=table.name,
                quarantined=quarantined,
                rows=rows,
                share=quarantined / rows,
                limit=limit,
            ),
            t("Reasons: {reasons}.", reasons=", ".join(leading)),
            *shown,
            t(
                "All of them: relevo sql 'from quarantine.{table}'. Correct the data, the contract or the source's"
                " options, or raise max_quarantined.",
                table=table.name,
            ),
        ]
    )
