"""What Airflow costs: parsing the exported files, and one that runs idle beside `relevo up`.

    RELEVO_TEST_AIRFLOW=$(scripts/engine-env airflow) RELEVO_TEST_POSTGRES=… python benchmarks/airflow.py

Parsing is the time of a DAG file beyond importing Airflow, the median of 20 fresh ones. Memory is what each process has
for itself and its share of what it shares (PSS), a minute after the start, without a run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import psutil  # noqa: E402

from support import airflow, project  # noqa: E402

ROOT = Path(__file__).parents[1]
EXAMPLES = ("flights", "readmission", "reggaeton", "sodai")
PARSE = """
import runpy, sys, time
sys.path.insert(0, sys.argv[1])
import airflow.sdk
from airflow.sdk import DAG, Asset, BaseHook, BaseOperator, MultipleCronTriggerTimetable, TriggerRule, Variable, chain
from airflow.sdk.exceptions import AirflowException
DAG("warm")
for _ in range(20):
    sys.modules.pop("relevo_airflow", None)
    began = time.perf_counter()
    runpy.run_path(f"{sys.argv[1]}/{sys.argv[2]}.py")
    print(time.perf_counter() - began)
"""


def parsing(dags: Path) -> None:
    """Each example's file."""
    for name in EXAMPLES:
        done = subprocess.run(
            [f"{airflow.HOME}/bin/python", "-c", PARSE, dags, name],
            env=airflow.settings(dags / "home", dags),
            capture_output=True,
            text=True,
            check=True,
        )
        times = [float(line) for line in done.stdout.split()]
        print(f"{name:12} {statistics.median(times) * 1000:5.1f} ms, the first {times[0] * 1000:5.1f} ms")


def megabytes(processes: list[psutil.Process]) -> float:
    """Memory of processes together."""
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def idle(folder: Path, dags: Path) -> None:
    """Airflow with nothing to do, and `relevo up --no-serve`."""
    with airflow.standalone(folder / "airflow", dags):
        time.sleep(60)
        found = airflow.of(folder / "airflow")
        print(f"airflow standalone: {len(found)} processes, {megabytes(found):,.0f} MB")
    home = folder / "up"
    project.make(home, 100)
    with subprocess.Popen(
        [project.RELEVO, "up", home, "--no-serve"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as up:
        time.sleep(60)
        process = psutil.Process(up.pid)
        found = [process, *process.children(recursive=True)]
        print(f"relevo up --no-serve: {len(found)} processes, {megabytes(found):,.0f} MB")
        up.terminate()


def main() -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in EXAMPLES:
            project.relevo("export", "airflow", ROOT / "examples" / name, "--to", folder / "dags")
        parsing(folder / "dags")
        idle(folder, folder / "dags")


if __name__ == "__main__":
    main()
