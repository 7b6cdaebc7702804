"""The usual service: FastAPI, a Pydantic body, one pandas row, a scikit-learn pipeline with LightGBM, pickled.

python -m support.usual PIPELINE PORT
"""

from __future__ import annotations

import pickle
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

CATEGORIES = ("airline", "destination", "flight", "period_of_day")
NUMBERS = ("international", "hour", "minute_of_day", "weekday", "month", "day_of_month", "high_season")


def features(
    at: str | datetime, flight: str | None, destination: str, airline: str, kind: str
) -> dict[str, Any]:
    """The flights' features, the way a notebook's author would write them for one row."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    day = (moment.month, moment.day)
    season = day >= (12, 15) or day <= (3, 3) or (7, 15) <= day <= (7, 31) or (9, 11) <= day <= (9, 30)
    hour = moment.hour
    return {
        "airline": airline,
        "destination": destination,
        "flight": flight or "?",
        "period_of_day": "morning" if 5 <= hour < 12 else "afternoon" if 12 <= hour < 19 else "night",
        "international": kind == "I",
        "hour": hour,
        "minute_of_day": 60 * hour + moment.minute,
        "weekday": moment.isoweekday(),
        "month": moment.month,
        "day_of_month": moment.day,
        "high_season": season,
    }


def serve(pipeline: Path, port: int) -> None:
    """Serve the pipeline."""
    import pandas as pd
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel, Field

    warnings.filterwarnings("ignore")
    model = pickle.loads(pipeline.read_bytes())  # noqa: S301 - made by this benchmark a moment ago

    class Flight(BaseModel):
        at: datetime = Field(alias="Fecha-I")
        flight: str | None = Field(None, alias="Vlo-I", max_length=8)
        destination: str = Field(alias="Des-I", pattern="^[A-Z]{4}$")
        airline: str = Field(alias="Emp-I", pattern="^[A-Z0-9]{2,3}$")
        kind: Literal["I", "N"] = Field(alias="TIPOVUELO")

    class Answer(BaseModel):
        probability: float
        decision: bool

    app = FastAPI()
    Flight.model_rebuild(_types_namespace={"datetime": datetime, "Literal": Literal})

    def predict(flight: Any) -> Answer:
        row = pd.DataFrame(
            [features(flight.at, flight.flight, flight.destination, flight.airline, flight.kind)]
        )
        probability = float(model.predict_proba(row)[0, 1])
        return Answer(probability=probability, decision=probability >= 0.25)

    async def route(flight: Any) -> Answer:
        return predict(flight)

    route.__annotations__ = {"flight": Flight, "return": Answer}
    app.post("/v1/predict")(route)
    app.get("/ready")(lambda: {"status": "ready"})
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
