"""Made-up departures with the columns of the Santiago file, any number of them, the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AIRLINES = ["AAL", "ARG", "AVA", "CMP", "IBE", "JAT", "LAN", "SKU"]
DESTINATIONS = ["KMIA", "MPTO", "SAEZ", "SBGR", "SCCF", "SCDA", "SCFA", "SCIE", "SCTE", "SPJC"]
PERIODS = ["afternoon", "morning", "night"]
ABROAD = ("KMIA", "MPTO", "SAEZ", "SBGR", "SPJC")
COLUMNS = (
    "airline",
    "destination",
    "international",
    "month",
    "day",
    "weekday",
    "hour",
    "minute_of_day",
    "period_of_day",
    "high_season",
    "late",
)
"""Columns of the matrix. A text is the place of its level, a boolean 0 or 1."""
EDGES = [0, 4 * 60 + 59, 5 * 60, 11 * 60 + 59, 12 * 60, 18 * 60 + 59, 19 * 60, 23 * 60 + 59]
LAST_DAYS = [303, 731, 930, 1231]


def write(path: Path, rows: int) -> None:
    """Write a CSV file; every value follows from the row's number."""
    import duckdb

    def pick(levels: list[str], salt: int) -> str:
        return f"{levels!r}[cast(1 + hash(i, {salt}) % {len(levels)} as bigint)]"

    query = f"""
    with drawn as (
        select i, timestamp '2017-01-01' + to_minutes(cast(hash(i, 1) % 525600 as integer)) as scheduled,
               to_minutes(cast(hash(i, 2) % 70 as integer) - 15) as delay,
               100 + hash(i, 3) % 800 as number, {pick(AIRLINES, 4)} as airline, {pick(DESTINATIONS, 5)} as place
        from range({rows}) r(i)
    )
    select strftime(scheduled, '%Y-%m-%d %H:%M:%S') as "Fecha-I", number as "Vlo-I", 'SCEL' as "Ori-I",
           place as "Des-I", airline as "Emp-I", strftime(scheduled + delay, '%Y-%m-%d %H:%M:%S') as "Fecha-O",
           number as "Vlo-O", 'SCEL' as "Ori-O", place as "Des-O", airline as "Emp-O", day(scheduled + delay) as "DIA",
           month(scheduled + delay) as "MES", year(scheduled + delay) as "AÑO",
           ['Lunes', 'Martes', 'Miercoles', 'Jueves', 'Viernes', 'Sabado', 'Domingo'][isodow(scheduled + delay)]
               as "DIANOM",
           if(place in {ABROAD!r}, 'I', 'N') as "TIPOVUELO", 'Linea ' || airline as "OPERA",
           'Santiago' as "SIGLAORI", 'Ciudad ' || place as "SIGLADES"
    from drawn order by i
    """
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"copy ({query}) to '{path}' (format csv, header true)")
