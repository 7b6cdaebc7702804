"""Makes sample encounters with the columns of the real file, and the categories of ICD-9.

python sample.py data/encounters.csv --rows 20000 --seed 0
python sample.py --icd9 icd9.csv
"""

import argparse
import csv
import math
import random
from pathlib import Path

MEDICINES = (
    *("metformin", "repaglinide", "nateglinide", "chlorpropamide", "glimepiride", "acetohexamide"),
    *("glipizide", "glyburide", "tolbutamide", "pioglitazone", "rosiglitazone", "acarbose", "miglitol"),
    *("troglitazone", "tolazamide", "examide", "citoglipton", "insulin", "glyburide-metformin"),
    *("glipizide-metformin", "glimepiride-pioglitazone", "metformin-rosiglitazone", "metformin-pioglitazone"),
)
HEADER = [
    *("encounter_id", "patient_nbr", "race", "gender", "age", "weight", "admission_type_id"),
    *("discharge_disposition_id", "admission_source_id", "time_in_hospital", "payer_code"),
    *("medical_specialty", "num_lab_procedures", "num_procedures", "num_medications", "number_outpatient"),
    *("number_emergency", "number_inpatient", "diag_1", "diag_2", "diag_3", "number_diagnoses"),
    *("max_glu_serum", "A1Cresult", *MEDICINES, "change", "diabetesMed", "readmitted"),
]
TAKEN = {"insulin": 0.53, "metformin": 0.19, "glipizide": 0.12, "glyburide": 0.11, "pioglitazone": 0.07}
CHAPTERS = (  # of ICD-9: first and last category
    ("infection", 1, 139), ("neoplasm", 140, 239), ("endocrine", 240, 249), ("diabetes", 250, 250),
    ("endocrine", 251, 279), ("blood", 280, 289), ("mental", 290, 319), ("nervous", 320, 389),
    ("circulatory", 390, 459), ("respiratory", 460, 519), ("digestive", 520, 579),
    ("genitourinary", 580, 629), ("pregnancy", 630, 679), ("skin", 680, 709),
    ("musculoskeletal", 710, 739), ("congenital", 740, 759), ("perinatal", 760, 779),
    ("symptoms", 780, 799), ("injury", 800, 999),
)  # fmt: skip
DIAGNOSES = {  # category: share, how much it raises the log-odds
    "428": (0.14, 0.35), "414": (0.12, -0.15), "786": (0.09, -0.45), "410": (0.08, -0.10),
    "486": (0.09, -0.20), "427": (0.08, -0.15), "715": (0.07, -0.30), "491": (0.06, 0.15),
    "434": (0.05, 0.35), "682": (0.05, -0.15), "250.6": (0.05, 0.25), "403": (0.05, 0.45),
    "V57": (0.04, 0.55), "38": (0.03, 0.10),
}  # fmt: skip
DISCHARGES = {  # code: share, effect; 11 expired
    1: (0.60, -0.20), 3: (0.13, 0.25), 6: (0.12, 0.10), 18: (0.05, 0.05), 2: (0.03, 0.35),
    22: (0.03, 0.95), 5: (0.02, 0.60), 11: (0.02, 0.0),
}  # fmt: skip
ADMISSIONS = {(1, 7): 0.50, (3, 1): 0.25, (2, 1): 0.15, (6, 17): 0.07, (2, 4): 0.03}  # type, source
SPECIALTIES = {
    "?": 0.48,
    "InternalMedicine": 0.2,
    "Family/GeneralPractice": 0.12,
    "Cardiology": 0.1,
    "Nephrology": 0.1,
}
RACES = {"Caucasian": 0.75, "AfricanAmerican": 0.19, "Hispanic": 0.02, "Other": 0.02, "?": 0.02}
AGES = (0.002, 0.007, 0.017, 0.04, 0.1, 0.17, 0.22, 0.26, 0.16, 0.024)
EXPIRED = 11


def pick(rng: random.Random, shares: dict) -> object:
    """One key, by its share."""
    return rng.choices(list(shares), list(shares.values()))[0]


def encounters(rows: int, seed: int) -> list[list[str]]:
    """Make encounters; a patient has one or several, whose risk goes together."""
    rng = random.Random(seed)
    found, number, patient = [], 10_000, 500
    while len(found) < rows:
        patient += rng.randrange(1, 400)
        frailty = rng.gauss(0, 0.5)
        about = (
            str(patient),
            pick(rng, RACES),
            rng.choice(("Female", "Male")),
            rng.choices(range(10), AGES)[0],
        )
        for stay in range(
            min(rows - len(found), 1 + int(rng.expovariate(1.1 - 0.5 * min(1, max(0, frailty)))))
        ):
            number += rng.randrange(6, 2000)
            found.append(_encounter(rng, str(number), about, frailty, stay, len(found) / rows))
    return found


def _encounter(
    rng: random.Random, number: str, about: tuple, frailty: float, stay: int, place: float
) -> list[str]:
    """One row; ``place`` runs from 0 to 1 through the file, along which who pays is written down ever more."""
    patient, race, gender, decade = about
    kind, source = pick(rng, ADMISSIONS)
    inpatient = min(15, stay + int(rng.expovariate(1.3) * math.exp(frailty)))
    emergency = int(rng.expovariate(2.5) * math.exp(frailty))
    codes = [pick(rng, {code: share for code, (share, _) in DIAGNOSES.items()}) for _ in range(3)]
    discharge = pick(rng, {code: share for code, (share, _) in DISCHARGES.items()})
    days = min(14, 1 + int(rng.expovariate(0.3)))
    doses = {name: _dose(rng, TAKEN.get(name, 0.0)) for name in MEDICINES}
    odds = -3.0 + frailty + 0.45 * min(inpatient, 6) + 0.15 * min(emergency, 4) + 0.02 * days + 0.04 * decade
    odds += DIAGNOSES[codes[0]][1] + 0.5 * DIAGNOSES[codes[1]][1] + DISCHARGES[discharge][1]
    again = rng.random() < 1 / (1 + math.exp(-odds)) and discharge != EXPIRED
    later = rng.random() < 0.38 and discharge != EXPIRED
    changed = any(dose in ("Up", "Down") for dose in doses.values())
    return [
        number, patient, race, gender, f"[{10 * decade}-{10 * decade + 10})", "?", str(kind), str(discharge),
        str(source), str(days), "?" if rng.random() > 1.4 * place else rng.choice(("MC", "HM", "SP", "BC")),
        pick(rng, SPECIALTIES), str(max(1, round(rng.gauss(43, 19)))), str(min(6, int(rng.expovariate(0.7)))),
        str(max(1, round(rng.gauss(12 + 0.8 * days, 6)))), str(int(rng.expovariate(2.2))), str(emergency),
        str(inpatient), *codes, str(rng.randint(3, 9)), rng.choices(("None", "Norm", ">200"), (94, 4, 2))[0],
        rng.choices(("None", "Norm", ">7", ">8"), (83, 5, 4, 8))[0], *doses.values(), "Ch" if changed else "No",
        "Yes" if any(dose != "No" for dose in doses.values()) else "No",
        "<30" if again else ">30" if later else "NO",
    ]  # fmt: skip


def _dose(rng: random.Random, share: float) -> str:
    return "No" if rng.random() >= share else rng.choices(("Steady", "Up", "Down"), (70, 15, 15))[0]


def write(path: Path, rows: int, seed: int = 0) -> None:
    """Write sample encounters as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(encounters(rows, seed))


def write_icd9(path: Path) -> None:
    """Write each category, as this data spells it: without the zeros in front."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("category", "chapter"))
        for chapter, first, last in CHAPTERS:
            writer.writerows((str(number), chapter) for number in range(first, last + 1))
        writer.writerows((f"V{number:02d}", "supplementary") for number in range(1, 92))
        writer.writerows((f"E{number:02d}", "external") for number in range(80, 100))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="the file to write")
    parser.add_argument("--icd9", action="store_true", help="write the categories of ICD-9 instead")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.icd9:
        write_icd9(chosen.path)
    else:
        write(chosen.path, chosen.rows, chosen.seed)
