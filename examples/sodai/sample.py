"""Makes sample sales with the columns of the real files: customers, products, purchases, and later batches.

python sample.py data --seed 0
python sample.py data --seed 0 --batches 1

The first line writes nine months that end on a Tuesday; the second adds what appears next: the rest of that
week. ``--batches 2`` adds the week after it too, ``--batches 3`` one more, and so on.
"""

import argparse
import math
import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb

TYPES = {  # kind of shop: share of customers, visits a week, products on a visit
    "ABARROTES": (0.74, 1.2, 5),
    "MAYORISTA": (0.14, 1.9, 8),
    "CANAL FRIO": (0.05, 1.0, 4),
    "RESTAURANT": (0.04, 0.8, 3),
    "SUPERMERCADO": (0.03, 2.2, 9),
}
GROUPS = {  # sub-category: category, packages
    "GASEOSAS": ("BEBIDAS CARBONATADAS", ("BOTELLA", "LATA", "KEG")),
    "JUGOS": ("BEBIDAS NO CARBONATADAS", ("BOTELLA", "TETRA")),
    "AGUAS SABORIZADAS": ("BEBIDAS NO CARBONATADAS", ("BOTELLA",)),
}
SEGMENTS = ("LOW", "MEDIUM", "HIGH", "PREMIUM")
SIZES = (0.25, 0.35, 0.5, 0.66, 1.0, 1.5, 2.0, 20.0)
WEEKDAYS = (1.0, 0.85, 0.8, 1.05, 1.0, 0.45, 0.2)
FIRST, WEEKS = date(2024, 4, 1), 39  # a Monday; full weeks before the last two days
LOW_WEEKS = {date(2024, 5, 13): 0.4, date(2024, 5, 20): 0.5, date(2024, 7, 8): 0.4}
SOLD = 0.35  # share of the products that anyone ever buys
HEAD = "customer_id BIGINT, product_id BIGINT, order_id BIGINT, purchase_date TIMESTAMP_NS, items DOUBLE"


@dataclass(frozen=True)
class Habit:
    """A product that a customer takes about every ``days`` days, ``items`` at a time."""

    product: int
    days: float
    items: float


@dataclass(frozen=True)
class Shop:
    """A customer: the weekdays of the seller's visits, how often one of them ends in an order, and the habits."""

    customer: int
    kind: str
    weekdays: frozenset[int]
    orders: float
    habits: tuple[Habit, ...]


def season(day: date) -> float:
    """How busy the market is: two slumps, and twice the trade before Christmas."""
    monday = day - timedelta(days=day.weekday())
    if (day.month, day.day) >= (12, 14) and day.month == 12:
        return 1.5
    return LOW_WEEKS.get(monday, 1.0 + 0.1 * math.sin(2 * math.pi * day.timetuple().tm_yday / 365))


def products(rng: random.Random, count: int) -> list[tuple[Any, ...]]:
    """Give rows of ``productos.parquet``."""
    found = []
    for number in range(count):
        group = rng.choice(list(GROUPS))
        category, packages = GROUPS[group]
        brand = f"Brand {rng.randrange(12)}"
        found.append(
            (
                30_000 + 37 * number, brand, category, group, rng.choice(SEGMENTS),
                rng.choice(packages), rng.choice(SIZES),
            )
        )  # fmt: skip
    return found


def customers(rng: random.Random, count: int) -> list[tuple[Any, ...]]:
    """Give rows of ``clientes.parquet``: one coordinate is missing, one pair is swapped."""
    found = []
    for number in range(count):
        kind = rng.choices(list(TYPES), [share for share, _, _ in TYPES.values()])[0]
        place = [round(rng.gauss(-46.6, 0.08), 6), round(rng.gauss(-107.9, 0.1), 6)]
        if number == 3:
            place.reverse()
        if number == 7:
            place[1] = None
        found.append(
            (180_000 + 53 * number, 80, 5148, kind, *place, rng.choice((2, 3, 3, 3, 4)), 1, 10_705 + number)
        )
    return found


def shops(rng: random.Random, listed: list[tuple[Any, ...]], items: list[tuple[Any, ...]]) -> list[Shop]:
    """Give every customer a round of visits and habits; one in twenty-five never orders."""
    sold = rng.sample([row[0] for row in items], max(8, round(SOLD * len(items))))
    weights = [1 / (1 + rank) ** 0.7 for rank in range(len(sold))]
    found = []
    for customer, _, _, kind, *_ in listed:
        _, visits, width = TYPES[kind]
        liked = dict.fromkeys(rng.choices(sold, weights, k=3 * width))
        days = rng.choices(range(7), WEEKDAYS, k=2 if visits > 1.5 or rng.random() < 0.3 else 1)
        habits = tuple(
            Habit(product, 7 * rng.choice((1, 1, 2, 2, 3, 4, 8)), rng.choice((1, 5 / 3, 7 / 3, 13 / 3, 10)))
            for product in liked
        )
        orders = 0.0 if rng.random() < 0.04 else min(0.95, rng.betavariate(4, 2) * visits / len(set(days)))
        found.append(Shop(customer, kind, frozenset(days), orders, habits))
    return found


def purchases(rng: random.Random, trade: list[Shop], last: date) -> list[tuple[Any, ...]]:
    """Give rows of ``transacciones.parquet``, day by day, so that a later ``last`` only adds rows."""
    found: list[tuple[Any, ...]] = []
    taken: dict[tuple[int, int], date] = {}
    every = sorted({habit.product for shop in trade for habit in shop.habits})
    short: dict[int, date] = {}
    order = 2_500
    for number in range((last - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        if rng.random() < 0.04:  # out of stock for one to three weeks
            short[rng.choice(every)] = day + timedelta(days=rng.randrange(7, 22))
        for shop in trade:
            chance = shop.orders * season(day) * (1.0 if day.weekday() in shop.weekdays else 0.06)
            if rng.random() >= chance:
                continue
            order += 1
            for habit in _basket(rng, shop, every, taken, day):
                if short.get(habit.product, day) > day:
                    continue
                taken[shop.customer, habit.product] = day
                found += _lines(rng, shop.customer, order, day, habit)
    return found


def _basket(
    rng: random.Random, shop: Shop, every: list[int], taken: dict[tuple[int, int], date], day: date
) -> list[Habit]:
    """What is due, more or less, and now and then something new."""
    found = []
    for habit in shop.habits:
        since = (day - taken.get((shop.customer, habit.product), date(2024, 1, 1))).days
        if rng.random() < 0.92 / (1 + math.exp(-8 * (since / habit.days - 0.75))):
            found.append(habit)
    if rng.random() < 0.12:
        found.append(Habit(rng.choice(every), 30, 1))
    return found


def _lines(rng: random.Random, customer: int, order: int, day: date, habit: Habit) -> list[tuple[Any, ...]]:
    """One line; sometimes the same once more, or a correction that takes a part back."""
    at = datetime.combine(day, time())
    line = (customer, habit.product, order, at, round(habit.items * rng.choice((1, 1, 1, 2)), 6))
    chance = rng.random()
    if chance < 0.004:
        return [line, line]
    if chance < 0.035:
        return [line, (customer, habit.product, order, at, -round(habit.items / 2, 6))]
    return [line]


def save(path: Path, columns: str, rows: list[tuple[Any, ...]]) -> None:
    """Write rows as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [column.split()[0].strip('"') for column in columns.split(", ")]
    with duckdb.connect() as connection:
        connection.execute(f"create table made ({columns})")
        for start in range(0, len(rows), 1000):
            some = rows[start : start + 1000]
            places = ", ".join(f"({', '.join('?' * len(names))})" for _ in some)
            connection.execute(f"insert into made values {places}", [value for row in some for value in row])
        connection.execute(f"copy made to '{path}' (format parquet)")


def write(folder: Path, seed: int = 0, batches: int = 0, *, clients: int = 120, goods: int = 60) -> None:
    """Write the files that there are after ``batches`` more batches; the same seed never changes a file."""
    items = products(random.Random(f"{seed} products"), goods)
    listed = customers(random.Random(f"{seed} customers"), clients)
    trade = shops(random.Random(f"{seed} shops"), listed, items)
    tuesday = FIRST + timedelta(days=7 * WEEKS + 1)
    ends = [tuesday, *(tuesday + timedelta(days=5 + 7 * number) for number in range(batches))]
    rows = purchases(random.Random(f"{seed} purchases"), trade, ends[-1])
    save(
        folder / "productos.parquet",
        "product_id BIGINT, brand VARCHAR, category VARCHAR, sub_category VARCHAR, segment VARCHAR,"
        " package VARCHAR, size DOUBLE",
        items,
    )
    save(
        folder / "clientes.parquet",
        "customer_id BIGINT, region_id BIGINT, zone_id BIGINT, customer_type VARCHAR, Y DOUBLE, X DOUBLE,"
        " num_deliver_per_week BIGINT, num_visit_per_week BIGINT, __index_level_0__ BIGINT",
        listed,
    )
    after = date.min
    for number, end in enumerate(ends):
        part = [row for row in rows if after < row[3].date() <= end]
        if number:
            save(folder / "purchases" / f"batch_t{number}.parquet", HEAD, part)
        else:
            numbered = [(*row, 124 + place) for place, row in enumerate(part)]
            save(
                folder / "purchases" / "transacciones.parquet", f"{HEAD}, __index_level_0__ BIGINT", numbered
            )
        after = end


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batches", type=int, default=0, help="later batches to write besides")
    parser.add_argument("--customers", type=int, default=120)
    parser.add_argument("--products", type=int, default=60)
    chosen = parser.parse_args()
    write(chosen.folder, chosen.seed, chosen.batches, clients=chosen.customers, goods=chosen.products)
