"""Will this patient be back in hospital within 30 days?"""

from typing import Literal

from pydantic import BaseModel, Field

from relevo import Batches, Files, Gate, GroupSplit, Project, Table, Target, Tuning, lightgbm, logistic

Dose = Literal["No", "Steady", "Up", "Down"]
MEDICINE = Field("No", description="Taken, and whether the dose was changed", examples=["Steady"])


class Discharge(BaseModel):
    """The request: what is known about a stay on the day it ends."""

    race: str | None = Field(None, max_length=30, description="As registered", examples=["Caucasian"])
    gender: Literal["Female", "Male"] | None = Field(None, description="As registered", examples=["Female"])
    age: Literal[
        "[0-10)", "[10-20)", "[20-30)", "[30-40)", "[40-50)",
        "[50-60)", "[60-70)", "[70-80)", "[80-90)", "[90-100)",
    ] = Field(description="Years, by decade", examples=["[70-80)"])  # fmt: skip
    admission_type_id: int = Field(ge=1, le=8, description="Code, see admission_types.csv", examples=[1])
    # Neither expired (11, 19, 20, 21) nor to a hospice (13, 14): of them the question is not asked.
    discharge_disposition_id: Literal[
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 18, 22, 23, 24, 25, 26, 27, 28, 29, 30
    ] = Field(description="Code of where the patient goes, see discharges.csv", examples=[1])  # fmt: skip
    admission_source_id: int = Field(ge=1, le=26, description="Code, see admission_sources.csv", examples=[7])
    time_in_hospital: int = Field(ge=1, le=14, description="Days of this stay", examples=[4])
    payer_code: str | None = Field(None, max_length=4, description="Who pays", examples=["MC"])
    medical_specialty: str | None = Field(
        None, max_length=60, description="Of the admitting physician", examples=["InternalMedicine"]
    )
    num_lab_procedures: int = Field(ge=0, le=200, description="Laboratory tests", examples=[43])
    num_procedures: int = Field(ge=0, le=20, description="Other procedures", examples=[1])
    num_medications: int = Field(ge=0, le=200, description="Distinct medicines given", examples=[15])
    number_outpatient: int = Field(ge=0, le=200, description="Outpatient visits, year before", examples=[0])
    number_emergency: int = Field(ge=0, le=200, description="Emergency visits, year before", examples=[0])
    number_inpatient: int = Field(ge=0, le=100, description="Stays in hospital, year before", examples=[0])
    diag_1: str | None = Field(None, max_length=6, description="First diagnosis, ICD-9", examples=["428"])
    diag_2: str | None = Field(None, max_length=6, description="Second diagnosis", examples=["250.6"])
    diag_3: str | None = Field(None, max_length=6, description="Third diagnosis", examples=["V45"])
    number_diagnoses: int = Field(ge=1, le=16, description="Diagnoses entered", examples=[9])
    max_glu_serum: Literal["None", "Norm", ">200", ">300"] = Field(
        "None", description="Glucose in serum; None: not measured", examples=["None"]
    )
    a1c: Literal["None", "Norm", ">7", ">8"] = Field(
        "None", alias="A1Cresult", description="HbA1c; None: not measured", examples=[">8"]
    )
    insulin: Dose = MEDICINE
    metformin: Dose = MEDICINE
    glipizide: Dose = MEDICINE
    glyburide: Dose = MEDICINE
    glimepiride: Dose = MEDICINE
    pioglitazone: Dose = MEDICINE
    rosiglitazone: Dose = MEDICINE
    repaglinide: Dose = MEDICINE
    change: Literal["No", "Ch"] = Field("No", description="Any diabetes medicine changed", examples=["Ch"])
    diabetes_medicine: Literal["No", "Yes"] = Field(
        "No", alias="diabetesMed", description="Any diabetes medicine given", examples=["Yes"]
    )


class Encounter(Discharge):
    """The table: the request, the patient it is about, and what is known 30 days later."""

    encounter_id: int
    patient_nbr: int
    discharge_disposition_id: int = Field(ge=1, le=30)
    readmitted: Literal["NO", ">30", "<30"]


class Code(BaseModel):
    """A line of the code book."""

    id: int
    description: str
    kind: str


class Diagnosis(BaseModel):
    """A category of ICD-9, its first three characters, and its chapter; ``sample.py --icd9`` writes them."""

    category: str
    chapter: str


project = Project(
    name="readmission",
    description="Will this patient be back in hospital within 30 days?",
    tables=[
        Table(
            "encounters",
            Encounter,
            Batches("http://127.0.0.1:8100/batches/{number}"),  # provider.py
            nulls=["?", "Unknown/Invalid"],  # and not "None", which says that a test was not made
            unique=["encounter_id"],
            where="discharge_disposition_id not in (11, 13, 14, 19, 20, 21)",
        ),
        Table("admission_types", Code, Files("admission_types.csv"), key="id"),
        Table("admission_sources", Code, Files("admission_sources.csv"), key="id"),
        Table("discharges", Code, Files("discharges.csv"), key="id"),
        Table("icd9", Diagnosis, Files("icd9.csv"), key="category"),
    ],
    request=Discharge,
    features="features.sql",
    target=Target("readmitted = '<30'", positive="readmitted", negative="not readmitted"),
    split=GroupSplit(by="patient_nbr", test=0.2, folds=4),
    metric="roc_auc",
    candidates=[
        logistic(),
        lightgbm(
            num_leaves=(10, 24), learning_rate=(0.03, 0.08), colsample_bytree=(0.3, 0.6), class_weight=0.0
        ),
    ],
    tuning=Tuning(trials=4),
    gate=Gate(minimum={"roc_auc": 0.6}, margin=0.01),
    cases="cases.csv",
)
