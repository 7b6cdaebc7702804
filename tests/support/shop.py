"""A shop's project: customers, accounts corrected later, and what was known of them when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

START = datetime(2024, 1, 1)
PROJECT = '''
from datetime import datetime

from pydantic import BaseModel

from relevo import (
    Examples, Files, Gate, History, Project, Table, Target, TimeSplit, Tuning, lightgbm, logistic,
)


class Visit(BaseModel):
    customer: int


class Receipt(BaseModel):
    """One version of a receipt: a correction has the same number and is known later."""

    number: int
    customer: int
    bought_at: datetime
    amount: float
    recorded_at: datetime


class Tier(BaseModel):
    """The customer's tier, as entered."""

    customer: int
    tier: str
    entered_at: datetime


project = Project(
    name="shop",
    tables=[
        Table("receipts", Receipt, Files("receipts.jsonl"), event_time="bought_at", known_at="recorded_at"),
        Table("tiers", Tier, Files("tiers.jsonl"), key="customer", known_at="entered_at"),
    ],
    request=Visit,
    examples=Examples(time="day"),
    history=[History("spending", key="customer")],
    target=Target("buys", known_at="known_at"),
    split=TimeSplit(test="10d", folds=2),
    candidates=[lightgbm(n_estimators=20)],
    tuning=Tuning(trials=1),
    gate=Gate(beats_baselines=False),
)
'''
FEATURES = """
select s.receipts, s.total, s.last_amount, t.tier, coalesce(s.receipts, 0) > 1 as loyal
from request
left join spending s on s.customer = request.customer
left join tiers t on t.customer = request.customer
"""
HISTORY = """
-- one row for each moment at which something about the customer became known
with moments as (select distinct customer, recorded_at as known_at from receipts),
valid as (
    select m.customer, m.known_at, r.number, arg_max(r.amount, r.recorded_at) as amount,
           arg_max(r.bought_at, r.recorded_at) as bought_at
    from moments m join receipts r on r.customer = m.customer and r.recorded_at <= m.known_at
    group by all
)
select customer, known_at, count(*) as receipts, sum(amount) as total, arg_max(amount, bought_at) as last_amount
from valid group by customer, known_at; -- the newest correction of each receipt counts
"""
EXAMPLES = """
with days as (select unnest(generate_series(timestamp '2024-01-03', timestamp '2024-02-20', interval 1 day)) as day),
customers as (select unnest(range(1, 13)) as customer)
select customer, day, day + interval 1 day as known_at,
       hash(customer * 1000 + dayofyear(day)) % 3 = 0 as buys
from days, customers
"""


@dataclass(frozen=True)
class Event:
    """A version of a receipt."""

    number: int
    customer: int
    bought_at: datetime
    amount: float
    recorded_at: datetime


def stream(rng: random.Random, count: int = 60) -> list[Event]:
    """Random receipts, some recorded days late, some corrected once or twice; no two known at one moment."""
    found, taken = [], set()
    for number in range(count):
        customer = rng.randint(1, 12)
        bought = START + timedelta(minutes=rng.randrange(48 * 24 * 60))
        recorded = bought + (timedelta(hours=rng.randrange(24 * 9)) if rng.random() < 0.3 else timedelta())
        for _ in range(1 + (rng.random() < 0.3) + (rng.random() < 0.1)):
            while recorded in taken:
                recorded += timedelta(seconds=1)
            taken.add(recorded)
            found.append(Event(number, customer, bought, float(rng.randint(1, 90)), recorded))
            recorded += timedelta(hours=rng.randrange(1, 24 * 12))
    rng.shuffle(found)
    return found


def tiers(rng: random.Random) -> list[tuple[int, str, datetime]]:
    """Tiers entered at random times; the thirteenth customer never has one."""
    return [
        (customer, rng.choice("ABC"), START + timedelta(minutes=place * 7 + rng.randrange(40 * 24 * 60)))
        for place, customer in enumerate(list(range(1, 12)) * 3)
    ]


def write(
    folder: Path, events: Sequence[Event], entered: Sequence[tuple[int, str, datetime]], **files: str
) -> Path:
    """Write the project and its data; ``files`` replace the SQL of ``features``, ``history`` or ``examples``."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"features": FEATURES, "history": HISTORY, "examples": EXAMPLES, **files}
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text)
    (folder / "project.py").write_text(PROJECT)
    write_lines(folder / "receipts.jsonl", [vars(event) for event in events])
    names = ("customer", "tier", "entered_at")
    write_lines(folder / "tiers.jsonl", [dict(zip(names, row, strict=True)) for row in entered])
    return folder


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))


def expected(
    events: Sequence[Event], entered: Sequence[tuple[int, str, datetime]], customer: int, at: datetime
) -> tuple[Any, ...]:
    """The features as someone would work them out who at ``at`` had seen only what was known by then."""
    seen = sorted(
        (e for e in events if e.customer == customer and e.recorded_at <= at), key=lambda e: e.recorded_at
    )
    valid = {event.number: event for event in seen}
    tier = [row for row in sorted(entered, key=lambda row: row[2]) if row[0] == customer and row[2] <= at]
    last = max(valid.values(), key=lambda e: e.bought_at).amount if valid else None
    count = len(valid)
    total = sum(e.amount for e in valid.values()) if valid else None
    return (count or None, total, last, tier[-1][1] if tier else None, count > 1)


def edit_window(folder: Path) -> None:
    """Let the examples go on for some days."""
    path = folder / "examples.sql"
    path.write_text(path.read_text().replace("2024-02-20", "2024-02-26"))
