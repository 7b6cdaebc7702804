"""Listings: the scores of a population as a file to work through, such as a call centre's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import score as files
from relevo.errors import DataError
from relevo.lake import literal
from relevo.sql import quote
from relevo.sql.plan import TIME
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from relevo.package import ModelPackage

ADDED = ("probability", "decision")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What goes into a file: ``all`` pairs, the ``positive`` ones, or the ``top`` k of each value of ``by``.

    Without ``k`` and ``by`` they are those of the decision rule, or of what the project recommends.
    """

    path: Path
    rows: str = "all"
    k: int | None = None
    by: str | None = None


@dataclass(frozen=True)
class Order:
    """A listing that can be written: its format, which rows, and the field that keeps rows together."""

    path: Path
    kind: str
    rows: str
    k: int
    by: str | None


@dataclass(frozen=True)
class Shown:
    """The columns of a listing: the request's fields, the time and its type, segments, and the two labels."""

    fields: tuple[str, ...]
    time: str
    time_type: str
    segments: tuple[str, ...]
    labels: tuple[str, str]


def order(package: ModelPackage, listing: Listing) -> Order:
    """Complete a listing from the package; raises ``DataError`` about what is missing, and about the file."""
    decision, recommend = package.manifest.decision, package.manifest.recommend or {}
    by = listing.by or decision.get("by") or recommend.get("by")
    k = listing.k or decision.get("k") or recommend.get("k")
    if by is not None and by not in package.request:
        names = ", ".join(package.request.names)
        raise DataError(
            t("--by {name}: the request has no such field. Its fields are: {names}.", name=by, names=names)
        )
    if listing.rows == "top" and (not k or not by):
        raise DataError(t("Say how many of each: --top K --by FIELD."))
    return Order(listing.path, files.kind_of(listing.path), listing.rows, int(k or 0), by)


def write(connection: DuckDBPyConnection, order: Order, shown: Shown) -> int:
    """Write the view ``_scores``: by the field that keeps rows together, the likeliest first; gives the rows."""
    group = f"{quote(order.by)}, " if order.by else ""
    kept = {
        "all": "",
        "positive": "where _positive",
        "top": f"qualify row_number() over (partition by {group.rstrip(', ')} order by _probability desc, _row)"
        f" <= {order.k}",
    }[order.rows]
    taken = {name.casefold() for name in (*shown.fields, *shown.segments, shown.time)}
    probability, decision = (f"relevo_{name}" if name in taken else name for name in ADDED)
    no, yes = map(literal, shown.labels)
    cells = [quote(name) for name in shown.fields]
    cells.append(f"cast({quote(TIME)} as {shown.time_type}) as {quote(shown.time)}")
    cells += [quote(name) for name in shown.segments]
    cells.append(f"_probability as {quote(probability)}")
    cells.append(f"case when _positive then {yes} else {no} end as {quote(decision)}")
    query = f"select {', '.join(cells)} from _scores {kept} order by {group} _probability desc, _row"
    files.write(connection, query, order.path.absolute(), order.kind)
    counted = connection.execute(f"select count(*) from (select _row from _scores {kept})").fetchall()
    return int(counted[0][0])
