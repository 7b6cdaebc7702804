"""One way from a raw file to a feature matrix: python -m support.features (rows|pandas|tuned|relevo) FILE.

Prints seconds, peak memory and the matrix's digest as JSON; a small matrix is kept beside the file.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, Field
from support.departures import AIRLINES, COLUMNS, DESTINATIONS, PERIODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

SMALL = 1_000_000
FORMAT = "%Y-%m-%d %H:%M:%S"
PERIOD_NAMES = {"mañana": "morning", "tarde": "afternoon", "noche": "night"}


strptime = datetime.strptime


def period(date: str) -> str | None:
    """As in the notebook, which knows none for the first and the last minute of each."""
    at = strptime(date, FORMAT).time()
    morning_min, morning_max = strptime("05:00", "%H:%M").time(), strptime("11:59", "%H:%M").time()
    afternoon_min, afternoon_max = strptime("12:00", "%H:%M").time(), strptime("18:59", "%H:%M").time()
    evening_min, evening_max = strptime("19:00", "%H:%M").time(), strptime("23:59", "%H:%M").time()
    night_min, night_max = strptime("00:00", "%H:%M").time(), strptime("4:59", "%H:%M").time()
    if morning_min < at < morning_max:
        return "mañana"
    if afternoon_min < at < afternoon_max:
        return "tarde"
    if evening_min < at < evening_max or night_min < at < night_max:
        return "noche"
    return None


def season(date: str) -> int:
    """As in the notebook, for which a season's last day ends when it begins."""
    year = int(date.split("-", maxsplit=1)[0])
    at = strptime(date, FORMAT)
    begin1, end1 = (strptime(day, "%d-%b").replace(year=year) for day in ("15-Dec", "31-Dec"))
    begin2, end2 = (strptime(day, "%d-%b").replace(year=year) for day in ("1-Jan", "3-Mar"))
    begin3, end3 = (strptime(day, "%d-%b").replace(year=year) for day in ("15-Jul", "31-Jul"))
    begin4, end4 = (strptime(day, "%d-%b").replace(year=year) for day in ("11-Sep", "30-Sep"))
    return int(begin1 <= at <= end1 or begin2 <= at <= end2 or begin3 <= at <= end3 or begin4 <= at <= end4)


def minutes(row: Any) -> float:
    """As in the notebook."""
    difference: timedelta = strptime(row["Fecha-O"], FORMAT) - strptime(row["Fecha-I"], FORMAT)
    return difference.total_seconds() / 60


def prepare_rows() -> Callable[[Path], Matrix]:
    """Import what the notebook imports."""
    import pandas as pd

    def make(path: Path) -> Matrix:
        data = pd.read_csv(path)
        data["periodo_dia"] = data["Fecha-I"].apply(period)
        data["temporada_alta"] = data["Fecha-I"].apply(season)
        data["dif_min"] = data.apply(minutes, axis=1)
        data["atraso_15"] = np.where(data["dif_min"] > 15, 1, 0)
        at = pd.to_datetime(data["Fecha-I"], format=FORMAT).dt
        periods = data["periodo_dia"].map(
            {spanish: PERIODS.index(name) for spanish, name in PERIOD_NAMES.items()}
        )
        columns = [
            pd.Categorical(data["Emp-I"], AIRLINES).codes,
            pd.Categorical(data["Des-I"], DESTINATIONS).codes,
            data["TIPOVUELO"] == "I",
            at.month,
            at.day,
            at.day_of_week + 1,
            at.hour,
            at.hour * 60 + at.minute,
            periods,
            data["temporada_alta"],
            data["atraso_15"],
        ]
        return filled(columns)

    return make


def filled(columns: list[Any]) -> Matrix:
    """Put columns side by side."""
    matrix = np.empty((len(columns[0]), len(columns)), np.float32)
    for place, column in enumerate(columns):
        matrix[:, place] = column
    return matrix


def prepare_pandas() -> Callable[[Path], Matrix]:
    """Import pandas; the code is what a careful data scientist writes."""
    import pandas as pd

    def make(path: Path) -> Matrix:
        types = dict.fromkeys(("Emp-I", "Des-I", "TIPOVUELO"), "category")
        data = pd.read_csv(path, usecols=["Fecha-I", "Fecha-O", *types], dtype=types)
        scheduled = pd.to_datetime(data["Fecha-I"], format=FORMAT)
        left = pd.to_datetime(data["Fecha-O"], format=FORMAT)
        at = scheduled.dt
        date, hour = at.month * 100 + at.day, at.hour
        morning, afternoon = hour.between(5, 11), hour.between(12, 18)
        period = np.where(morning, "morning", np.where(afternoon, "afternoon", "night"))
        season = (date >= 1215) | (date <= 303) | date.between(715, 731) | date.between(911, 930)
        features = {
            "airline": data["Emp-I"].cat.set_categories(AIRLINES).cat.codes,
            "destination": data["Des-I"].cat.set_categories(DESTINATIONS).cat.codes,
            "international": data["TIPOVUELO"] == "I",
            "month": at.month,
            "day": at.day,
            "weekday": at.day_of_week + 1,
            "hour": hour,
            "minute_of_day": hour * 60 + at.minute,
            "period_of_day": pd.Categorical(period, PERIODS).codes,
            "high_season": season,
            "late": left - scheduled > pd.Timedelta(minutes=15),
        }
        return pd.DataFrame(features).to_numpy(np.float32)

    return make


def prepare_tuned() -> Callable[[Path], Matrix]:
    """As ``prepare_pandas``, by one who knows where the time goes: no text is made, nothing is copied twice."""
    import pandas as pd

    def make(path: Path) -> Matrix:
        types = {
            "Emp-I": pd.CategoricalDtype(AIRLINES),
            "Des-I": pd.CategoricalDtype(DESTINATIONS),
            "TIPOVUELO": pd.CategoricalDtype(["I", "N"]),
        }
        data = pd.read_csv(path, usecols=["Fecha-I", "Fecha-O", *types], dtype=types)
        scheduled = pd.to_datetime(data["Fecha-I"], format=FORMAT)
        left = pd.to_datetime(data["Fecha-O"], format=FORMAT)
        at = scheduled.dt
        month, day, hour = at.month.to_numpy(), at.day.to_numpy(), at.hour.to_numpy()
        date = month * 100 + day
        season = (
            (date >= 1215) | (date <= 303) | ((date >= 715) & (date <= 731)) | ((date >= 911) & (date <= 930))
        )
        period = np.where((hour >= 5) & (hour <= 11), 1, np.where((hour >= 12) & (hour <= 18), 0, 2))
        columns = [
            data["Emp-I"].cat.codes,
            data["Des-I"].cat.codes,
            data["TIPOVUELO"].cat.codes == 0,
            month,
            day,
            at.day_of_week + 1,
            hour,
            hour * 60 + at.minute,
            period,
            season,
            left - scheduled > pd.Timedelta(minutes=15),
        ]
        return filled(columns)

    return make


class Departure(BaseModel):
    """The contract: what a departure must look like."""

    scheduled_at: datetime = Field(alias="Fecha-I")
    destination: str = Field(alias="Des-I", pattern="^[A-Z]{4}$")
    airline: str = Field(alias="Emp-I", pattern="^[A-Z0-9]{2,3}$")
    flight_type: Literal["I", "N"] = Field(alias="TIPOVUELO")
    departed_at: datetime = Field(alias="Fecha-O")


FEATURES = """
select
    airline,
    destination,
    flight_type = 'I' as international,
    month(scheduled_at) as month,
    day(scheduled_at) as day,
    isodow(scheduled_at) as weekday,
    hour(scheduled_at) as hour,
    hour(scheduled_at) * 60 + minute(scheduled_at) as minute_of_day,
    case when hour between 5 and 11 then 'morning'
         when hour between 12 and 18 then 'afternoon'
         else 'night' end as period_of_day,
    month * 100 + day >= 1215 or month * 100 + day <= 303
        or month * 100 + day between 715 and 731 or month * 100 + day between 911 and 930 as high_season
from request
"""
LEVELS = {"airline": AIRLINES, "destination": DESTINATIONS, "period_of_day": PERIODS}


def prepare_relevo() -> Callable[[Path], Matrix]:
    """Compile contract, features and target, as opening a project does."""
    import duckdb  # noqa: F401 - loaded before the clock starts, as pandas is
    from arro3.core import RecordBatchReader

    from relevo import casting, contract, reading, sql
    from relevo.lake import Lake
    from relevo.sources import Files

    departure = contract.read(Departure)
    columns = [sql.Column(field.name, field.type) for field in departure.fields]
    plan = sql.compile_features(FEATURES, request=columns[:4], outcome=["departed_at"])
    target, _ = sql.compile_expression(
        "date_diff('minute', scheduled_at, departed_at) > 15",
        columns=columns,
        file="project.py",
        field="target",
    )

    def make(path: Path) -> Matrix:
        lake = Lake(path.parent / "lake", memory_limit="1GB", scratch=path.parent)
        with lake.connect() as connection:
            source = Files(str(path))
            (file,) = reading.find(source, path.parent)
            layout = reading.inspect(connection, file, source, departure)
            found = reading.read(connection, file, source, departure, path.parent, layout=layout)
            cleaned = casting.cleaning_query(departure, found.columns).select(f"({found.sql})")
            connection.execute(
                f"create view request as select *, {target} as late from ({cleaned}) where not {casting.REFUSED}"
            )
            cells = ", ".join(
                f"cast({f'list_position({LEVELS[name]!r}, {name}) - 1' if name in LEVELS else name} as float)"
                for name in COLUMNS
            )
            relation = connection.sql(f"select {cells} from ({plan.batch_sql(['late'])})")
            return gathered(RecordBatchReader.from_arrow(relation), path)

    return make


def gathered(batches: Iterable[Any], path: Path) -> Matrix:
    """Fill one matrix batch by batch; its height is guessed from the file's beginning."""
    with path.open("rb") as file:
        beginning = file.read(1 << 20)
    guess = path.stat().st_size * beginning.count(b"\n") // len(beginning)
    columns = np.empty((len(COLUMNS), guess + guess // 20), np.float32)
    rows = 0
    for batch in batches:
        end = rows + batch.num_rows
        if end > columns.shape[1]:
            columns = np.concatenate([columns[:, :rows], np.empty_like(columns)], axis=1)
        for place, column in enumerate(batch.columns):
            columns[place, rows:end] = column.to_numpy()
        rows = end
    return columns[:, :rows].T


def peak_memory() -> int:
    """The most memory this process had resident; its parent's, which getrusage mixes in, left out."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Make the matrix and say what it took."""
    way, path = sys.argv[1], Path(sys.argv[2])
    prepare = {
        "rows": prepare_rows,
        "pandas": prepare_pandas,
        "tuned": prepare_tuned,
        "relevo": prepare_relevo,
    }
    make = prepare[way]()
    began = time.perf_counter()
    matrix = make(path)
    seconds = time.perf_counter() - began
    peak = peak_memory()
    if len(matrix) <= SMALL:
        np.save(f"{path}.{way}.npy", matrix)
    content = hashlib.sha256()
    for start in range(0, len(matrix), SMALL):
        content.update(np.ascontiguousarray(matrix[start : start + SMALL]).data)
    print(json.dumps({"seconds": seconds, "peak": peak, "content": content.hexdigest()}))


if __name__ == "__main__":
    main()
