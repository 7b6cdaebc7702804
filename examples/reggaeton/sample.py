"""Makes made-up songs in the two files of the real case, with their columns, their leaks and their flaws.

python sample.py data --positives 70 --negatives 2230 --seed 0

No song is real. The features are drawn from simple distributions that differ by kind, with means and spreads
as the real songs have them, so what a model reaches on them says nothing about real songs.
"""

import argparse
import csv
import random
from pathlib import Path

FEATURES = (
    *("popularity", "danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness"),
    *("instrumentalness", "liveness", "valence", "tempo", "duration"),
)
NULLS, COPIES = 8, 77
MIX = 1_499_600
"""Milliseconds of the one mix among the positives."""


def share(rng: random.Random, mean: float, weight: float) -> float:
    """A number from 0 to 1 with this mean; the more weight the closer to it."""
    return round(rng.betavariate(mean * weight, (1 - mean) * weight), 3)


def reggaeton(rng: random.Random) -> dict[str, float]:
    """Danceable, with words, and a drum machine near 95 beats a minute, now and then measured as 190."""
    beat = round(rng.gauss(95, 3) if rng.random() < 0.85 else rng.gauss(106, 9)) + rng.gauss(0, 0.02)
    return {
        "popularity": round(min(100, max(0, rng.gauss(57, 11)))),
        "danceability": share(rng, 0.776, 26),
        "energy": share(rng, 0.778, 17),
        "key": rng.randrange(12),
        "loudness": round(min(0.0, rng.gauss(-6.3, 2.2)), 3),
        "mode": int(rng.random() < 0.57),
        "speechiness": share(rng, 0.12, 18),
        "acousticness": share(rng, 0.16, 7),
        "instrumentalness": 0.0 if rng.random() < 0.9 else share(rng, 0.05, 5),
        "liveness": share(rng, 0.19, 9),
        "valence": share(rng, 0.7, 8),
        "tempo": round(beat * (2 if rng.random() < 0.12 else 1), 3),
        "duration": round(max(90_000, rng.gauss(222_000, 40_000))),
    }


def other(rng: random.Random) -> dict[str, float]:
    """Everything else: quiet or loud, sung or not, at any tempo."""
    quiet = rng.random() < 0.3
    tempo = min(215.0, max(35.0, rng.gauss(118, 28)))
    if not quiet and rng.random() < 0.5:
        tempo = round(tempo) + rng.gauss(0, 0.02)
    return {
        "popularity": round(min(100, max(0, rng.gauss(52, 18)))),
        "danceability": share(rng, 0.44 if quiet else 0.62, 11),
        "energy": share(rng, 0.25 if quiet else 0.76, 9),
        "key": rng.randrange(12),
        "loudness": round(min(0.0, rng.gauss(-16 if quiet else -7, 5 if quiet else 2.5)), 3),
        "mode": int(rng.random() < 0.6),
        "speechiness": max(0.023, share(rng, 0.045 if quiet else 0.077, 22)),
        "acousticness": share(rng, 0.78 if quiet else 0.16, 4),
        "instrumentalness": share(rng, 0.5 if quiet else 0.1, 1.2),
        "liveness": share(rng, 0.18, 7),
        "valence": share(rng, 0.36 if quiet else 0.6, 4),
        "tempo": round(tempo, 3),
        "duration": round(max(46_000, rng.gauss(234_000, 75_000))),
    }


def rows(positives: int, negatives: int, seed: int) -> tuple[list[list[object]], list[list[object]]]:
    """The rows of the two files: only the second has a ``time_signature``, some nulls and some copies."""
    rng = random.Random(seed)
    own: list[list[object]] = [list(reggaeton(rng).values()) for _ in range(positives)]
    own[positives // 2][FEATURES.index("duration")] = MIX
    nulls = min(NULLS, negatives // 20)
    copies = min(COPIES, negatives // 20)
    others: list[list[object]] = [
        [*other(rng).values(), rng.choices((4, 3, 5, 1), (90, 8, 1, 1))[0]]
        for _ in range(negatives - nulls - copies)
    ]
    others += [list(row) for row in rng.sample(others, copies)]
    others += [[0, *["NA"] * len(FEATURES)] for _ in range(nulls)]
    rng.shuffle(others)
    return own, others


def write_file(path: Path, header: list[str], found: list[list[object]], first: int) -> None:
    """Number the rows twice, as the real files do: by line without a name, and on through the files."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *header, "id_new"])
        writer.writerows([line, *row, first + line - 1] for line, row in enumerate(found, 1))


def write(folder: Path, positives: int = 70, negatives: int = 2230, seed: int = 0) -> None:
    """Write ``data_reggaeton.csv``, ``data_todotipo.csv`` and, without a label, ``data_test.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    own, others = rows(positives, negatives, seed)
    write_file(folder / "data_reggaeton.csv", list(FEATURES), own, 1)
    whole = [*FEATURES, "time_signature"]
    write_file(folder / "data_todotipo.csv", whole, others, positives + 1)
    rng = random.Random(seed + 1)
    asked: list[list[object]] = [
        [*(reggaeton(rng) if rng.random() < 0.1 else other(rng)).values(), 4] for _ in range(50)
    ]
    write_file(folder / "data_test.csv", whole, asked, positives + negatives + 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the three files go")
    parser.add_argument("--positives", type=int, default=70)
    parser.add_argument("--negatives", type=int, default=2230)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    write(chosen.folder, chosen.positives, chosen.negatives, chosen.seed)
