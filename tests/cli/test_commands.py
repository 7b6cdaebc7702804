"""Each command on a project with a released version."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relevo.ids import uuid7
from relevo.journal import Journal
from support import project
from support.service import until

if TYPE_CHECKING:
    from pathlib import Path

FLIGHT = {"Fecha-I": "2017-07-14 07:35:00", "Vlo-I": "226", "Des-I": "SCFA", "Emp-I": "SKU", "TIPOVUELO": "N"}
PAIRS = [f"{name}={value}" for name, value in FLIGHT.items()]
SAID = "Interrupted; run it again and it goes on from there.\n"
ENDLESS = "select count(*) from range(1000000000) a, range(1000000) b where (a.range * b.range) % 7 = 3"
WAITING = """
import time
from relevo.cli import progress
told = progress._plain
def wait(event, *, to):
    told(event, to=to)
    if event.state == "said":
        time.sleep(600)
progress._plain = wait
"""
ASKING = f"""
from relevo import clean
from relevo.cli import query
from relevo.ingest.raw import Raw
def asked(connection):
    print("asked", flush=True)
    connection.execute("{ENDLESS}")
"""


class TestJson:
    """With --json a command prints one JSON document and nothing else, also when it fails."""

    @pytest.mark.parametrize(
        ("words", "kind", "key"),
        [
            (["check", "."], dict, "steps"),
            (["status", "."], dict, "champion"),
            (["versions", "."], list, "digest"),
            (["history", "."], dict, "releases"),
            (["sql", "select 1 as one", "-p", "."], list, "one"),
            (["predict", json.dumps(FLIGHT), "-p", "."], dict, "probability"),
            (["promote", "1.0.0", "-p", "."], dict, "hash"),
            (["collect", "."], dict, "rows"),
        ],
    )
    def test_of_what_only_looks(self, original: Path, words: list[str], kind: type[Any], key: str) -> None:
        done = project.call(*(original if word == "." else word for word in words), "--json")
        assert (done.code, done.err) == (0, "")
        found = done.document
        assert isinstance(found, kind)
        assert key in (found[0] if kind is list else found)

    def test_of_run_and_step(self, released: Path) -> None:
        run = project.call("run", released, "--json").document
        assert (run["status"], run["model"]["version"]) == ("unchanged", "1.0.0")
        assert [step["name"] for step in run["steps"]] == ["ingest", "clean", "examples"]
        step = project.call("step", "ingest", "--run", "r1", "-p", released, "--json").document
        assert (step["name"], step["status"]) == ("ingest", "done")

    def test_of_score(self, original: Path, tmp_path: Path) -> None:
        source = project.write_sample(tmp_path / "in.csv", 50)
        done = project.call("score", source, tmp_path / "out.csv", "-p", original, "--json")
        assert done.document["rows"] == 50

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (["promote", "9.9.9", "-p", "."], "LedgerError"),
            (["rollback", "-p", "."], "LedgerError"),
            (["rollback", "--to", "never", "-p", "."], "LedgerError"),
            (["predict", "{}", "-p", "."], "RequestError"),
            (["predict", "{}", "-p", ".", "--version", "3.0.0"], "LedgerError"),
            (["sql", "select", "-p", "."], "DataError"),
            (["run", ".", "--set", "departures"], "ProjectError"),
            (["run", ".", "--set", "flights=x.csv"], "ProjectError"),
            (["check", "./absent"], "ProjectError"),
            (["status", "./absent"], "WorkspaceError"),
            (["score", "absent.csv", "out.csv", "-p", "."], "DataError"),
        ],
    )
    def test_of_errors(self, original: Path, words: list[str], error: str) -> None:
        done = project.call(
            *(word.replace(".", str(original), 1) if word[0] == "." else word for word in words), "--json"
        )
        assert (done.code, done.err) == (1, "")
        assert done.document["error"] == error
        assert done.document["message"]
        shown = project.call(
            *(word.replace(".", str(original), 1) if word[0] == "." else word for word in words)
        )
        assert (shown.code, shown.out) == (1, "")
        assert shown.err.startswith("Error: ")

    def test_of_a_refused_run(self, released: Path) -> None:
        project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'))
        done = project.call("run", released, "--json")
        assert (done.code, done.document["status"]) == (3, "refused")
        assert not done.document["model"]["verdict"]["accepted"]


class TestRun:
    """What people see of a run."""

    def test_a_refusal_shows_every_reason_and_ends_with_3(self, released: Path) -> None:
        project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'))
        done = project.call("run", released)
        assert (done.code, done.err) == (3, "")
        lines = done.out.splitlines()
        assert lines[-1] == "Version 1.0.1 was refused; nothing changes."
        assert lines[-2].startswith("  ✗ roc_auc is 0.")
        assert lines[-3].startswith("[11/11] release: ")
        assert any("judge: ✓ Critical case" in line for line in lines)

    def test_plain_lines_where_there_is_no_terminal(self, released: Path) -> None:
        lines = project.call("run", released).out.splitlines()
        assert lines[0] == f"[ 1/11] ingest: departures: {project.ROWS:,} rows, nothing new"
        assert lines[3] == "[ 2/11] clean: as before"
        assert lines[-1].startswith("Nothing is new since run ")
        assert not any("\x1b" in line for line in lines)

    @pytest.mark.slow
    def test_a_terminal_gets_a_line_for_each_step_and_a_clean_end(self, released: Path) -> None:
        """In a terminal of 80 columns the live line is wiped at the end, and no line is broken in two."""
        text = on_a_terminal("run", released)
        assert "\x1b[?25l" in text  # the cursor is hidden while something moves
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
        shown = plain(text)
        assert any(re.match(r"✓ ingest {11}\d+\.\d s, .*MiB$", line) for line in shown)
        assert "✓ clean            as before" in shown
        assert "✓ examples         as before" in shown
        assert "Traceback" not in text

    def test_a_table_on_a_terminal_keeps_its_first_column_whole(self, original: Path) -> None:
        shown = plain(on_a_terminal("status", original))
        assert any(line.startswith("train:logistic ") for line in shown)
        assert not any("…" in line for line in shown)

    @pytest.mark.slow
    def test_interrupted_says_how_to_go_on(self, tmp_path: Path) -> None:
        folder = project.make(tmp_path / "flights")
        assert interrupted(WAITING, "run", folder) == (130, SAID)
        run = project.workspace(folder).ledger.runs("flights")[0]
        assert (run.status, run.message) == ("failed", "KeyboardInterrupt: ")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "where",
        [
            "Raw.add = lambda self, *_, **__: asked(self.connection)",
            "clean._sort = lambda connection, *_: asked(connection)",
        ],
        ids=["ingest", "clean"],
    )
    def test_interrupted_in_the_midst_of_a_query_says_the_same(self, tmp_path: Path, where: str) -> None:
        folder = project.make(tmp_path / "flights")
        filtered = 'event_time="scheduled_at", where="airline is not null"'
        project.edit(folder / "project.py", ('event_time="scheduled_at"', filtered))
        assert interrupted(ASKING + where, "run", folder, busy=True) == (130, SAID)
        run = project.workspace(folder).ledger.runs("flights")[0]
        assert (run.status, run.message) == ("failed", "KeyboardInterrupt: ")

    @pytest.mark.slow
    def test_a_query_of_ones_own_can_be_interrupted(self, original: Path) -> None:
        asking = f"{ASKING}query._subquery = lambda connection, _: asked(connection)"
        assert interrupted(asking, "sql", "select 1", "-p", original, busy=True) == (130, SAID)


def interrupted(script: str, *words: str | Path, busy: bool = False) -> tuple[int, str]:
    """How a command ends that Ctrl-C comes to after its first line, when it is ``busy`` or waits; and what it says."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}\nfrom relevo.cli import main\nmain()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RELEVO_LANG": "en"},
        preexec_fn=_hearing,  # noqa: PLW1509 - a test started in the background would hand its deafness on
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline()
        if busy:
            begun = _busy(command.pid)
            until(lambda: _busy(command.pid) > begun + 1)
        command.send_signal(signal.SIGINT)
        try:
            _, said = command.communicate(timeout=300)
        finally:
            command.kill()
    return command.returncode, said


def _busy(pid: int) -> float:
    return float(psutil.Process(pid).cpu_times().user)


def _hearing() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def on_a_terminal(*words: str | Path) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLUMNS": "80",
        "LINES": "24",
        "RELEVO_LANG": "en",
    }
    found = bytearray()
    with subprocess.Popen([project.RELEVO, *words], stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            found += piece
    os.close(ours)
    return found.decode()


def plain(text: str) -> list[str]:
    """Lines without what moves the cursor and colours."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in re.split(r"[\r\n]+", text)]


class TestPredict:
    """One answer, however it is asked."""

    def ask(self, folder: Path, *words: str, stdin: str = "") -> Any:
        done = project.call("predict", *words, "-p", folder, "--json", stdin=stdin)
        assert (done.code, done.err) == (0, ""), done.out
        return done.document

    def test_json_pairs_and_standard_input_are_answered_alike(self, original: Path) -> None:
        wanted = self.ask(original, json.dumps(FLIGHT))
        assert set(wanted) == {"probability", "decision", "label", "threshold", "version"}
        assert wanted["decision"] == (wanted["probability"] >= wanted["threshold"])
        assert wanted["label"] == ("late" if wanted["decision"] else "on time")
        assert self.ask(original, *PAIRS) == wanted
        assert self.ask(original, "-", stdin=json.dumps(FLIGHT)) == wanted
        assert self.ask(original, json.dumps([FLIGHT, FLIGHT])) == [wanted, wanted]
        assert self.ask(original, json.dumps(FLIGHT), "--version", "1.0.0") == wanted

    def test_a_field_left_empty_is_null(self, original: Path) -> None:
        without = {name: value for name, value in FLIGHT.items() if name != "Vlo-I"}
        pairs = [pair if not pair.startswith("Vlo-I") else "Vlo-I=" for pair in PAIRS]
        assert self.ask(original, *pairs) == self.ask(original, json.dumps(without))

    def test_people_read_a_sentence(self, original: Path) -> None:
        done = project.call("predict", *PAIRS, "-p", original)
        assert done.out.startswith(("late (probability 0.", "on time (probability 0."))
        assert done.out.endswith(", version 1.0.0)\n")

    def test_every_bad_field_is_named(self, original: Path) -> None:
        bad = {**FLIGHT, "Fecha-I": "31/02/2017", "TIPOVUELO": "O", "Des-I": None}
        done = project.call("predict", json.dumps(bad), "-p", original)
        assert done.code == 1
        lines = done.err.splitlines()
        assert lines[0] == "Error: 3 problems:"
        assert [line.split(":")[0].strip() for line in lines[1:]] == ["Fecha-I", "Des-I", "TIPOVUELO"]

    def test_every_bad_row_is_named(self, original: Path) -> None:
        bad = [FLIGHT, {**FLIGHT, "Emp-I": ""}, {}]
        done = project.call("predict", json.dumps(bad), "-p", original, "--json")
        problems = [(problem["row"], problem["field"]) for problem in done.document["problems"]]
        assert problems == [(1, "Emp-I"), (2, "Fecha-I"), (2, "Des-I"), (2, "Emp-I"), (2, "TIPOVUELO")]
        shown = project.call("predict", json.dumps(bad), "-p", original)
        assert "\n  row 1, Emp-I: " in shown.err

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["{not json"], "it is not JSON"),
            (["flight"], "it is not JSON"),
            (["Emp-I=SKU", "Des-I"], "Des-I: it is not FIELD=VALUE."),
            (["5"], "body"),
            (["[5]"], "row 0, body"),
        ],
    )
    def test_what_is_no_request(self, original: Path, words: list[str], said: str) -> None:
        done = project.call("predict", *words, "-p", original)
        assert (done.code, done.out) == (1, "")
        assert said in done.err

    def test_an_empty_list_has_no_answers(self, original: Path) -> None:
        assert self.ask(original, "[]") == []

    def test_nothing_released_yet(self, tmp_path: Path) -> None:
        folder = project.make(tmp_path / "flights", rows=0)
        done = project.call("predict", "{}", "-p", folder)
        assert done.code == 1
        assert "`relevo run " in done.err


class TestRegistry:
    """Status, versions, promote, rollback."""

    def test_status_before_and_after_the_first_run(self, original: Path, tmp_path: Path) -> None:
        before = project.call("status", project.make(tmp_path / "flights", rows=0))
        assert before.code == 1
        assert "There is no workspace" in before.err
        after = project.call("status", original).out
        assert after.startswith("Project flights\nChampion: 1.0.0 (l")
        assert "raw/departures" in after
        assert ", released. Version 1.0.0 is now champion." in after
        assert "release" in after.splitlines()[-1]

    def test_status_after_a_run_that_failed(self, tmp_path: Path) -> None:
        folder = project.make(tmp_path / "flights", rows=0)
        assert project.call("run", folder).code == 1
        done = project.call("status", folder)
        assert (done.code, done.err) == (0, "")
        assert "Champion: -" in done.out
        assert ", failed." in done.out

    @pytest.mark.slow
    def test_forth_and_back(self, released: Path) -> None:
        project.edit(released / "features.sql", ("    isodow(", "    hour * 2 as twice,\n    isodow("))
        assert project.call("run", released).code == 0
        listed = project.call("versions", released).out.splitlines()
        assert listed[1].startswith("1.1.0 *  accepted")
        assert listed[2].startswith("1.0.0    accepted")
        assert project.call("rollback", "-p", released, "--why", "slow").out == "champion: 1.1.0 → 1.0.0\n"
        assert project.call("promote", "1.1.0", "-p", released).out == "champion: 1.0.0 → 1.1.0\n"
        history = project.call("history", released).out
        assert "slow" in history
        assert history.endswith("4 releases; the chain verifies.\n")

    def test_promoting_the_champion_changes_nothing(self, original: Path) -> None:
        assert project.call("promote", "1.0.0", "-p", original).out == "1.0.0 is champion already.\n"

    def test_a_refused_version_cannot_be_promoted(self, released: Path) -> None:
        project.edit(released / "project.py", ('"roc_auc": 0.5', '"roc_auc": 0.99'))
        project.call("run", released)
        done = project.call("promote", "1.0.1", "-p", released)
        assert done.code == 1
        assert "1.0.1 was refused" in done.err

    def test_the_project_by_option_and_by_variable(self, original: Path) -> None:
        wanted = project.call("versions", original).out
        assert project.call("versions", "--project", original).out == wanted
        with project.variables(RELEVO_PROJECT=str(original)):
            assert project.call("versions").out == wanted


class TestSql:
    """Queries over the lake."""

    def rows(self, folder: Path, query: str) -> Any:
        done = project.call("sql", query, "-p", folder, "--json")
        assert (done.code, done.err) == (0, ""), done.out
        return done.document

    def test_every_kind_of_table(self, original: Path) -> None:
        rows = project.ROWS
        counted = "select count(*) as n from "
        assert self.rows(original, counted + "raw.departures") == [{"n": rows}]
        clean, aside = (
            self.rows(original, counted + t)[0]["n"] for t in ("clean.departures", "quarantine.departures")
        )
        assert clean + aside == rows
        assert aside == 15
        assert self.rows(original, counted + "examples.flights") == [{"n": clean}]
        found = self.rows(original, "select reasons, _row from quarantine.departures order by _row limit 1")
        assert found[0]["reasons"]

    def test_predictions(self, released: Path) -> None:
        """What a service logged is there as soon as one asks."""
        workspace = project.workspace(released)
        journal = Journal.open(workspace.logs)
        line = {
            "id": uuid7(),
            "at": "2026-01-01T00:00:00+00:00",
            "project": "flights",
            "version": "1.0.0",
            "digest": "d",
        }
        answer = {"probability": 0.25, "decision": False, "label": "on time", "request": FLIGHT}
        journal.write(json.dumps({**line, **answer}).encode() + b"\n")
        journal.close()
        assert self.rows(released, "select version, probability from predictions") == [
            {"version": "1.0.0", "probability": 0.25}
        ]
        status = project.call("status", released, "--json").document
        assert status["predictions"][0]["predictions"] == 1

    def test_shapes_of_answers(self, original: Path) -> None:
        assert self.rows(original, "select 'nan'::double as a, 1 as a, [date '2020-01-01'] as c;") == [
            {"a": None, "a_1": 1, "c": ["2020-01-01"]}
        ]
        assert self.rows(original, "from range(3) t(i) order by i desc") == [{"i": 2}, {"i": 1}, {"i": 0}]
        assert self.rows(original, "describe raw.holidays")[0]["column_name"] == "day"
        assert self.rows(original, "select 1 where false") == []
        assert project.call("sql", "select null as a, 'x' as b", "-p", original).out.split() == [
            "a",
            "b",
            "x",
        ]

    @pytest.mark.parametrize(
        "query",
        [
            "select no_such from raw.departures",
            "from raw.no_such",
            "",
            "/* nothing */",
            "select 1; select 2",
            "select 1) as t; drop view raw.departures; select * from (select 1",
            "create table t as select 1",
            "drop view raw.departures",
            "insert into raw.departures select * from raw.departures",
            "copy (select 1) to '{lake}/x.parquet'",
            "with c as (copy (select 1) to '{lake}/x.parquet') select 1",
            "explain analyze copy (select 1) to '{lake}/x.parquet'",
            "export database '{lake}/all'",
            "attach '{lake}/x.db' as x",
            "set enable_external_access = true",
            "load httpfs",
            "from read_text('/etc/hostname')",
            "from glob('/etc/*')",
        ],
    )
    def test_a_query_that_fails_or_writes_changes_nothing(self, original: Path, query: str) -> None:
        lake = original / ".relevo" / "lake"
        before = {path: path.stat().st_mtime_ns for path in lake.rglob("*")}
        done = project.call("sql", query.replace("{lake}", str(lake)), "-p", original)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("Error: ")
        assert {path: path.stat().st_mtime_ns for path in lake.rglob("*")} == before

    def test_more_rows_than_memory_holds_are_sorted(self, original: Path) -> None:
        """The engine may still spill into its own folder."""
        with project.variables(RELEVO_MEMORY_LIMIT="60MB", RELEVO_THREADS="1"):
            numbered = "select row_number() over (order by hash(i)) as n from range(3000000) t(i)"
            assert self.rows(original, f"select max(n) as n from ({numbered})") == [{"n": 3_000_000}]


@pytest.mark.slow
def test_a_terminal_of_old_gets_escapes_instead_of_an_error(original: Path) -> None:
    old = project.relevo("predict", *PAIRS, "-p", original, env={"PYTHONIOENCODING": "ascii"})
    assert old.returncode == 0
    old = project.relevo("rollback", "-p", original, "--to", "ñ", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert "ñ" in json.loads(old.stdout)["message"]
