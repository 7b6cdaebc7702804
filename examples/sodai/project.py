"""Which products will each customer buy next week?"""

from datetime import date

from pydantic import BaseModel, Field

from relevo import (
    Examples,
    ExpectedF1,
    Files,
    Gate,
    History,
    Population,
    Project,
    Recommend,
    Table,
    Target,
    TimeSplit,
    Tuning,
    lightgbm,
)


class Pair(BaseModel):
    """The request: who, and what. The week is the next one; all else is looked up."""

    customer_id: int = Field(description="Customer", examples=[256017])
    product_id: int = Field(description="Product", examples=[34092])


class Purchase(Pair):
    """A line of an order. Items are units of volume, so fractions; a correction has negative ones."""

    order_id: int
    purchase_date: date
    items: float = Field(ge=-10_000, le=10_000)


class Customer(BaseModel):
    """A customer on the list. Coordinates are left out: they tell nothing here, and some are swapped."""

    customer_id: int
    customer_type: str = Field(description="Kind of shop")


class Product(BaseModel):
    """A product on the list; most were never sold."""

    product_id: int
    brand: str
    sub_category: str
    segment: str
    package: str
    size: float = Field(gt=0)


PAIR = ("customer_id", "product_id")

project = Project(
    name="sodai",
    description="Which products will each customer buy next week?",
    tables=[
        Table(
            "purchases",
            Purchase,
            Files("data/purchases/*.parquet"),
            event_time="purchase_date",
            unique=(*PAIR, "order_id", "purchase_date", "items"),
        ),
        Table("customers", Customer, Files("data/clientes.parquet"), key="customer_id"),
        Table("products", Product, Files("data/productos.parquet"), key="product_id"),
    ],
    history=[
        History("pairs", key=PAIR, sql="history_pairs.sql", known_at="known_at"),
        History("visits", key="customer_id", sql="history_visits.sql", known_at="known_at"),
        History("sales", key="product_id", sql="history_sales.sql", known_at="known_at"),
    ],
    examples=Examples("examples.sql", time="start"),
    population=Population(
        "population.sql",
        time="start",
        outcomes="outcomes.sql",
        naive="pair_weeks4 >= 2",
        segments=["customer_type"],
    ),
    request=Pair,
    features="features.sql",
    target=Target("bought", known_at="known_at", positive="buys", negative="does not buy"),
    split=TimeSplit(test="14d", folds=3),
    decision=ExpectedF1(),
    recommend=Recommend(by="customer_id", item="product_id", among="products", k=5),
    metric="f1",
    candidates=[
        lightgbm(
            num_leaves=15,
            learning_rate=0.08,
            n_estimators=100,
            min_child_samples=100,
            colsample_bytree=0.6,
            subsample=0.8,
            reg_lambda=5.0,
            class_weight=0.0,
        )
    ],
    tuning=Tuning(trials=1),
    gate=Gate(),
)
