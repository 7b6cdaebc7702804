"""A small shop whose features look history up: a lake, packages and a workspace, without a whole run."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import Tuning, candidates, materialise, sql
from relevo import digest as digests
from relevo import package as packages
from relevo.contract import Contract, Field
from relevo.online import compile_tree
from relevo.records import Materialisation, Snapshot, Verdict
from relevo.register import register
from relevo.train import Fit, TrainingSet, train
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT = "shop"
CUSTOMERS, PRODUCTS = range(100, 130), range(1, 41)
REQUEST = Contract(
    "Ask",
    (
        Field(name="customer_id", alias="customer", type="integer", ge=0, description="Who buys"),
        Field(name="product_id", alias="product", type="integer", ge=0, description="What"),
    ),
)
PAIRS = """select customer_id, product_id, week as known_at,
    count(*) over w as times, sum(items) over w as items, max(week) over w as last_week, max(shop) over w as shop
from sales window w as (partition by customer_id, product_id order by week)"""
BUYERS = """select customer_id, week as known_at, count(*) over (partition by customer_id order by week) as bought
from (select distinct customer_id, week from sales)"""
FEATURES = """select c.region, p.price, coalesce(h.times, 0) as times, h.items, b.bought, h.shop,
    year(h.last_week) as last_year, h.times is null as never
from request
left join customers c on c.customer_id = request.customer_id
left join products p on p.product_id = request.product_id
left join pairs h on h.customer_id = request.customer_id and h.product_id = request.product_id
left join buyers b on b.customer_id = request.customer_id"""


def columns(**types: str) -> tuple[sql.Column, ...]:
    """Typed columns."""
    return tuple(sql.Column(name, kind) for name, kind in types.items())


PAIR_COLUMNS = columns(
    customer_id="integer",
    product_id="integer",
    known_at="timestamp",
    times="integer",
    items="double",
    last_week="timestamp",
    shop="text",
)
BUYER_COLUMNS = columns(customer_id="integer", known_at="timestamp", bought="integer")


@cache
def plan() -> sql.FeaturePlan:
    """The features, over two static look-ups and two histories."""
    lookups = [
        sql.LookupTable("customers", ("customer_id",), columns(customer_id="integer", region="text")),
        sql.LookupTable("products", ("product_id",), columns(product_id="integer", price="double")),
        sql.LookupTable("pairs", ("customer_id", "product_id"), PAIR_COLUMNS, "known_at"),
        sql.LookupTable("buyers", ("customer_id",), BUYER_COLUMNS, "known_at"),
    ]
    request = [sql.Column(field.name, field.type) for field in REQUEST.fields]
    return sql.compile_features(FEATURES, request=request, lookups=lookups)


def entries(queries: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The manifest's ``histories``; ``queries`` replace how they are made, by name."""
    made = {"pairs": PAIRS, "buyers": BUYERS} | dict(queries or {})
    typed = {"pairs": PAIR_COLUMNS, "buyers": BUYER_COLUMNS}
    found = []
    for use in plan().lookups:
        if use.known_at:
            kinds = {column.name: column.type for column in typed[use.name]}
            names = [*use.key, *use.columns]
            found.append(
                {
                    "name": use.name,
                    "key": list(use.key),
                    "columns": names,
                    "types": [kinds[name] for name in names],
                    "known_at": "known_at",
                    "sql": made[use.name],
                    "shape": digests.of_json([use.name, made[use.name]]),
                }
            )
    return found


def sales(weeks: int) -> list[tuple[int, int, datetime, float, str]]:
    """What was bought in the first weeks: more weeks add rows and change none."""
    rng, found = random.Random(0), []
    for week in range(weeks):
        monday = datetime(2024, 1, 1) + timedelta(weeks=week)
        for customer in CUSTOMERS:
            found += [
                (customer, product, monday, rng.randrange(1, 9) / 2, rng.choice("AB"))
                for product in rng.sample(PRODUCTS, 6)
            ]
    return found


def lookups() -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the static look-ups."""
    return {
        "customers": [(c, None if c % 7 == 0 else f"region {c % 3}") for c in CUSTOMERS],
        "products": [(p, p * 1.5) for p in PRODUCTS],
    }


def newest(weeks: int) -> dict[str, dict[Any, tuple[Any, ...]]]:
    """The newest row of each key as the histories' queries have it, computed by hand."""
    pairs: dict[Any, list[Any]] = {}
    buyers: dict[int, set[datetime]] = {}
    for customer, product, week, items, shop in sales(weeks):
        row = pairs.setdefault((customer, product), [0, 0.0, week, shop])
        row[:] = [row[0] + 1, row[1] + items, max(row[2], week), max(row[3], shop)]
        buyers.setdefault(customer, set()).add(week)
    named = {
        key: dict(zip(("times", "items", "last_week", "shop"), row, strict=True))
        for key, row in pairs.items()
    }
    used = {use.name: use.columns for use in plan().lookups}
    return {
        "pairs": {key: tuple(row[name] for name in used["pairs"]) for key, row in named.items()},
        "buyers": {key: (len(weeks_),) for key, weeks_ in buyers.items()},
    }


@cache
def fitted() -> Fit:
    """Fit one candidate on made-up purchases: who bought often buys again, and each count tells."""
    rng, online = random.Random(1), compile_tree(plan().tree)
    static = {name: {row[0]: row[1:] for row in rows} for name, rows in lookups().items()}
    known: list[Any] = [newest(weeks) | static for weeks in (1, 2, 4, 6)]
    asked = [(rng.choice(CUSTOMERS), rng.choice(PRODUCTS), rng.choice(known)) for _ in range(800)]
    features: list[Any] = [online({"customer_id": c, "product_id": p}, rows) for c, p, rows in asked]
    target = [rng.random() < 0.05 + 0.15 * row[2] + 0.05 * row[4] + 0.005 * row[1] for row in features]
    data = {
        name: list(column)
        if kind == "text"
        else np.ma.masked_array(
            np.array([0 if value is None else value for value in column]), [value is None for value in column]
        )
        for name, kind, column in zip(online.names, online.types, zip(*features, strict=True), strict=True)
    }
    wanted = TrainingSet(plan().features, data, np.array(target), np.arange(len(asked)) % 3)
    return train(candidates.logistic(), Tuning(trials=1), "f1", wanted)


def write(folder: Path, *, queries: Mapping[str, str] | None = None, **changes: Any) -> str:
    """Write a package; ``changes`` replace what goes in."""
    fit, static = fitted(), {}
    types = {"customers": ["integer", "text"], "products": ["integer", "double"]}
    for use in plan().lookups:
        if not use.known_at:
            described = {
                "key": list(use.key), "columns": [*use.key, *use.columns], "types": types[use.name]
            }  # fmt: skip
            static[use.name] = (described, packages.lookup_lines(lookups()[use.name]))
    parts: dict[str, Any] = {
        "project": PROJECT,
        "algorithm": fit.algorithm,
        "settings": fit.settings,
        "request": REQUEST,
        "sql": plan().sql,
        "tree": plan().tree,
        "encoders": fit.encoders,
        "model": fit.onnx,
        "lookups": static,
        "histories": entries(queries),
        "recommend": {"by": "customer_id", "item": "product_id", "among": "products", "k": 5},
        "labels": ("no", "buys"),
        "calibration": fit.calibration,
        "threshold": fit.threshold,
        "metric": "f1",
        "metrics": {},
        "data": {},
        "libraries": {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    return packages.write(folder, **{**parts, **changes})


def clean(workspace: Workspace, weeks: int) -> dict[str, Snapshot]:
    """Write the clean table of the first weeks' sales."""
    identity = f"sales-{weeks}"
    with workspace.lake.connect() as connection:
        connection.execute(
            "create table s (customer_id bigint, product_id bigint, week timestamp, items double, shop varchar)"
        )
        connection.executemany("insert into s values (?, ?, ?, ?, ?)", sales(weeks))
        version = workspace.lake.replace("clean/sales", connection.sql("from s"), transaction=identity)
    return {"sales": Snapshot(id=identity, table="clean/sales", version=version, rows=len(sales(weeks)))}


def computed(
    workspace: Workspace, tables: Mapping[str, Snapshot], described: list[dict[str, Any]]
) -> dict[str, Snapshot]:
    """Write each history as a table of the lake, one row for each key and moment."""
    found = {}
    for history in described:
        table = f"history/{history['name']}"
        identity = digests.of_json([history["shape"], tables["sales"].id])
        with workspace.lake.connect() as connection:
            sold = tables["sales"]
            workspace.lake.bind(connection, sold.table, as_="sales", version=sold.version)
            rows = connection.sql(history["sql"])
            version = workspace.lake.replace(table, rows, transaction=identity)
        found[history["name"]] = Snapshot(id=identity, table=table, version=version, rows=0)
    return found


def refresh(
    workspace: Workspace, weeks: int, queries: Mapping[str, str] | None = None
) -> list[Materialisation]:
    """Do what a run does with histories when so many weeks have come."""
    tables, described = clean(workspace, weeks), entries(queries)
    snapshots = computed(workspace, tables, described)
    return materialise.materialise_all(workspace, PROJECT, described, snapshots, tables)


def workspace(root: Path, *packs: dict[str, Any], weeks: int = 4, release: str = "1.0.0") -> Workspace:
    """Make a workspace with a version for each of ``packs``, and the histories of so many weeks (0 for none)."""
    root.mkdir(parents=True, exist_ok=True)
    made = Workspace.open(root)
    made.remember(PROJECT)
    for number, changes in enumerate(packs or ({},)):
        write(root / f"package{number}", **changes)
        verdict = Verdict(accepted=True, reasons=())
        register(made, root / f"package{number}", verdict=verdict, run="test")
    if weeks:
        refresh(made, weeks)
    if release:
        promote(made, release)
    return made


def promote(made: Workspace, version: str) -> None:
    """Move the champion."""
    made.ledger.release(PROJECT, "champion", version, who="test", why="", act="promote")
