"""The exported stacks: what Compose itself reads out of them, and the rules that each part must keep."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relevo.export import compose
from support import project

ROOT = Path(__file__).parents[2]
FILES = ROOT / "src/relevo/export/files"
BIN = Path(sys.executable).parent
STACKS = pytest.mark.parametrize("stack", compose.STACKS)
ONCE = {"secrets", "databases", "airflow-tables"}
"""Parts that do something and end."""
GIVEN = re.compile(r"(?i)(?:password|secret|token)\w*\s*[:=]\s*['\"]?[a-z0-9]{4,}['\"]?\s*$", re.MULTILINE)
"""A secret that stands in a file."""


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}
    return subprocess.run(words, cwd=cwd, env=environment, text=True, capture_output=True, check=False)


def read(folder: Path) -> dict[str, Any]:
    """What Compose makes of the files, checked by it against the specification's schema."""
    done = run(BIN / "docker-compose", "config", "--format", "json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that never ran."""
    folder = tmp_path_factory.mktemp("project") / "flights"
    return shutil.copytree(
        ROOT / "examples/flights", folder, ignore=shutil.ignore_patterns("data", ".relevo", "__pycache__")
    )


@pytest.fixture(scope="module")
def exported(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each stack's folder, with its secrets."""
    found = {}
    for stack in compose.STACKS:
        found[stack] = tmp_path_factory.mktemp(stack)
        done = project.call("export", "compose", flights, "--to", found[stack], "--stack", stack)
        assert (done.code, done.err) == (0, "")
        assert run("./secrets.sh", cwd=found[stack]).returncode == 0
    return found


@pytest.fixture(scope="module")
def read_stacks(exported: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return {stack: read(folder) for stack, folder in exported.items()}


@STACKS
def test_each_part_is_sealed_and_limited(read_stacks: dict[str, dict[str, Any]], stack: str) -> None:
    for name, part in read_stacks[stack]["services"].items():
        limits = part["deploy"]["resources"]
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", part["user"]), name
        assert part["read_only"], name
        assert part["cap_drop"] == ["ALL"], name
        assert part["security_opt"] == ["no-new-privileges:true"], name
        assert part["init"], name
        assert {"memory", "cpus", "pids"} <= set(limits["limits"]), name
        assert int(limits["reservations"]["memory"]) <= int(limits["limits"]["memory"]), name
        assert part["logging"]["options"]["max-size"], name
        assert not part.get("privileged"), name
        if name in ONCE:
            assert part["restart"] == "no", name
        else:
            assert part["restart"] == "unless-stopped", name
            assert part["healthcheck"]["test"][0] == "CMD", name


@STACKS
def test_images_have_a_version(read_stacks: dict[str, dict[str, Any]], stack: str) -> None:
    for name, part in read_stacks[stack]["services"].items():
        assert re.fullmatch(r".+:v?\d[\d.]*", part["image"]), name


@STACKS
def test_a_volume_has_one_writer(read_stacks: dict[str, dict[str, Any]], stack: str) -> None:
    writers: dict[str, list[str]] = {name: [] for name in read_stacks[stack]["volumes"]}
    for name, part in read_stacks[stack]["services"].items():
        for mount in part.get("volumes", []):
            if mount["type"] == "volume" and not mount.get("read_only"):
                writers[mount["source"]].append(name)
            elif mount["type"] == "bind":
                assert mount.get("read_only"), (name, mount)
    assert {volume: len(found) for volume, found in writers.items()} == dict.fromkeys(writers, 1)


@STACKS
def test_what_is_waited_for_says_when_it_is_ready(read_stacks: dict[str, dict[str, Any]], stack: str) -> None:
    for name, part in read_stacks[stack]["services"].items():
        for other, how in part.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how["condition"] == expected or (name, other) == ("worker", "mlflow"), (name, other)


@STACKS
def test_only_the_door_is_open_and_only_here(read_stacks: dict[str, dict[str, Any]], stack: str) -> None:
    ports = {
        name: part["ports"] for name, part in read_stacks[stack]["services"].items() if part.get("ports")
    }
    assert set(ports) == {"nginx" if stack == "full" else "relevo"}
    assert {port["host_ip"] for listed in ports.values() for port in listed} == {"127.0.0.1"}


@STACKS
def test_no_secret_stands_in_the_files(exported: dict[str, Path], stack: str) -> None:
    folder = exported[stack]
    secrets = [path.read_text().strip() for path in (folder / "secrets").iterdir()]
    assert all(len(secret) > 40 for secret in secrets)
    assert len(set(secrets)) == len(secrets)
    for path in folder.rglob("*"):
        if path.is_file() and "secrets/" not in str(path):
            text = path.read_text()
            assert not any(secret in text for secret in secrets), path
            assert not GIVEN.search(text), path
    found = read(folder)["secrets"]
    assert {name: Path(one["file"]).is_file() for name, one in found.items()} == dict.fromkeys(found, True)


@STACKS
def test_without_secrets_it_does_not_begin(exported: dict[str, Path], stack: str, tmp_path: Path) -> None:
    shutil.copytree(exported[stack], tmp_path, dirs_exist_ok=True)
    (tmp_path / ".env").unlink()
    done = run(BIN / "docker-compose", "config", cwd=tmp_path)
    assert done.returncode != 0
    assert "Type ./secrets.sh first" in done.stderr


def test_secrets_are_kept_and_closed(exported: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(exported["full"], tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "secrets"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    (folder / "page_key").unlink()
    (folder / "relevo_db_password").chmod(0o644)
    (folder / "relevo_db_password").write_text("")
    done = run("./secrets.sh", cwd=tmp_path)
    after = {path.name: path.read_text() for path in folder.iterdir()}
    assert done.stdout.split("\n")[:-1] == ["made secrets/relevo_db_password", "made secrets/page_key"]
    assert {name for name in before if before[name] != after[name]} == {"relevo_db_password", "page_key"}
    assert oct(folder.stat().st_mode)[-3:] == "700"
    (folder / "mlflow_password").unlink()
    done = run("./secrets.sh", cwd=tmp_path)
    assert done.stdout.split("\n")[:-1] == ["made secrets/mlflow_password", "made secrets/mlflow_users"]
    assert (folder / "mlflow_users").read_text() != before["mlflow_users"]
    (folder / "tls_certificate").unlink()
    done = run("./secrets.sh", cwd=tmp_path)
    assert done.returncode == 1
    assert "tls_key is there without" in done.stderr
    assert (folder / "tls_key").read_text() == before["tls_key"]


@pytest.mark.parametrize("written", ["", "LISTEN=0.0.0.0:8443", "LISTEN=0.0.0.0:8443\n"])
def test_the_secrets_folder_is_named_on_a_line_of_its_own(
    exported: dict[str, Path], tmp_path: Path, written: str
) -> None:
    shutil.copytree(exported["light"], tmp_path, dirs_exist_ok=True)
    (tmp_path / ".env").write_text(written)
    for _ in range(2):
        assert run("./secrets.sh", cwd=tmp_path).returncode == 0
        lines = (tmp_path / ".env").read_text().splitlines()
        assert lines == [*written.splitlines(), "SECRETS=./secrets"]


def test_the_check_names_what_is_empty(tmp_path: Path) -> None:
    text = (FILES / "compose/full/check-secrets.sh").read_text().replace("/run/secrets", str(tmp_path))
    (tmp_path / "one").write_text("x")
    assert run("sh", "-c", text, cwd=tmp_path).returncode == 0
    (tmp_path / "two").write_text("")
    done = run("sh", "-c", text, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Empty or unreadable secrets: two. Remove")


def test_the_dockerfile_and_its_shell_are_sound() -> None:
    done = run(BIN / "hadolint", "Dockerfile", cwd=FILES / "images")
    assert (done.returncode, done.stdout) == (0, "")
    for path in FILES.rglob("*.sh"):
        assert run("sh", "-n", path, cwd=ROOT).returncode == 0


def test_images_end_as_a_user_and_say_whether_they_are_well() -> None:
    stages = re.split(r"(?m)^FROM ", (FILES / "images/Dockerfile").read_text())[1:]
    named = {re.match(r"\S+ AS (\S+)", stage)[1]: stage for stage in stages}  # type: ignore[index]
    for name in ("serve", "train", "gradio", "mlflow", "airflow"):
        assert "HEALTHCHECK" in named[name], name
        chain, stage = [], name
        while stage in named:
            chain.append(named[stage])
            stage = re.match(r"(\S+)", named[stage])[1]  # type: ignore[index]
        users = re.findall(r"(?m)^USER (\S+)", "\n".join(reversed(chain)))
        assert users[-1] == "10001:10001", name


def test_the_images_hold_what_is_locked() -> None:
    done = run(ROOT / "scripts/image-requirements", "--check", cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "")
    for path in (FILES / "images/requirements").iterdir():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert all(re.match(r"[A-Za-z0-9._-]+(\[[^\]]+\])?==\S+", line) for line in lines), path
    service = (FILES / "images/requirements/serve.txt").read_text()
    assert not re.search(r"(?m)^(duckdb|deltalake|sqlglot|scikit-learn|pandas|lightgbm)", service)


def test_an_edited_file_is_shown_and_kept(flights: Path, tmp_path: Path) -> None:
    words = ("export", "compose", flights, "--to", tmp_path)
    assert project.call(*words).code == 0
    with (tmp_path / "compose.yaml").open("a") as file:
        file.write("# mine\n")
    done = project.call(*words, "--stack", "full")
    assert done.code == 3
    assert "-# mine" in done.out
    assert (tmp_path / "compose.yaml").read_text().endswith("# mine\n")
    assert not (tmp_path / "nginx.conf").exists()
    assert project.call(*words, "--stack", "full", "--force").code == 0
    assert (tmp_path / "compose.yaml.orig").read_text().endswith("# mine\n")


def test_a_stack_that_is_none_is_refused(flights: Path, tmp_path: Path) -> None:
    done = project.call("export", "compose", flights, "--to", tmp_path, "--stack", "huge")
    assert done.code == 1
    assert "light, full" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("flights", "flights"), ("My Model!", "my-model"), ("ñ", "project")]
)
def test_a_name_that_compose_can_bear(name: str, expected: str) -> None:
    assert compose.slug(name) == expected


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_its_configuration(exported: dict[str, Path], tmp_path: Path) -> None:
    text = (exported["full"] / "nginx.conf").read_text()
    text = text.replace(" /tmp/", f" {tmp_path}/").replace("/run/secrets", str(exported["full"] / "secrets"))
    text = text.replace("    http2 on;\n", "")  # which Debian 12's nginx does not know yet
    (tmp_path / "nginx.conf").write_text(text)
    done = run("nginx", "-t", "-c", tmp_path / "nginx.conf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
