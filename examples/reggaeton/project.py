"""Is this song reggaeton?"""

from pydantic import BaseModel, Field

from relevo import Files, Gate, Project, RepeatedStratifiedSplit, Table, Target, Tuning, lightgbm, logistic


class Song(BaseModel):
    """The request: audio features as Spotify measures them. Three may be left out: see ``features.sql``."""

    danceability: float = Field(ge=0, le=1, description="How well one can dance to it", examples=[0.61])
    energy: float = Field(ge=0, le=1, description="Intensity and activity", examples=[0.88])
    speechiness: float = Field(ge=0, le=1, description="Spoken words; rap .33 to .66", examples=[0.06])
    acousticness: float = Field(ge=0, le=1, description="Confidence that it is acoustic", examples=[0.0])
    valence: float = Field(ge=0, le=1, description="How cheerful it sounds", examples=[0.46])
    tempo: float = Field(ge=20, le=250, description="Beats a minute", examples=[131.06])
    loudness: float = Field(ge=-60, le=5, description="Mean loudness, decibels", examples=[-4.43])
    instrumentalness: float | None = Field(None, ge=0, le=1, description="Confidence that nobody sings")
    liveness: float | None = Field(None, ge=0, le=1, description="Confidence that there is an audience")
    duration: int | None = Field(None, ge=1_000, le=1_800_000, description="Milliseconds")


class Listed(Song):
    """The table: a song and the file that lists it. The other columns of the files are left out on purpose.

    ``time_signature`` stands in one file only and ``id_new`` counts through both, which are perfect leaks;
    ``popularity`` is that of the day on which the two lists were made, each in its own way; and no key or
    mode makes a song reggaeton.
    """

    file: str = Field(max_length=100)


STEPS = {
    "learning_rate": 0.05,
    "early_stopping_rounds": 0,
    "min_child_samples": 5,
    "colsample_bytree": 0.6,
    "subsample": 0.7,
    "reg_lambda": 0.01,
    "class_weight": 0.0,
}

project = Project(
    name="reggaeton",
    description="Is this song reggaeton?",
    tables=[Table("songs", Listed, Files("data/*.csv", origin="file"), nulls=["NA"])],
    request=Song,
    features="features.sql",
    # data_test.csv has no label: its songs are clean rows without an outcome.
    target=Target(
        "case file when 'data_reggaeton.csv' then true when 'data_todotipo.csv' then false end",
        positive="reggaeton",
        negative="other",
    ),
    split=RepeatedStratifiedSplit(folds=5, repeats=10),
    metric="pr_auc",
    candidates=[
        logistic(C=(0.01, 10.0), class_weight=[0.0, 0.5]),
        # A fixed number of small steps, each on other songs and columns: 70 positives are too few to search
        # settings by, or to stop early by. "random cuts" draws each cut's place as well.
        lightgbm("boosted", num_leaves=15, n_estimators=200, **STEPS),
        lightgbm("random cuts", num_leaves=31, n_estimators=300, extra_trees=True, **STEPS),
    ],
    tuning=Tuning(trials=3),
    gate=Gate(minimum={"pr_auc": 0.6}, margin=0.05),
    cases="cases.csv",
)
