"""Makes what benchmarks/lookups.py serves: who buys what next week, from five look-ups, released.

Two static ones, customers and products, are in the package; three histories are in keyed files: 31,000 pairs of
customer and product, the customers, the products. Every number is made up.

python -m support.shop FOLDER
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from relevo import candidates, materialise, pack, sql
from relevo import digest as digests
from relevo import package as packages
from relevo.contract import Contract, Field
from relevo.online import compile_tree
from relevo.records import Snapshot, Verdict
from relevo.register import register
from relevo.train import TrainingSet, encoders
from relevo.train.algorithms import lightgbm
from relevo.workspace import Workspace

PROJECT = "shop"
CUSTOMERS, PRODUCTS, PAIRS = 1_569, 971, 31_000
BODIES, ROWS, TREES, LEAVES = 2_000, 6_000, 200, 31
UNKNOWN = 0.05
"""Share of the bodies whose customer nobody knows; three times as many ask for a pair never bought."""
REQUEST = Contract(
    "Ask",
    (
        Field(name="customer_id", alias="customer_id", type="integer", ge=0),
        Field(name="product_id", alias="product_id", type="integer", ge=0),
    ),
)
NUMBERS = {
    "h": ("times", "in_4", "in_8", "weeks_since", "items", "items_4", "mean_gap", "last_items"),
    "c": ("orders", "products", "items_8", "mean_items", "weeks_active"),
    "p": ("buyers", "buyers_4", "repeats", "mean_items", "weeks_sold"),
}
FEATURES = f"""select k.kind, k.deliveries, k.zone, s.brand, s.category, s.size,
    {", ".join(f"{t}.{name} as {t}_{name}" for t, names in NUMBERS.items() for name in names)},
    coalesce(h.times, 0) / (1.0 + coalesce(c.orders, 0)) as share,
    h.last_week is null as never,
    date_diff('day', h.last_week, c.last_week) as days_behind
from request
left join customers k on k.customer_id = request.customer_id
left join products s on s.product_id = request.product_id
left join pairs h on h.customer_id = request.customer_id and h.product_id = request.product_id
left join buyers c on c.customer_id = request.customer_id
left join sold p on p.product_id = request.product_id"""
STATIC = {
    "customers": f"""select i as customer_id, 'kind ' || hash(i, 1) % 6 as kind, hash(i, 2) % 5 as deliveries,
        'zone ' || hash(i, 3) % 12 as zone from range({CUSTOMERS}) t(i)""",
    "products": f"""select i as product_id, 'brand ' || hash(i, 4) % 50 as brand, 'category ' || hash(i, 5) % 8 as
        category, (hash(i, 6) % 40) / 8.0 as size from range({PRODUCTS}) t(i)""",
}
HISTORIES = {
    "pairs": (("customer_id", "product_id"), "h", f"""select p % {CUSTOMERS} as customer_id, p // {CUSTOMERS} as
        product_id, p from (
        select distinct (hash(i, 7) % {CUSTOMERS * PRODUCTS})::bigint as p from range({PAIRS}) t(i))"""),
    "buyers": (("customer_id",), "c", f"select i as customer_id, i as p from range({CUSTOMERS}) t(i)"),
    "sold": (("product_id",), "p", f"select i as product_id, i as p from range({PRODUCTS}) t(i)"),
}  # fmt: skip


def make(folder: Path) -> None:
    """Write the workspace and ``bodies.jsonl`` into an empty folder."""
    project = folder / PROJECT
    project.mkdir()
    workspace = Workspace.open(project)
    workspace.remember(PROJECT)
    described, static, snapshots = _tables(workspace)
    tables = [
        sql.LookupTable(name, tuple(one["key"]), _columns(one)) for name, (one, _) in static.items()
    ] + [
        sql.LookupTable(
            one["name"], tuple(one["key"]), (*_columns(one), sql.Column("known_at", "timestamp")), "known_at"
        )
        for one in described
    ]
    request = [sql.Column(field.name, field.type) for field in REQUEST.fields]
    plan = sql.compile_features(FEATURES, request=request, lookups=tables)
    static, described = _used(plan, static, described)
    for one in described:
        materialise.materialise(workspace, PROJECT, one, snapshots[one["name"]])
    _release(workspace, plan, static, described, folder / "package")
    lines = "\n".join(json.dumps(body) for body in _bodies(workspace))
    (folder / "bodies.jsonl").write_text(lines + "\n", encoding="utf-8")


def _bodies(workspace: Workspace) -> list[dict[str, int]]:
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, "history/pairs", as_="pairs")
        pairs = connection.execute("select customer_id, product_id from pairs order by all").fetchall()
    rng, found = random.Random(0), []
    for drawn in (rng.random() for _ in range(BODIES)):
        customer, product = rng.choice(pairs)
        if drawn < UNKNOWN:
            customer += 10 * CUSTOMERS
        elif drawn < 4 * UNKNOWN:
            product = rng.randrange(PRODUCTS)
        found.append({"customer_id": customer, "product_id": product})
    return found


def _columns(described: dict[str, Any]) -> tuple[sql.Column, ...]:
    return tuple(map(sql.Column, described["columns"], described["types"]))


def _tables(workspace: Workspace) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Snapshot]]:
    """Write the histories into the lake; gives their descriptions, the static rows and the snapshots."""
    described, static, snapshots = [], {}, {}
    with workspace.lake.connect() as connection:
        for name, query in STATIC.items():
            shown = connection.sql(query)
            types = ["text" if str(kind) == "VARCHAR" else "double" if str(kind) == "DOUBLE" else "integer" for kind in
                     shown.types]  # fmt: skip
            static[name] = (
                {"key": [shown.columns[0]], "columns": shown.columns, "types": types},
                shown.fetchall(),
            )
        for name, (key, short, keys) in HISTORIES.items():
            numbers = [f"(hash(p, {place}) % 97) / 7.0 as {one}" for place, one in enumerate(NUMBERS[short])]
            query = (
                f"select {', '.join(key)}, {', '.join(numbers)}, timestamp '2024-12-30' - to_days((hash(p, 99) % 300)"
                f"::integer) as last_week, timestamp '2025-01-06' as known_at from ({keys})"
            )
            version = workspace.lake.replace(f"history/{name}", connection.sql(query), transaction=name)
            snapshots[name] = Snapshot(id=name, table=f"history/{name}", version=version, rows=0)
            columns = [*key, *NUMBERS[short], "last_week"]
            kinds = ["integer"] * len(key) + ["double"] * len(NUMBERS[short]) + ["timestamp"]
            described.append(
                {"name": name, "key": list(key), "columns": columns, "types": kinds, "known_at": "known_at",
                 "sql": query, "shape": digests.of_json([name, query])}
            )  # fmt: skip
    return described, static, snapshots


def _used(plan: sql.FeaturePlan, static: Any, described: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Keep of each look-up what the features use, in their order."""
    kept, histories = {}, []
    by_name = {one["name"]: one for one in described}
    for use in plan.lookups:
        one = by_name[use.name] if use.known_at else static[use.name][0]
        types = dict(zip(one["columns"], one["types"], strict=True))
        columns = [*use.key, *use.columns]
        shown = {"key": list(use.key), "columns": columns, "types": [types[name] for name in columns]}
        if use.known_at:
            histories.append({**one, **shown})
        else:
            places = [one["columns"].index(name) for name in columns]
            rows = [tuple(row[place] for place in places) for row in static[use.name][1]]
            kept[use.name] = (shown, packages.lookup_lines(rows))
    return kept, histories


def _release(workspace: Workspace, plan: sql.FeaturePlan, static: Any, described: Any, folder: Path) -> None:
    """Fit on made-up outcomes, package, register and release."""
    parts: dict[str, Any] = {
        "project": PROJECT,
        "algorithm": candidates.lightgbm().algorithm,
        "settings": {},
        "request": REQUEST,
        "sql": plan.sql,
        "tree": plan.tree,
        "lookups": static,
        "histories": described,
        "recommend": {"by": "customer_id", "item": "product_id", "among": "products", "k": 5},
        "labels": ("no", "buys"),
        "calibration": {"a": 1.0, "b": 0.0},
        "threshold": 0.25,
        "metric": "f1",
        "metrics": {},
        "data": {},
        "libraries": pack.libraries("lightgbm"),
    }
    learned, model = _fit(workspace, plan, static)
    folder.mkdir()
    onnx = lightgbm.to_onnx(model.native(), len(learned.encoders))
    packages.write(folder, **parts, encoders=learned.encoders, model=onnx)
    version = register(workspace, folder, verdict=Verdict(accepted=True, reasons=()), run="benchmark")
    workspace.ledger.release(PROJECT, "champion", version.version, who="benchmark", why="", act="promote")


def _fit(workspace: Workspace, plan: sql.FeaturePlan, static: Any) -> tuple[Any, Any]:
    known: dict[str, Any] = {
        name: {json.loads(line)[0]: tuple(json.loads(line)[1:]) for line in lines.splitlines()}
        for name, (_, lines) in static.items()
    }
    with workspace.lake.connect() as connection:
        for use in plan.lookups:
            if use.known_at:
                workspace.lake.bind(connection, f"history/{use.name}", as_=use.name)
                width, names = len(use.key), ", ".join((*use.key, *use.columns))
                rows = connection.execute(f"select {names} from {use.name}").fetchall()
                known[use.name] = {row[0] if width == 1 else row[:width]: row[width:] for row in rows}
    online, rng = compile_tree(plan.tree), random.Random(1)
    pairs = rng.choices(list(known["pairs"]), k=ROWS // 2)
    pairs += [(rng.randrange(CUSTOMERS), rng.randrange(PRODUCTS)) for _ in range(ROWS // 2)]
    features = [online({"customer_id": c, "product_id": p}, known) for c, p in pairs]
    place = online.names.index("h_times")
    late = np.array([rng.random() < 0.03 + (row[place] or 0) / 40 for row in features])
    columns = {
        name: list(column)
        if kind == "text"
        else np.ma.masked_array(
            np.array([0 if one is None else one for one in column]), [one is None for one in column]
        )
        for name, kind, column in zip(online.names, online.types, zip(*features, strict=True), strict=True)
    }
    learned = encoders.learn(TrainingSet(plan.features, columns, late, np.full(len(pairs), -1)))
    settings = {**lightgbm.FIRST, "num_leaves": LEAVES, "n_estimators": TREES}
    return learned, lightgbm.learn(encoders.Sample(learned.matrix, late), settings, seed=0, rounds=TREES)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
