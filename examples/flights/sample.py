"""Makes sample departures with the columns of the real file, and the holidays of Chile.

python sample.py data/departures.csv --rows 50000 --seed 0
python sample.py --holidays holidays.csv
"""

import argparse
import csv
import math
import random
from datetime import date, datetime, timedelta
from pathlib import Path

HEADER = [
    *("Fecha-I", "Vlo-I", "Ori-I", "Des-I", "Emp-I", "Fecha-O", "Vlo-O", "Ori-O", "Des-O", "Emp-O"),
    *("DIA", "MES", "AÑO", "DIANOM", "TIPOVUELO", "OPERA", "SIGLAORI", "SIGLADES"),
]
WEEKDAYS = ("Lunes", "Martes", "Miercoles", "Jueves", "Viernes", "Sabado", "Domingo")
AIRLINES = {  # code: name, share of flights, how much its flights tend to be late (log-odds)
    "LAN": ("Grupo LATAM", 0.52, -0.10),
    "SKU": ("Sky Airline", 0.22, 0.15),
    "AAL": ("American Airlines", 0.05, -0.40),
    "ARG": ("Aerolineas Argentinas", 0.05, 0.55),
    "CMP": ("Copa Air", 0.04, -0.65),
    "AVA": ("Avianca", 0.04, 0.10),
    "IBE": ("Iberia", 0.03, 0.35),
    "JAT": ("JetSmart SPA", 0.05, -0.20),
}
DESTINATIONS = {  # code: name, international, share, effect
    "SCFA": ("Antofagasta", False, 0.16, 0.05),
    "SCCF": ("Calama", False, 0.15, 0.00),
    "SCTE": ("Puerto Montt", False, 0.12, 0.25),
    "SCIE": ("Concepcion", False, 0.12, -0.05),
    "SCDA": ("Iquique", False, 0.10, 0.00),
    "SAEZ": ("Buenos Aires", True, 0.09, 0.35),
    "SPJC": ("Lima", True, 0.09, 0.10),
    "SBGR": ("Sao Paulo", True, 0.08, 0.15),
    "KMIA": ("Miami", True, 0.05, -0.20),
    "MPTO": ("Ciudad de Panama", True, 0.04, -0.30),
}
HOURS = (2, 1, 1, 1, 1, 3, 8, 10, 8, 6, 6, 6, 6, 5, 5, 6, 6, 7, 8, 7, 5, 5, 5, 4)  # departures by hour
HIGH_SEASONS = (((12, 15), (12, 31)), ((1, 1), (3, 3)), ((7, 15), (7, 31)), ((9, 11), (9, 30)))
CONGESTED, NIGHT_ENDS, EVENING = 7, 5, 17  # departures an hour; hours
FRIDAY, SUNDAY = 4, 6


def routes(rng: random.Random, count: int) -> list[tuple[str, str, str, int, int]]:
    """Timetable: (flight number, airline, destination, hour, minute), each flown about daily."""
    found = []
    for number in range(count):
        airline = rng.choices(list(AIRLINES), [share for _, share, _ in AIRLINES.values()])[0]
        place = rng.choices(list(DESTINATIONS), [share for _, _, share, _ in DESTINATIONS.values()])[0]
        hour = rng.choices(range(24), HOURS)[0]
        found.append((str(100 + number), airline, place, hour, 5 * rng.randrange(12)))
    return found


def departures(rows: int, seed: int, start: date) -> list[list[str]]:
    """About one year of departures in order of time; a late one is more than 15 minutes behind."""
    rng = random.Random(seed)
    days = 365
    timetable = routes(rng, max(1, math.ceil(rows / days * 1.07)))
    chronic = {number: rng.gauss(0, 0.45) for number, *_ in timetable}  # short turnarounds, bad gates
    moods = {start + timedelta(days=n): rng.gauss(0, 0.3) for n in range(days)}  # weather, strikes
    closed = free_days(start, days)
    flights = sorted(
        (datetime(day.year, day.month, day.day, hour, minute), number, airline, place)
        for day in moods
        for number, airline, place, hour, minute in timetable
    )
    found = []
    for at, number, airline, place in sorted(rng.sample(flights, rows)):
        odds = chronic[number] + moods[at.date()] + 0.9 * (at.date() in closed)
        found.append(_departure(rng, at, number, airline, place, odds))
    return found


def free_days(start: date, days: int) -> set[date]:
    """Give the holidays of Chile, from the file beside this one, that fall into the days made."""
    with (Path(__file__).parent / "holidays.csv").open(encoding="utf-8", newline="") as file:
        listed = {date.fromisoformat(row["day"]) for row in csv.DictReader(file)}
    wanted = {start + timedelta(days=n) for n in range(days)}
    return wanted & listed


def _departure(
    rng: random.Random, at: datetime, number: str, airline: str, place: str, odds: float
) -> list[str]:
    name, _, airline_effect = AIRLINES[airline]
    city, abroad, _, place_effect = DESTINATIONS[place]
    season = any(first <= (at.month, at.day) <= last for first, last in HIGH_SEASONS)
    busy = HOURS[at.hour] >= CONGESTED
    odds += -3.0 + 1.6 * airline_effect + 1.4 * place_effect + 0.7 * season
    odds += 0.5 * (at.weekday() == FRIDAY) + 0.3 * (at.weekday() == SUNDAY)
    odds += 0.9 * busy * (airline in ("SKU", "ARG")) + 0.8 * (abroad and at.hour >= EVENING)
    odds += 0.9 * (season and not abroad and at.hour >= EVENING) + 0.04 * max(0, at.hour - NIGHT_ENDS)
    late = rng.random() < 1 / (1 + math.exp(-odds))
    minutes = 16 + int(rng.expovariate(1 / 25)) if late else round(min(15, rng.gauss(2, 6)))
    left = at + timedelta(minutes=minutes)
    return [
        f"{at:%Y-%m-%d %H:%M:%S}", number, "SCEL", place, airline,
        f"{left:%Y-%m-%d %H:%M:%S}", number, "SCEL", place, airline,
        str(left.day), str(left.month), str(left.year), WEEKDAYS[left.weekday()],
        "I" if abroad else "N", name, "Santiago", city,
    ]  # fmt: skip


def spoil(rows: list[list[str]], seed: int, share: float) -> None:
    """Break a share of the rows in the ways that real files are broken."""
    rng = random.Random(seed + 1)
    for row in rng.sample(rows, round(share * len(rows))):
        kind = rng.randrange(5)
        if kind == 0:
            row[0] = "31/02/2017"
        elif kind == 1:
            row[4] = ""
        elif kind == 2:
            row[14] = "O"
        elif kind == 3:
            row[5] = row[5].replace(" ", " 2", 1)
        else:
            del row[12:]


def write(path: Path, rows: int, seed: int = 0, start: date = date(2017, 1, 1), bad: float = 0.005) -> None:
    """Write sample departures as CSV."""
    made = departures(rows, seed, start)
    spoil(made, seed, bad)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(made)


def write_holidays(path: Path) -> None:
    """Write the public holidays of Chile, 2015 to 2030."""
    import holidays

    found = holidays.country_holidays("CL", years=range(2015, 2031), language="es")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("day", "name"))
        writer.writerows(sorted((day.isoformat(), name) for day, name in found.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="the file to write")
    parser.add_argument("--holidays", action="store_true", help="write holidays instead of departures")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2017, 1, 1))
    parser.add_argument("--bad", type=float, default=0.005, help="share of broken rows")
    chosen = parser.parse_args()
    if chosen.holidays:
        write_holidays(chosen.path)
    else:
        write(chosen.path, chosen.rows, chosen.seed, chosen.start, chosen.bad)
