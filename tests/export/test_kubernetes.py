"""Manifests for Kubernetes: sized by what was measured, strict, and refused where they could not work."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml

from relevo import keys
from relevo.cli.app import app
from relevo.export.kubernetes.plan import Image, dns
from relevo.ids import uuid7
from relevo.ledger.agenda import Begun
from relevo.records import Run, now
from relevo.service import ServiceSettings
from relevo.serving import collecting, drain
from relevo.serving.door import OPEN
from relevo.serving.run import FAREWELL
from relevo.workspace import Workspace
from support import project, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
KUBECTL = shutil.which("kubectl")
IMAGE = "registry.example.com/team/flights:1.0.0"
DIGEST = f"registry.example.com/team/flights@sha256:{'a' * 64}"
PEAK, INGEST, SERVICE = 700 << 20, 210 << 20, 120 << 20
RATE, EACH = 4000.0, 80e-6
NEWEST = 3
"""Versions of Kubernetes that manifests are valid for: the newest ones that are known."""
ACCEPTED = {
    "CKV_K8S_15": "a node that has the image needs no registry to start it again",
    "CKV_K8S_43": "a tag is what most give; with a digest nothing is left, see the light profile",
}


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose run was measured."""
    folder = project.make(tmp_path_factory.mktemp("cluster") / "flights", rows=0)
    ledger = Workspace.open(folder).ledger
    one = uuid7()
    ledger.start_run(Run(id=one, project="flights", status="running", started_at=now()))
    for name, peak in (("ingest", INGEST), ("train:logistic", 400 << 20), ("evaluate", PEAK)):
        ledger.save_step(watched.a_step(one, name, peak_rss_bytes=peak))
    ledger.finish_run(one, status="released")
    ledger.close()
    (folder.parent / "load.json").write_text(json.dumps(report()))
    (folder / "run").write_text(one)
    return folder


def report(**changes: Any) -> dict[str, Any]:
    """What ``relevo loadtest --capacity --out`` writes, as far as it is read."""
    service = {
        "project": "flights", "version": "1.0.0", "workers": 2, "requests": 100_000,
        "cpu_seconds_per_request": EACH, "resident_bytes": SERVICE, "children_peak_bytes": 0,
    }  # fmt: skip
    found = {
        "format": 1, "kind": "capacity", "started_at": "2026-11-21T10:00:00+00:00", "figures": {"rate": RATE},
        "limits": {"missed": []}, "service": service,
    }  # fmt: skip
    return found | changes


@dataclass
class Exported:
    """Manifests that were written."""

    folder: Path
    told: dict[str, Any]

    def read(self, path: str) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((self.folder / path).read_text()))

    def built(self, path: str) -> str:
        """What kustomize makes of it."""
        done = subprocess.run(
            [str(KUBECTL), "kustomize", str(self.folder / path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def words(flights: Path, to: Path, *more: str) -> list[str]:
    load = str(flights.parent / "load.json")
    return ["export", "kubernetes", str(flights), "--to", str(to), "--load-test", load, *more]


def alone(*given: str) -> project.Done:
    """Run the command in a process of its own: its memory is taken for what prepares a workspace."""
    done = project.relevo(*given)
    return project.Done(done.returncode, done.stdout, done.stderr)


def export(flights: Path, to: Path, *more: str) -> Exported:
    done = alone(*words(flights, to, "--image", IMAGE, "--json", *more))
    assert done.code == 0, done.out + done.err
    return Exported(to, done.document)


@pytest.fixture(scope="module")
def light(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(flights, tmp_path_factory.mktemp("light"))


@pytest.fixture(scope="module")
def full(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(flights, tmp_path_factory.mktemp("full"), "--profile", "full")


@pytest.fixture(params=["light", "full"])
def either(request: pytest.FixtureRequest) -> Exported:
    found: Exported = request.getfixturevalue(request.param)
    return found


def pods(values: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod's spec of each object that has one."""
    for value in values:
        if value["kind"] == "Deployment":
            yield value["metadata"]["name"], value["spec"]["template"]["spec"]
        elif value["kind"] == "CronJob":
            yield value["metadata"]["name"], value["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def containers(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for _, pod in pods(values) for one in [*pod.get("initContainers", []), *pod["containers"]]]


def everything(exported: Exported) -> list[dict[str, Any]]:
    return [value for path in ("base/api.yaml", "workflows/cronjobs.yaml") for value in exported.read(path)]


# Sizes


def test_requests_are_what_was_measured_and_limits_half_as_much_again(flights: Path, light: Exported) -> None:
    by_name = {one["name"]: one["resources"] for one in containers(everything(light))}
    assert by_name["run"]["requests"]["memory"] == "704Mi"
    assert by_name["run"]["limits"]["memory"] == "1056Mi"
    assert by_name["api"]["requests"] == {
        "cpu": "320m",
        "memory": "352Mi",
    }  # 4000 x 80 us; 120 (128) and 210 (224)
    assert by_name["api"]["limits"] == {"cpu": "2000m", "memory": "528Mi"}
    text = (light.folder / "workflows/cronjobs.yaml").read_text()
    assert f"step evaluate of run {(flights / 'run').read_text()}" in " ".join(text.split()).replace("# ", "")
    assert "load.json, capacity, 2026-11-21" in (light.folder / "base/api.yaml").read_text()


def test_the_sum_of_requests_is_told(light: Exported, full: Exported) -> None:
    told = light.told["sum"]
    assert told["at_rest"] == {"cpu_millicores": 320, "memory_mib": 352}
    assert told["busy"]["memory_mib"] == 2 * 352 + 704
    assert full.told["sum"]["at_rest"]["memory_mib"] == 2 * 352
    assert full.told["sum"]["at_most"]["memory_mib"] > 5 * 352 + 4 * 704 - 1
    assert "Pending" in light.told["remark"]


def test_people_read_the_sum_and_what_to_type_next(flights: Path, tmp_path: Path) -> None:
    done = alone(*words(flights, tmp_path / "out"))
    assert done.code == 0
    assert "in all, while no job runs" in done.out
    assert "1408Mi" in done.out
    assert f"kubectl apply -k {tmp_path}/out/overlays/light" in done.out


@pytest.mark.slow
def test_what_a_scheduler_measured_counts(flights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flights, tmp_path / "flights")
    agenda = Workspace.open(folder).ledger.agenda
    lease = agenda.acquire("flights", "scheduler", "test", 60)
    assert lease is not None
    job = agenda.begin(lease, Begun("report", now(), 3, {}))
    assert job is not None
    facts = {"peak_rss_bytes": 166 << 20, "seconds": 2.0, "cpu_seconds": 1.0}
    agenda.finish(job, "done", "", facts)
    shutil.copy(flights.parent / "load.json", tmp_path)
    found = export(folder, tmp_path / "out")
    sizes = {one["name"]: one for one in found.told["requests"]}
    assert sizes["report"]["memory_mib"] == 176
    assert "job report" in sizes["report"]["memory_from"]
    assert "not measured itself" in sizes["cases"]["memory_from"]


@pytest.mark.slow
def test_memory_and_processors_are_each_those_of_who_took_most(flights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flights, tmp_path / "flights")
    ledger = Workspace.open(folder).ledger
    run = (flights / "run").read_text()
    ledger.save_step(watched.a_step(run, "train:busy", wall_seconds=10.0, cpu_seconds=36.0))
    ledger.save_step(watched.a_step(run, "train:short", wall_seconds=0.1, cpu_seconds=0.9))
    lease = ledger.agenda.acquire("flights", "scheduler", "test", 60)
    assert lease is not None
    for name, memory, cpu in (("run", 900, 8.0), ("report", 166, 4.0), ("report", 300, 1.0)):
        job = ledger.agenda.begin(lease, Begun(name, f"{now()} {memory}", 3, {}))
        assert job is not None
        facts = {"peak_rss_bytes": memory << 20, "seconds": 2.0, "cpu_seconds": cpu / 2}
        ledger.agenda.finish(job, "done", "", facts)
    shutil.copy(flights.parent / "load.json", tmp_path)
    found = {
        one["name"]: one for one in export(folder, tmp_path / "out", "--node", "8:32GB").told["requests"]
    }
    sizes = {name: (one["memory_mib"], one["cpu_millicores"]) for name, one in found.items()}
    assert (sizes["run"], sizes["monitor"], sizes["report"]) == ((912, 900), (912, 900), (304, 250))
    assert "900 MiB at most: job run" in found["run"]["memory_from"]
    assert "3.60 processors that it used at most (step train:busy of run" in found["run"]["cpu_from"]
    assert "step train:busy" in found["cases"]["cpu_from"]
    assert "not measured itself" in found["cases"]["cpu_from"]


def test_without_measurements_the_commands_that_measure_are_named(tmp_path: Path) -> None:
    folder = project.make(tmp_path / "flights", rows=0)
    done = project.call("export", "kubernetes", str(folder), "--to", str(tmp_path / "out"))
    assert done.code == 1
    for said in (f"relevo run {folder}", "relevo loadtest", "--capacity", "--assume"):
        assert said in done.err
    assert not (tmp_path / "out").exists()
    assert not (folder / ".relevo").exists()


def test_guesses_are_marked_as_such(tmp_path: Path) -> None:
    folder = project.make(tmp_path / "flights", rows=0)
    done = project.call(
        "export", "kubernetes", str(folder), "--to", str(tmp_path / "out"), "--assume", "--profile", "full"
    )
    assert done.code == 0, done.err
    assert "guessed (--assume)" in (tmp_path / "out/base/api.yaml").read_text()
    assert "The request is a guess." in (tmp_path / "out/overlays/full/scaling.yaml").read_text()


@pytest.mark.slow
def test_a_node_that_is_too_small_is_refused_with_the_sums(flights: Path, tmp_path: Path) -> None:
    done = alone(*words(flights, tmp_path / "out", "--node", "2:2GB"))
    assert done.code == 1
    for said in ("does not fit", "1408 MiB are requested", "627 MiB", "--profile full", "--node 4:8GB"):
        assert said in done.err
    assert not (tmp_path / "out").exists()
    assert (
        project.call(*words(flights, tmp_path / "out", "--node", "4:8GB", "--json")).document["remark"] == ""
    )


@pytest.mark.parametrize("node", ["two", "2", "2:4", "2:4 apples", "99999:4GB"])
def test_a_node_is_processors_and_memory(flights: Path, tmp_path: Path, node: str) -> None:
    done = project.call(*words(flights, tmp_path / "out", "--node", node))
    assert (done.code, "such as 2:4GB" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"service": None}, "says nothing of the service's own memory"),
        ({"limits": {"missed": ["p95"]}}, "the limits were missed"),
        ({"service": report()["service"] | {"project": "sodai"}}, "is a test of sodai, not of flights"),
        ({"format": 7}, "is no report of a load test"),
    ],
)
def test_a_report_that_shows_nothing_is_refused(
    flights: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    file = tmp_path / "load.json"
    file.write_text(json.dumps(report(**changes)))
    done = project.call(
        "export", "kubernetes", str(flights), "--to", str(tmp_path / "o"), "--load-test", str(file)
    )
    assert (done.code, said in done.err) == (1, True), done.err


def test_of_a_search_the_rate_within_the_limits_counts(flights: Path, tmp_path: Path) -> None:
    levels = [
        {"users": users, "missed": missed, "figures": {"rate": rate}}
        for users, missed, rate in ((8, [], 1000.0), (16, [], 2000.0), (32, ["p95"], 3000.0))
    ]
    file = tmp_path / "load.json"
    file.write_text(json.dumps(report(levels=levels, capacity={"users": 16})))
    done = project.call(
        "export", "kubernetes", str(flights), "--to", str(tmp_path / "o"), "--load-test", str(file), "--json"
    )
    assert done.document["requests"][0]["cpu_millicores"] == 160  # 2000 times 80 us


@pytest.mark.parametrize("text", ["", "[]", "{}", "no"])
def test_a_report_must_be_one(flights: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "load.json"
    file.write_text(text)
    done = project.call(
        "export", "kubernetes", str(flights), "--to", str(tmp_path / "o"), "--load-test", str(file)
    )
    assert done.code == 1
    assert str(file) in done.err


# What is written


@pytest.mark.parametrize(
    "image", ["Flights:1", "flights", "flights:latest", "a b:1", "flights:", "-:1", "x@sha256:12", "f:1;rm"]
)
def test_an_image_that_is_none_or_that_changes_by_itself_is_refused(
    flights: Path, tmp_path: Path, image: str
) -> None:
    done = project.call(*words(flights, tmp_path / "out", "--image", image))
    assert done.code == 1
    assert "--image" in done.err
    assert not (tmp_path / "out").exists()


def test_an_image_may_have_a_port_a_tag_and_a_digest() -> None:
    assert Image.of("localhost:5000/a/b-c:1.2", "x") == ("localhost:5000/a/b-c", "1.2", "")
    assert Image.of(DIGEST, "x").chosen("relevo-api")["digest"] == f"sha256:{'a' * 64}"


@pytest.mark.slow
def test_edited_manifests_are_shown_and_never_overwritten(flights: Path, tmp_path: Path) -> None:
    export(flights, tmp_path)
    file = tmp_path / "base/api.yaml"
    file.write_text(file.read_text().replace("maxSurge: 1", "maxSurge: 2"))
    done = project.call(*words(flights, tmp_path, "--image", IMAGE))
    assert done.code == 3
    assert "-      maxSurge: 2" in done.out
    assert "maxSurge: 2" in file.read_text()
    assert export(flights, tmp_path, "--force").told["written"]
    assert "maxSurge: 2" in (tmp_path / "base/api.yaml.orig").read_text()


def test_every_command_in_the_manifests_is_one_of_ours(either: Exported) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = [one["command"] for one in containers(everything(either))]
    assert {words[1] for words in found} == {"prepare", "serve", "run", "monitor", "cases", "report"}
    for name, verb, *rest in found:
        assert name == "relevo"
        known = {option for parameter in commands[verb].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_containers_may_nothing_but_run(either: Exported) -> None:
    for one in containers(everything(either)):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(one["resources"]) == {"requests", "limits"}
    for _, pod in pods(everything(either)):
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["securityContext"]["runAsUser"] > 10_000
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_probes_ask_open_routes_and_stopping_has_the_services_own_time(light: Exported) -> None:
    (_, pod), *_ = pods(everything(light))
    (api,) = pod["containers"]
    paths = {name: api[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    assert set(paths.values()) <= OPEN
    pause = api["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause >= 5
    assert pod["terminationGracePeriodSeconds"] > pause + drain.LINGER + FAREWELL + collecting.PATIENCE
    rolling = light.read("base/api.yaml")[0]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


def test_workflows_never_run_twice_and_end(either: Exported) -> None:
    found = {value["metadata"]["name"]: value["spec"] for value in either.read("workflows/cronjobs.yaml")}
    assert set(found) == {"flights-run", "flights-monitor", "flights-cases", "flights-report"}
    for spec in found.values():
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["timeZone"]
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 6 * 3600
    assert found["flights-run"]["suspend"] is True  # the project has no schedule
    assert found["flights-monitor"]["schedule"] == "5 0 * * *"
    rules = found["flights-run"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[1]["onExitCodes"]["values"] == [3]


@pytest.mark.slow
@pytest.mark.parametrize(("said", "expected"), [("", "1h"), ('wait = "3h"\n', "3h")])
def test_workflows_wait_for_each_other(flights: Path, tmp_path: Path, said: str, expected: str) -> None:
    folder = shutil.copytree(flights, tmp_path / "flights")
    shutil.copy(flights.parent / "load.json", tmp_path)
    (folder / "relevo.toml").write_text(said)
    found = export(folder, tmp_path / "out")
    (settings,) = found.read("base/kustomization.yaml")[0]["configMapGenerator"]
    assert f"RELEVO_WAIT={expected}" in settings["literals"]


@pytest.mark.slow
def test_what_the_project_asks_outside_is_allowed_and_nothing_else(flights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flights, tmp_path / "flights")
    shutil.copy(flights.parent / "load.json", tmp_path)
    project.edit(
        folder / "project.py",
        ('Files("data/*.csv")', 'Query("select 1", "env:WAREHOUSE")'),
        ("from relevo import ", "from relevo import Query, "),
    )
    (folder / "relevo.toml").write_text(
        '[alerts.email.team]\nhost = "mail.example.com"\nfrom = "relevo@example.com"\nto = ["a@example.com"]\n'
    )
    found = export(folder, tmp_path / "out", "--profile", "full")
    policies = {value["metadata"]["name"]: value["spec"] for value in found.read("base/network.yaml")}
    assert policies["flights-nothing"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policies["flights-nothing"]
    assert set(policies) == {
        "flights-nothing", "flights-callers", "flights-dns", "flights-jobs-to-5432", "flights-jobs-to-587",
        "flights-api-to-5432",
    }  # fmt: skip
    assert "flights-deliver" in {value["metadata"]["name"] for value in found.read("workflows/cronjobs.yaml")}
    by_name = {one["name"]: one for one in containers(everything(found))}
    assert {"secretRef": {"name": "flights-env"}} in by_name["run"]["envFrom"]
    assert len(by_name["api"]["envFrom"]) == 1  # the API needs none of them
    assert "WAREHOUSE" in (tmp_path / "out/secrets.sh").read_text()


@pytest.mark.slow
def test_ports_of_the_key_set_and_of_webhooks_are_allowed(flights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flights, tmp_path / "flights")
    shutil.copy(flights.parent / "load.json", tmp_path)
    (folder / "relevo.toml").write_text(
        '[serve]\njwks = "https://id.example.com:8444/keys"\nissuer = "https://id.example.com"\naudience = "x"\n'
        '[alerts.webhooks.chat]\nurl = "https://chat.example.com:9443/in"\n'
        '[alerts.webhooks.pager]\nurl = "https://pager.example.com/in"\n'
        '[alerts.webhooks.beside]\nurl = "http://127.0.0.1:8080/in"\n'
    )
    found = export(folder, tmp_path / "out")
    policies = {value["metadata"]["name"] for value in found.read("base/network.yaml")}
    ways = {"flights-api-to-8444", "flights-jobs-to-9443", "flights-jobs-to-443"}
    assert policies == {"flights-nothing", "flights-callers", "flights-dns", *ways}


@pytest.mark.slow
@pytest.mark.parametrize(
    "url", ["ann:{secret}@db.example.com/relevo", "ann@db.example.com/relevo?password={secret}"]
)
def test_no_secret_is_in_any_file(flights: Path, tmp_path: Path, url: str) -> None:
    secret = "hunter2-of-the-ledger"  # noqa: S105 - what must not be written
    with project.variables(RELEVO_LEDGER="postgresql+psycopg://" + url.format(secret=secret)):
        done = project.call(*words(flights, tmp_path, "--profile", "full", "--assume", "--json"))
    assert secret not in done.out + done.err
    if done.code == 0:  # a ledger that is away has measured nothing
        assert (
            "postgresql+psycopg://ann@db.example.com:5432/relevo"
            in (tmp_path / "overlays/full/kustomization.yaml").read_text()
        )
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or secret not in path.read_text()


@pytest.mark.slow
def test_without_workflows_airflow_has_them(flights: Path, tmp_path: Path) -> None:
    found = export(flights, tmp_path, "--no-workflows")
    assert not (tmp_path / "workflows").exists()
    assert "components" not in found.read("overlays/light/kustomization.yaml")[0]


def test_names_become_such_as_kubernetes_takes() -> None:
    assert dns("Late_Flights!") == "late-flights"
    assert dns("x" * 80) == "x" * 40
    assert dns("___") == "project"


@pytest.mark.slow
def test_a_smaller_image_for_the_api_leaves_its_log_to_a_job(flights: Path, tmp_path: Path) -> None:
    small = "registry.example.com/team/flights-serve:1.0.0"
    found = export(flights, tmp_path, "--serve-image", small)
    by_name = {one["name"]: one for one in containers(everything(found))}
    assert by_name["collect"]["command"] == ["relevo", "collect", "/project"]
    assert by_name["collect"]["image"] == "relevo-jobs"
    assert by_name["collect"]["resources"]["requests"]["memory"] == "224Mi"
    variables = {one["name"]: one["value"] for one in by_name["api"]["env"]}
    assert ServiceSettings(collect=variables["RELEVO_SERVE__COLLECT"]).collect is False
    assert by_name["api"]["resources"]["requests"]["memory"] == "128Mi"  # no room for a collection
    (_, pod), *_ = pods(everything(found))
    assert pod["terminationGracePeriodSeconds"] < collecting.PATIENCE
    jobs = {value["metadata"]["name"]: value["spec"] for value in found.read("workflows/cronjobs.yaml")}
    assert jobs["flights-collect"]["schedule"] == "*/5 * * * *"


def test_the_script_makes_keys_that_relevo_takes(light: Exported) -> None:
    script = light.folder / "secrets.sh"
    (line,) = [one for one in script.read_text().splitlines() if one.startswith("key()")]
    made = subprocess.run(["sh", "-c", f"{line}; key"], capture_output=True, text=True, check=True).stdout
    assert keys.split(made) is not None
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_the_script_fails_where_there_is_no_cluster_and_leaves_nothing(
    light: Exported, tmp_path: Path
) -> None:
    environment = {
        "PATH": f"{Path(str(KUBECTL)).parent}:/usr/bin:/bin",
        "TMPDIR": str(tmp_path),
        "KUBECONFIG": "/nowhere",
    }
    done = subprocess.run(
        ["sh", str(light.folder / "secrets.sh")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=300,
    )
    assert done.returncode != 0
    assert done.stderr
    assert not list(tmp_path.iterdir())


def test_the_full_profile_needs_the_ledgers_password(full: Exported) -> None:
    text = (full.folder / "secrets.sh").read_text()
    assert "Usage: secrets.sh FILE" in text
    assert (
        "RELEVO_LEDGER_PASSWORD_FILE=/secrets/ledger/password"
        in (full.folder / "overlays/full/kustomization.yaml").read_text()
    )


def test_an_unknown_profile_names_those_that_are(flights: Path, tmp_path: Path) -> None:
    done = project.call(*words(flights, tmp_path / "out", "--profile", "huge"))
    assert (done.code, "light, full" in done.err) == (1, True)


# As others see them


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_kustomize_builds_both_profiles(light: Exported, full: Exported) -> None:
    small, large = (
        list(yaml.safe_load_all(one.built(f"overlays/{name}")))
        for one, name in ((light, "light"), (full, "full"))
    )
    for values in (small, large):
        assert {one["image"] for one in containers(values)} == {IMAGE}
        assert {value["metadata"].get("namespace", "flights") for value in values} == {"flights"}
        assert {"Namespace", "Deployment", "Service", "CronJob", "NetworkPolicy"} <= {
            v["kind"] for v in values
        }
    assert {v["kind"] for v in large} - {v["kind"] for v in small} == {
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
    }
    claims = {
        v["metadata"]["name"]: v["spec"]["accessModes"] for v in large if v["kind"] == "PersistentVolumeClaim"
    }
    assert claims["flights-workspace"] == ["ReadWriteMany"]
    for name, pod in pods(small):
        assert "podAffinity" in pod["affinity"], name
    for name, pod in pods(large):
        assert any(one["name"] == "ledger" for one in pod["volumes"]), name
        for one in [*pod.get("initContainers", []), *pod["containers"]]:
            assert any(mount["name"] == "ledger" for mount in one["volumeMounts"]), name
    (scaler,) = [v["spec"] for v in large if v["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["metrics"][0]["containerResource"]["target"]["averageUtilization"] == 67


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_kustomize_builds_what_watches(light: Exported) -> None:
    values = list(yaml.safe_load_all(light.built("observing")))
    by_name = {value["metadata"]["name"]: value for value in values}
    assert set(by_name["flights-dashboards"]["data"]) == {
        "relevo-service.json", "relevo-model.json", "relevo-pipeline.json",
    }  # fmt: skip
    assert by_name["flights-dashboards"]["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert by_name["flights-dashboards"]["metadata"]["namespace"] == "flights"
    kinds = {value["kind"]: value for value in yaml.safe_load_all(light.built("operator"))}
    assert set(kinds) == {"ServiceMonitor", "PrometheusRule"}
    (endpoint,) = kinds["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "flights-keys", "key": "metrics"}
    (group,) = yaml.safe_load(by_name["flights-prometheus"]["data"]["rules.yml"])["groups"]
    assert kinds["PrometheusRule"]["spec"]["groups"] == [group]


@pytest.mark.skipif(watched.PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_takes_what_a_prometheus_in_the_cluster_reads(light: Exported, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    config = yaml.safe_load((light.folder / "observing/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    job["authorization"]["credentials_file"] = "key"
    (found,) = job.pop("kubernetes_sd_configs")  # Debian's Prometheus is built without it
    assert found["namespaces"] == {"names": ["flights"]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(light.folder / "observing/rules.yml", tmp_path)
    done = subprocess.run(
        [str(watched.PROMTOOL), "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def engine() -> Path:
    """The environment of the tools that check manifests."""
    done = subprocess.run(
        [str(ROOT / "scripts/engine-env"), "policies"],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.mark.slow
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_manifests_are_valid_for_the_three_newest_versions(
    light: Exported, full: Exported, tmp_path: Path
) -> None:
    for one, name in ((light, "light"), (full, "full")):
        (tmp_path / f"{name}.yaml").write_text(one.built(f"overlays/{name}"))
    (tmp_path / "observing.yaml").write_text(light.built("observing"))
    done = subprocess.run(
        [str(engine() / "bin/python"), "-c", inspect.cleandoc(VALIDATE), str(tmp_path), str(NEWEST)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    versions, objects = json.loads(done.stdout)
    assert len(versions) == NEWEST
    assert objects > 30


VALIDATE = """
    import json, pathlib, sys
    import kubernetes_validate, yaml
    from kubernetes_validate import utils
    newest = kubernetes_validate.latest_version().split(".")
    versions = [f"{newest[0]}.{int(newest[1]) - back}" for back in range(int(sys.argv[2]))]
    objects = 0
    for file in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
        for value in yaml.safe_load_all(file.read_text()):
            for version in versions:
                kubernetes_validate.validate(value, version, strict=True)
                objects += 1
    print(json.dumps([versions, objects]))
"""


@pytest.mark.slow
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_policies_find_nothing_but_what_is_accepted(flights: Path, full: Exported, tmp_path: Path) -> None:
    """The light profile's image has a digest here: then nothing has to be accepted."""
    pinned = export(flights, tmp_path / "pinned", "--image", DIGEST)
    failed = {}
    for one, name in ((pinned, "light"), (full, "full")):
        file = tmp_path / f"{name}.yaml"
        file.write_text(one.built(f"overlays/{name}"))
        failed[name] = _policies(file)
    assert failed["light"] == set()
    assert failed["full"] == set(ACCEPTED)


def _policies(file: Path) -> set[str]:
    command = [
        str(engine() / "bin/checkov"),
        "-f",
        str(file),
        "--framework",
        "kubernetes",
        "-o",
        "json",
        "--quiet",
    ]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(file.parent), "CHECKOV_RUN_SCA_PACKAGE_SCAN": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=900)
    found = json.loads(done.stdout)
    assert found["summary"]["passed"] > 300
    assert found["summary"]["parsing_errors"] == 0
    return {one["check_id"] for one in found["results"]["failed_checks"]}
