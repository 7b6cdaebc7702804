"""A year of a distributor's sales, and its population scored: python -m support.pairs (make|relevo|usual) FOLDER.

``make`` writes the project, the clean tables, the histories and the package; the other two score every
product for every customer in the week after, each in its own process, and print seconds and peak memory
as JSON. Their probabilities are kept beside the folder, ordered by customer and product.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import Tuning, history, lightgbm, load, pack
from relevo.lake import Lake
from relevo.package import ModelPackage
from relevo.records import Snapshot
from relevo.resources import measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from relevo.resources import Usage

CUSTOMERS, PRODUCTS, PAIRS, WEEKS = 1_570, 971, 31_000, 52
WEEK = "2025-01-06"
PROJECT = """
from datetime import date
from pydantic import BaseModel
from relevo import (
    Examples, ExpectedF1, Files, History, Population, Project, Table, Target, TimeSplit, lightgbm,
)

class Pair(BaseModel):
    customer_id: int
    product_id: int

class Order(Pair):
    week: date
    items: float

class Customer(BaseModel):
    customer_id: int
    region: int
    kind: str
    visits: int
    longitude: float
    latitude: float

class Product(BaseModel):
    product_id: int
    brand: str
    category: str
    size: float

project = Project(
    name="pairs",
    tables=[
        Table("orders", Order, Files("orders.parquet"), event_time="week"),
        Table("customers", Customer, Files("customers.parquet"), key="customer_id"),
        Table("products", Product, Files("products.parquet"), key="product_id"),
    ],
    request=Pair,
    examples=Examples(time="week"),
    history=[
        History("pair_weeks", key=["customer_id", "product_id"], sql="pair_weeks.sql"),
        History("customer_weeks", key="customer_id", sql="customer_weeks.sql"),
        History("product_weeks", key="product_id", sql="product_weeks.sql"),
    ],
    population=Population(time="week", naive="coalesce(bought_4, 0) >= 2", segments=["region"]),
    decision=ExpectedF1(),
    target=Target("bought", known_at="known_at"),
    split=TimeSplit(test="14d"),
    candidates=[lightgbm()],
)
"""
KNOWN = "cast(week + 7 as timestamp) as known_at"
PAST = "over (partition by {key} order by week rows between {weeks} preceding and current row)"
SQL = {
    "pair_weeks": f"""select customer_id, product_id, {KNOWN},
        count(*) filter (items > 0) {PAST.format(key="customer_id, product_id", weeks=3)} as bought_4,
        count(*) filter (items > 0) {PAST.format(key="customer_id, product_id", weeks=11)} as bought_12,
        sum(items) {PAST.format(key="customer_id, product_id", weeks=3)} as items_4,
        avg(items) {PAST.format(key="customer_id, product_id", weeks=51)} as mean_items,
        items as last_items
        from orders""",
    "customer_weeks": f"""select customer_id, {KNOWN}, sum(lines) {PAST.format(key="customer_id", weeks=3)} as lines_4,
        sum(items) {PAST.format(key="customer_id", weeks=11)} as items_12, lines as last_lines
        from (select customer_id, week, count(*) filter (items > 0) as lines, sum(items) as items
              from orders group by all)""",
    "product_weeks": f"""select product_id, {KNOWN}, sum(lines) {PAST.format(key="product_id", weeks=3)} as buyers_4,
        sum(items) {PAST.format(key="product_id", weeks=11)} as sold_12
        from (select product_id, week, count(*) filter (items > 0) as lines, sum(items) as items
              from orders group by all)""",
    "features": """select h.bought_4, h.bought_12, h.items_4, h.mean_items, h.last_items,
        coalesce(h.bought_12, 0) / 12.0 as rate_12, coalesce(h.bought_4, 0) / 4.0 as rate_4,
        c.lines_4, c.items_12, c.last_lines, p.buyers_4, p.sold_12,
        coalesce(h.items_4, 0) / (1 + coalesce(c.items_12, 0)) as share_of_customer,
        coalesce(h.items_4, 0) / (1 + coalesce(p.sold_12, 0)) as share_of_product,
        k.region, k.kind, k.visits, k.longitude, k.latitude, r.brand, r.category, r.size,
        h.bought_4 is null as never
        from request
        left join pair_weeks h on h.customer_id = request.customer_id and h.product_id = request.product_id
        left join customer_weeks c on c.customer_id = request.customer_id
        left join product_weeks p on p.product_id = request.product_id
        left join customers k on k.customer_id = request.customer_id
        left join products r on r.product_id = request.product_id""",
    "examples": """select o.customer_id, o.product_id, o.week, o.items > 0 as bought, o.week + 7 as known_at
        from orders o""",
    "population": """select customer_id, product_id, region, (select max(week) + 7 from orders) as week
        from customers cross join products""",
}
TABLES = {
    "customers": f"""select i as customer_id, i % 16 as region, 'kind ' || (i % 9) as kind, 1 + i % 6 as visits,
        -70 - random() as longitude, -33 - random() as latitude from range({CUSTOMERS}) t(i)""",
    "products": f"""select i as product_id, 'brand ' || (i % 60) as brand, 'category ' || (i % 8) as category,
        (1 + i % 12) / 4 as size from range({PRODUCTS}) t(i)""",
    "orders": f"""select customer_id, product_id, date '{WEEK}' - 7 * ({WEEKS} - w)::int as week,
        case when random() < liking then 1.0 + floor(random() * 9) else 0.0 end as items
        from (select i * 49 // {PRODUCTS} as customer_id, i * 49 % {PRODUCTS} as product_id,
                     power(random(), 4) as liking from range({PAIRS}) t(i))
        cross join range({WEEKS}) u(w)""",
}


def make(folder: Path) -> float:
    """Write everything that scoring needs; gives the seconds that the histories took."""
    folder.mkdir(parents=True)
    (folder / "project.py").write_text(PROJECT)
    for name, text in SQL.items():
        (folder / f"{name}.sql").write_text(text)
    definition = load(folder)
    lake = _lake(folder)
    clean, histories = {}, {}
    with lake.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute("select setseed(0.5)").fetchall()
        for name, query in TABLES.items():
            rows = connection.sql(f"select 'r' as _id, * from ({query})")
            version = lake.replace(f"clean/{name}", rows, transaction="made")
            clean[name] = Snapshot(id=name, table=f"clean/{name}", version=version, rows=0)
    with measure() as cost:
        histories = history.make(definition, lake, clean)
    fit = _fit(definition, lake, {**clean, **histories})
    package = folder / "package"
    package.mkdir()
    pack.pack(definition, lake, {**clean, **histories}, fit, package, data={}, metrics={})
    (folder / "native.txt").write_bytes(fit.native)
    made = (clean, histories, fit.encoders, fit.calibration)
    (folder / "made.pickle").write_bytes(pickle.dumps(made))
    return cost.wall_seconds


def _fit(definition: Any, lake: Lake, tables: dict[str, Snapshot]) -> Any:
    """Learn from the pairs of the last weeks; 300 trees of 31 leaves."""
    from relevo.examples import bound
    from relevo.train import TrainingSet, train

    with bound(definition, lake, tables) as connection:
        connection.execute(
            f"""create temp table request as select customer_id, product_id, week::timestamp as _time,
            bought, row_number() over (order by week, customer_id, product_id) as _row
            from clean where week >= date '{WEEK}' - 28"""
        )
        found = connection.execute(
            f"from ({definition.plan.batch_sql(('_row', 'bought', '_time'))}) order by _row"
        ).fetchnumpy()
    target = np.asarray(found["bought"], bool)
    data = TrainingSet(definition.plan.features, found, target, np.arange(len(target)) % 2)
    candidate = lightgbm(n_estimators=300, num_leaves=31, learning_rate=0.03, class_weight=0.0)
    return train(candidate, Tuning(trials=1), "f1", data)


def _lake(folder: Path) -> Lake:
    return Lake(folder / "lake", memory_limit="1GB", threads=2, scratch=folder)


def relevo(folder: Path) -> tuple[Usage, NDArray[np.float64]]:
    """Load the project and the package, score the population and record it in the lake."""
    from relevo.scores import score_population

    clean, histories, _, _ = pickle.loads((folder / "made.pickle").read_bytes())  # noqa: S301 - made above
    with measure() as cost:
        lake, package = _lake(folder), ModelPackage.load(folder / "package")
        score_population(load(folder), lake, package, version="1.0.0", clean=clean, histories=histories)
    with lake.connect() as connection:
        lake.bind(connection, "scores/pairs", as_="scores")
        query = "select _probability from scores order by customer_id, product_id"
        return cost, connection.execute(query).fetchnumpy()["_probability"]


def usual(folder: Path) -> tuple[Usage, NDArray[np.float64]]:
    """As one writes it: everything in pandas, group-by and merges over the grid, and LightGBM's own predict."""
    import lightgbm as booster
    import pandas as pd

    clean, _, encoders, calibration = pickle.loads((folder / "made.pickle").read_bytes())  # noqa: S301 - made above
    lake = _lake(folder)
    frames = {}
    with lake.connect() as connection:
        for name, snapshot in clean.items():
            lake.bind(connection, snapshot.table, as_=name, version=snapshot.version)
            connection.execute(f"copy (from {name}) to '{folder}/{name}.parquet'")
    with measure() as cost:
        for name in clean:
            frames[name] = pd.read_parquet(folder / f"{name}.parquet").drop(columns="_id")
        grid = _features(pd, **frames)
        matrix = np.empty((len(grid), len(encoders)), np.float32)
        for place, encoder in enumerate(encoders):
            column = grid[encoder.feature]
            if encoder.type == "text":
                column = column.map(encoder.levels).fillna(encoder.unseen)
            matrix[:, place] = column.astype("float64")
        model = booster.Booster(model_file=str(folder / "native.txt"))
        margin = model.predict(matrix, raw_score=True, num_threads=2)
        grid["probability"] = 1 / (1 + np.exp(-(margin * calibration["a"] + calibration["b"])))
        grid[["customer_id", "product_id", "probability"]].to_parquet(folder / "usual.parquet")
    ordered = grid.sort_values(["customer_id", "product_id"])["probability"].to_numpy()
    return cost, ordered


def _features(pd: Any, orders: Any, customers: Any, products: Any) -> Any:
    orders = orders.sort_values("week")
    orders["line"] = (orders["items"] > 0).astype(float)
    pair = orders.groupby(["customer_id", "product_id"])
    made = pd.DataFrame(
        {
            "bought_4": pair["line"].apply(lambda part: part.tail(4).sum()),
            "bought_12": pair["line"].apply(lambda part: part.tail(12).sum()),
            "items_4": pair["items"].apply(lambda part: part.tail(4).sum()),
            "mean_items": pair["items"].mean(),
            "last_items": pair["items"].last(),
        }
    ).reset_index()
    weekly = (
        orders.groupby(["customer_id", "week"])[["line", "items"]].sum().reset_index().sort_values("week")
    )
    by = weekly.groupby("customer_id")
    customer = pd.DataFrame(
        {
            "lines_4": by["line"].apply(lambda part: part.tail(4).sum()),
            "items_12": by["items"].apply(lambda part: part.tail(12).sum()),
            "last_lines": by["line"].last(),
        }
    ).reset_index()
    weekly = orders.groupby(["product_id", "week"])[["line", "items"]].sum().reset_index().sort_values("week")
    by = weekly.groupby("product_id")
    product = pd.DataFrame(
        {
            "buyers_4": by["line"].apply(lambda part: part.tail(4).sum()),
            "sold_12": by["items"].apply(lambda part: part.tail(12).sum()),
        }
    ).reset_index()
    grid = customers.merge(products, how="cross")
    grid = grid.merge(made, on=["customer_id", "product_id"], how="left")
    grid = grid.merge(customer, on="customer_id", how="left").merge(product, on="product_id", how="left")
    grid["rate_12"] = grid["bought_12"].fillna(0) / 12
    grid["rate_4"] = grid["bought_4"].fillna(0) / 4
    grid["share_of_customer"] = grid["items_4"].fillna(0) / (1 + grid["items_12"].fillna(0))
    grid["share_of_product"] = grid["items_4"].fillna(0) / (1 + grid["sold_12"].fillna(0))
    grid["never"] = grid["bought_4"].isna()
    return grid


def main() -> None:
    """Do one part and print what it took."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "make":
        print(json.dumps({"history": make(folder)}))
        return
    cost, probability = {"relevo": relevo, "usual": usual}[what](folder)
    np.save(f"{folder}.{what}.npy", probability)
    figures = {"seconds": cost.wall_seconds, "cpu": cost.cpu_seconds, "peak": cost.peak_rss_bytes}
    print(json.dumps({**figures, "rows": len(probability)}))


if __name__ == "__main__":
    main()
