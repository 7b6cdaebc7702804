"""Will this flight leave Santiago more than 15 minutes late?"""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from relevo import (
    Files,
    Gate,
    History,
    Project,
    Table,
    Target,
    TimeSplit,
    Tuning,
    lightgbm,
    logistic,
    xgboost,
)


class Flight(BaseModel):
    """The request: what is known when the question is asked."""

    scheduled_at: datetime = Field(
        alias="Fecha-I",
        lt=datetime(2100, 1, 1),
        description="Scheduled departure, local time",
        examples=["2017-07-14 07:35:00"],
    )
    flight: str | None = Field(
        None, alias="Vlo-I", max_length=8, description="Scheduled flight number", examples=["226"]
    )
    destination: str = Field(
        alias="Des-I", pattern="^[A-Z]{4}$", description="Destination, ICAO code", examples=["SCFA"]
    )
    airline: str = Field(
        alias="Emp-I", pattern="^[A-Z0-9]{2,3}$", description="Airline, ICAO code", examples=["SKU"]
    )
    flight_type: Literal["I", "N"] = Field(
        alias="TIPOVUELO", description="I international, N national", examples=["N"]
    )


class Departure(Flight):
    """The table: the request, and what is known afterwards."""

    departed_at: datetime = Field(alias="Fecha-O", description="Actual departure, local time")


class Holiday(BaseModel):
    """A public holiday in Chile; ``sample.py --holidays`` writes them from the holidays package."""

    day: date
    name: str


project = Project(
    name="flights",
    description="Will this flight leave Santiago more than 15 minutes late?",
    tables=[
        Table(
            "departures", Departure, Files("data/*.csv"), event_time="scheduled_at", known_at="departed_at"
        ),
        Table("holidays", Holiday, Files("holidays.csv"), key="day"),
    ],
    history=[
        History("airline_delays", key="airline", sql="airline_delays.sql"),
        History("flight_delays", key=["airline", "flight"], sql="flight_delays.sql"),
        History("congestion", key=["weekday", "hour"], sql="congestion.sql"),
    ],
    request=Flight,
    features="features.sql",
    target=Target(
        "date_diff('minute', scheduled_at, departed_at) > 15",
        known_at="departed_at",
        positive="late",
        negative="on time",
    ),
    split=TimeSplit(test="60d"),
    metric="f1",
    candidates=[logistic(), lightgbm(), xgboost()],
    tuning=Tuning(trials=12),
    gate=Gate(minimum={"roc_auc": 0.6}),
    cases="cases.csv",
)
