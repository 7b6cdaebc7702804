"""A project of customers, products and weeks: its files, batches that appear, and runs."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import TYPE_CHECKING

from relevo import lifecycle
from relevo.definition import load
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Run

NAME = "shop"
CUSTOMERS, PRODUCTS = 24, 10
FIRST = date(2024, 9, 2)
WEEKS = 10
"""Weeks in the first file, all beginning on Mondays."""

PROJECT = """
from datetime import date

from pydantic import BaseModel, Field

from relevo import (
    {imports}
)


class Pair(BaseModel):
    customer_id: str = Field(alias="customer", max_length=8)
    product_id: int = Field(ge=0)


class Purchase(Pair):
    week: date


class Customer(BaseModel):
    customer_id: str
    region: str
    favourite: int


class Product(BaseModel):
    product_id: int
    category: int


project = Project(
    name="shop",
    tables=[
        Table("purchases", Purchase, Files("data/week-*.csv"), event_time="week"),
        Table("customers", Customer, Files("customers.csv"), key="customer_id"),
        Table("products", Product, Files("products.csv"), key="product_id"),
    ],
    request=Pair,
    examples=Examples(time="week"),
    population=Population(
        time="week", outcomes="outcomes.sql", naive="likes and code_length < 3", segments=["region"]
    ),
    target=Target("bought", known_at="known_at", positive="offer", negative="leave"),
    split=TimeSplit(test="14d", folds=2),
    metric="f1",
    decision={decision},
    candidates=[lightgbm()],
    tuning=Tuning(trials=1),
    gate=Gate(margin=0.3, beats_baselines=False),
)
"""
IMPORTS = (
    "Costs, Examples, ExpectedF1, Files, Gate, Population, Project, Table, Target, TimeSplit, TopK, Tuning,"
    " lightgbm, BestThreshold"
)

FEATURES = """
select
    c.favourite = p.category as likes,
    p.category,
    c.region,
    length(request.customer_id) as code_length
from request
left join customers c on c.customer_id = request.customer_id
left join products p on p.product_id = request.product_id
"""

EXAMPLES = """
with weeks as (select distinct week from purchases)
select c.customer_id, p.product_id, w.week, b.week is not null as bought, w.week + interval 7 day as known_at
from customers c cross join products p cross join weeks w
left join purchases b on b.customer_id = c.customer_id and b.product_id = p.product_id and b.week = w.week
"""

POPULATION = """
select c.customer_id, p.product_id, c.region, (select cast(max(week) + 7 as date) from purchases) as week
from customers c cross join products p
"""

OUTCOMES = "select distinct customer_id, product_id, week from purchases"


def bought(place: int) -> set[tuple[str, int]]:
    """What was bought in a week: half of what a customer likes, and now and then something else."""
    rng = random.Random(place)
    return {
        (f"c{customer}", product)
        for customer in range(CUSTOMERS)
        for product in range(PRODUCTS)
        if rng.random() < (0.5 if product % 3 == customer % 3 else 0.04)
    }


def week(place: int) -> date:
    """The Monday of a week, from 0."""
    return FIRST + timedelta(days=7 * place)


def write_weeks(folder: Path, first: int, last: int, *, stranger: bool = False) -> None:
    """Write one file with some weeks; a stranger is a customer whom the list of customers lacks."""
    lines = ["customer,product_id,week"]
    for place in range(first, last):
        lines += [f"{c},{p},{week(place)}" for c, p in sorted(bought(place))]
        if stranger:
            lines.append(f"zoe,3,{week(place)}")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / f"week-{first:03d}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make(folder: Path, *, decision: str = "ExpectedF1()") -> Path:
    """Write the project with its first ten weeks."""
    folder.mkdir(parents=True)
    (folder / "project.py").write_text(
        PROJECT.replace("{imports}", IMPORTS).replace("{decision}", decision), encoding="utf-8"
    )
    for name, text in (
        ("features", FEATURES),
        ("examples", EXAMPLES),
        ("population", POPULATION),
        ("outcomes", OUTCOMES),
    ):
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
    customers = [f"c{c},{'north' if c % 2 else 'south'},{c % 3}" for c in range(CUSTOMERS)]
    (folder / "customers.csv").write_text("\n".join(["customer_id,region,favourite", *customers]) + "\n")
    products = [f"{p},{p % 3}" for p in range(PRODUCTS)]
    (folder / "products.csv").write_text("\n".join(["product_id,category", *products]) + "\n")
    write_weeks(folder, 0, WEEKS)
    return folder


def run(folder: Path) -> Run:
    """Run the lifecycle in this process."""
    return lifecycle.run(load(folder), Workspace.open(folder))
