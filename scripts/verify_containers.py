"""Builds the images, brings both stacks up, asks for predictions, kills each container in turn, and measures.

scripts/verify-containers [--stack light|full|both] [--without SERVICE …] [--keep] [--no-build]

It uses `docker` as it is found. BASE is the image that all others are built on, RELEVO_BUILD_OPTIONS are more options
of `docker build` (such as --network host). Exit code 0 says that all of it held.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from relevo import __version__

ROOT = Path(__file__).parents[1]
BASE = os.environ.get("BASE", "python:3.13-slim-trixie")
ONCE = {"secrets", "databases", "airflow-tables"}
PORT = {"light": 8000, "full": 8443}
FLIGHT = {"Fecha-I": "2017-12-01 08:00:00", "Vlo-I": "174", "Emp-I": "CMP", "Des-I": "MPTO", "TIPOVUELO": "I"}
BEGUN = time.monotonic()
failures: list[str] = []


def say(text: str) -> None:
    """Print a line with the seconds since the beginning."""
    print(f"{time.monotonic() - BEGUN:6.0f}s  {text}", flush=True)


def check(what: str, good: object, found: object = "") -> None:
    """Print whether something held; what did not decides the exit code."""
    say(f"{'ok  ' if good else 'FAIL'} {what}{f': {found}' if found != '' else ''}")
    if not good:
        failures.append(what)


def run(
    *words: str, cwd: Path | None = None, fine: bool = True, seconds: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a command; one that must not fail and does ends everything."""
    done = subprocess.run(words, cwd=cwd, text=True, capture_output=True, timeout=seconds, check=False)
    if fine and done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        sys.exit(f"{shlex.join(words)}: exit code {done.returncode}")
    return done


class Stack:
    """A stack in a folder of its own."""

    def __init__(self, name: str, made: Path, without: set[str]) -> None:
        self.name, self.folder, self.without = name, made / name, without
        self.answered = 0
        self.lock = threading.Lock()

    def compose(self, *words: str, fine: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Docker Compose."""
        return run("docker", "compose", *words, cwd=self.folder, fine=fine)

    @property
    def services(self) -> list[str]:
        """Those that stay, in the order in which they depend on each other."""
        listed = self.compose("config", "--services").stdout.split()
        return [one for one in listed if one not in self.without]

    def up(self) -> float:
        """Bring everything up and wait until it is healthy; gives the seconds."""
        began = time.monotonic()
        done = self.compose("up", "--detach", "--wait", "--no-build", *self.services, fine=False)
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)
            print(self.compose("logs", "--tail", "30", fine=False).stdout[-6000:], file=sys.stderr)
            check(f"{self.name}: up", good=False, found=done.stderr.strip().splitlines()[-1])
            sys.exit(1)
        return time.monotonic() - began

    def ask(self) -> tuple[int, dict[str, object]]:
        """Ask for one prediction as a caller does; status 0 says that nobody answered."""
        key = (
            (self.folder / "secrets" / ("api_key" if self.name == "light" else "caller_key"))
            .read_text()
            .strip()
        )
        headers = {"Content-Type": "application/json", "X-API-Key": key}
        try:
            if self.name == "light":
                connection = HTTPConnection("localhost", PORT["light"], timeout=5)
                path = "/v1/predict"
            else:
                context = ssl.create_default_context(cafile=str(self.folder / "secrets" / "tls_certificate"))
                connection = HTTPSConnection("localhost", PORT["full"], timeout=5, context=context)
                path = "/models/flights/v1/predict"
            connection.request("POST", path, json.dumps(FLIGHT), headers)
            response = connection.getresponse()
            body = response.read()
            connection.close()
        except (OSError, HTTPException):
            return 0, {}
        with self.lock:
            self.answered += response.status == 200
        try:
            return response.status, json.loads(body)
        except ValueError:
            return response.status, {}

    def wait_for_model(self, seconds: float) -> str:
        """Ask until a version answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status, answer = self.ask()
            if status == 200:
                return str(answer["version"])
            time.sleep(1)
        check(f"{self.name}: a version answers within {seconds:.0f} s", good=False)
        print(self.compose("logs", "--tail", "60", fine=False).stdout[-8000:], file=sys.stderr)
        sys.exit(1)

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "--quiet", service).stdout.strip()

    def state(self, service: str) -> tuple[str, int]:
        """Its health, and how often it was started anew."""
        form = (
            "{{if .State.Running}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}} {{.RestartCount}}"
        )
        health, count = run("docker", "inspect", "--format", form, self.container(service)).stdout.split()
        return health, int(count)

    def kill(self, service: str) -> None:
        """Kill all processes of a container with SIGKILL, and wait until it is healthy again, by itself."""
        _, before = self.state(service)
        stop, statuses = threading.Event(), []

        def asking() -> None:
            while not stop.is_set():
                statuses.append(self.ask()[0])
                stop.wait(0.1)

        asker = threading.Thread(target=asking)
        asker.start()
        began = time.monotonic()
        run("docker", "exec", self.container(service), "sh", "-c", "kill -9 -1", fine=False)
        health, count = "", before
        while time.monotonic() - began < 240 and not (count > before and health == "healthy"):
            time.sleep(0.5)
            health, count = self.state(service)
        took = time.monotonic() - began
        stop.set()
        asker.join()
        bad = len([status for status in statuses if status != 200])
        check(
            f"{self.name}: {service} killed",
            health == "healthy" and count > before and self.ask()[0] == 200,
            f"healthy again after {took:.0f} s; {len(statuses) - bad} of {len(statuses)} requests answered",
        )

    def memory(self) -> None:
        """Print what each container has in memory, without the cache of files, and the sum."""
        ids = self.compose("ps", "--quiet").stdout.split()
        lines = run(
            "docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *ids
        ).stdout.splitlines()
        total = 0.0
        for line in sorted(lines):
            name, used, *_, limit = line.split()
            mib = float(used.removesuffix("MiB").removesuffix("GiB").removesuffix("KiB"))
            mib *= 1024 if used.endswith("GiB") else 1 / 1024 if used.endswith("KiB") else 1
            total += mib
            say(f"     {name:28} {mib:7.0f} MiB of {limit}")
        say(f"     {'sum':28} {total:7.0f} MiB")


def export(stack: str, project: Path, to: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Write a stack's files."""
    words = (
        str(ROOT / ".venv/bin/relevo"),
        "export",
        "compose",
        str(project),
        "--to",
        str(to),
        "--stack",
        stack,
    )
    return run(*words, *more, fine=False)


def build(images: Path, targets: list[str]) -> None:
    """Build the targets and print what each adds to its base."""
    options = shlex.split(os.environ.get("RELEVO_BUILD_OPTIONS", ""))
    for target in targets:
        tag = f"relevo-{target}:{__version__}"
        run(
            "docker",
            "build",
            *options,
            "--build-arg",
            f"BASE={BASE}",
            "--target",
            target,
            "--tag",
            tag,
            str(images),
        )
        sizes = [
            int(run("docker", "image", "inspect", "--format", "{{.Size}}", one).stdout) for one in (BASE, tag)
        ]
        added = (sizes[1] - sizes[0]) / 1e6
        limit = 200 if target == "serve" else None
        text = f"{sizes[1] / 1e6:.0f} MB, {added:.0f} MB more than its base"
        check(f"image {tag}", limit is None or added < limit, text)


def faults(stack: Stack, project: Path) -> None:
    """What goes wrong in companies, each with the message that it must give."""
    secret = stack.folder / "secrets" / ("page_key" if stack.name == "full" else "api_key")
    kept = secret.read_text()
    secret.chmod(0o644)
    secret.write_text("")
    if stack.name == "full":
        done = stack.compose("run", "--rm", "--no-deps", "secrets", fine=False)
    else:
        done = stack.compose("run", "--rm", "--no-deps", "relevo", fine=False)
    said = (done.stdout + done.stderr).strip().splitlines()[-1]
    check(f"{stack.name}: an empty secret stops it", done.returncode and secret.name in said, said)
    secret.write_text(kept)
    secret.chmod(0o444)

    compose = stack.folder / "compose.yaml"
    kept = compose.read_text()
    compose.write_text(kept + "# mine\n")
    done = export(stack.name, project, stack.folder)
    check(
        f"{stack.name}: an edited file is shown, not overwritten",
        done.returncode == 3 and "-# mine" in done.stdout,
    )
    compose.write_text(kept)


def alone(project: Path) -> None:
    """A container without its volume, with a full one, and as another user."""
    train = f"relevo-train:{__version__}"
    mount = ("--volume", f"{project}:/project:ro")
    sealed = ("run", "--rm", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp")  # noqa: S108 - in the container
    cases = {
        "without its volume": ((*mount, train, "prepare", "/project"), "/workspace"),
        "with a full volume": (
            (*mount, "--tmpfs", "/workspace:size=64k,mode=1777", train, "run", "/project", "--trials", "1"),
            "full",
        ),
        "as another user": (
            (*mount, "--user", "12345", "--volume", "relevo-other:/workspace", train, "prepare", "/project"),
            "/workspace",
        ),
        "without a project": ((train, "prepare", "/project"), "/project"),
    }
    for name, (words, expected) in cases.items():
        done = run("docker", *sealed, *words, fine=False)
        said = (done.stdout + done.stderr).strip().splitlines()[-1]
        check(
            f"a container {name}",
            done.returncode and expected in said and "Traceback" not in done.stderr,
            said,
        )
    run("docker", "volume", "rm", "relevo-other", fine=False)


def log_is_whole(stack: Stack) -> None:
    """Every prediction that was answered is in the lake, once, though services were killed."""
    worker, relevo = ("worker", "relevo") if stack.name == "full" else ("relevo", "relevo")
    stack.compose("restart", *(["api-1", "api-2"] if stack.name == "full" else ["relevo"]))
    stack.up()
    stack.compose("exec", "-T", worker, relevo, "collect", "/project")
    query = "select count(*) as answers, count(distinct id) as ids from predictions"
    found = json.loads(
        stack.compose("exec", "-T", worker, relevo, "sql", query, "--project", "/project", "--json").stdout
    )
    row = (found["rows"] if isinstance(found, dict) else found)[0]
    counts = list(row.values()) if isinstance(row, dict) else list(row)
    check(
        f"{stack.name}: every answer is in the lake once",
        counts[0] == counts[1] and counts[0] >= stack.answered,
        f"{stack.answered} answered, {counts[0]} in the lake",
    )


def ledger_away(stack: Stack) -> None:
    """Postgres is away: what runs goes on, what starts waits."""
    stack.compose("stop", "postgres")
    statuses = [stack.ask()[0] for _ in range(20)]
    check("full: without Postgres predictions go on", statuses == [200] * 20)
    stack.compose("restart", "api-2")
    statuses = [stack.ask()[0] for _ in range(20)]
    check("full: a service that starts without Postgres waits, the other answers", statuses == [200] * 20)
    said = ""
    until = time.monotonic() + 30
    while "Check that" not in said and time.monotonic() < until:
        time.sleep(1)
        lines = stack.compose("logs", "--no-log-prefix", "--tail", "20", "api-2").stdout.splitlines()
        said = next(
            (line for line in reversed(lines) if line.startswith("Error:") or "Check that" in line), ""
        )
    check("full: it says what it waits for", said, said[:200])
    stack.compose("start", "postgres")
    until = time.monotonic() + 120
    while time.monotonic() < until and stack.state("api-2")[0] != "healthy":
        time.sleep(1)
    check("full: it comes up when Postgres does", stack.state("api-2")[0] == "healthy")


def verify(stack: Stack, project: Path, *, keep: bool) -> None:
    """All that is promised of a stack."""
    done = stack.compose("config", fine=False)
    said = done.stderr.strip().splitlines()[-1]
    check(
        f"{stack.name}: without secrets it does not begin",
        done.returncode and "./secrets.sh" in said,
        said[-120:],
    )
    run("./secrets.sh", cwd=stack.folder)
    try:
        say(f"     {stack.name}: up after {stack.up():.0f} s")
        version = stack.wait_for_model(900)
        say(f"     {stack.name}: version {version} answers")
        statuses = [stack.ask()[0] for _ in range(100)]
        check(f"{stack.name}: 100 predictions", statuses == [200] * 100)
        stack.compose("down")
        took = stack.up()
        status, answer = stack.ask()
        check(
            f"{stack.name}: up again after down",
            status == 200 and answer["version"] == version,
            f"{took:.0f} s",
        )
        stays = [service for service in stack.services if service not in ONCE]
        for service in stays:
            stack.kill(service)
        run("docker", "kill", stack.container(stays[-1]))
        check(
            f"{stack.name}: up again after docker kill",
            stack.up() < 300 and stack.wait_for_model(60) == version,
        )
        if stack.name == "full":
            ledger_away(stack)
        log_is_whole(stack)
        stack.memory()
        faults(stack, project)
    finally:
        if not keep:
            stack.compose("down", "--volumes", "--timeout", "30", fine=False)


def main() -> int:
    """Verify what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", choices=("light", "full", "both"), default="both")
    parser.add_argument(
        "--without", nargs="*", default=[], help="services to leave out, where their image is not at hand"
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--no-build", action="store_true", help="take the images that are there")
    chosen = parser.parse_args()
    engine = run("docker", "version", "--format", "{{.Server.Version}}", fine=False)
    if engine.returncode:
        sys.exit(f"No container engine answers: {engine.stderr.strip()}")
    compose = run("docker", "compose", "version", "--short").stdout.strip()
    say(
        f"Docker {engine.stdout.strip()}, Compose {compose}, base {BASE}, without {chosen.without or 'nothing'}"
    )
    made = Path(tempfile.mkdtemp(prefix="relevo-containers-"))
    try:
        project = made / "flights"
        shutil.copytree(ROOT / "examples/flights", project, ignore=shutil.ignore_patterns("data", ".relevo"))
        (project / "data").mkdir()
        run(
            sys.executable, str(project / "sample.py"), str(project / "data/departures.csv"), "--rows", "5000"
        )
        stacks = ["light", "full"] if chosen.stack == "both" else [chosen.stack]
        for stack in stacks:
            done = export(stack, project, made / stack)
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
        if os.environ.get("RELEVO_DAGS"):
            shutil.copytree(os.environ["RELEVO_DAGS"], made / "full" / "dags", dirs_exist_ok=True)
        if not chosen.no_build:
            uv = shutil.which("uv") or str(ROOT / ".venv-uv/bin/uv")
            images = made / stacks[0] / "images"
            run(uv, "build", "--quiet", "--wheel", "--out-dir", str(images / "wheels"), str(ROOT))
            targets = ["train"] if stacks == ["light"] else ["serve", "train", "gradio", "mlflow", "airflow"]
            build(
                images, [target for target in targets if target != "gradio" or "page" not in chosen.without]
            )
        alone(project)
        for stack in stacks:
            verify(Stack(stack, made, set(chosen.without)), project, keep=chosen.keep)
    finally:
        if not chosen.keep:
            shutil.rmtree(made, ignore_errors=True)
    say(f"{len(failures)} of the checks failed" if failures else "All of it held.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
