"""``loadtest``: a service under load, and a report of it."""

from __future__ import annotations

import json as json_
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relevo import disk, durations
from relevo.cli.output import FAILED, Reported, document, say, table
from relevo.errors import LoadTestError
from relevo.loadtest import bodies, capacity, closed_loop, draws, locustfile, open_loop
from relevo.loadtest.closed_loop import Users
from relevo.loadtest.measured import Limits
from relevo.loadtest.observed import observing
from relevo.loadtest.open_loop import Pace
from relevo.loadtest.page import milliseconds, page
from relevo.loadtest.report import Report, command, verdict
from relevo.loadtest.target import Target, ask, probe, target
from relevo.records import now
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.loadtest.capacity import Level
    from relevo.loadtest.draws import Form
    from relevo.loadtest.measured import Outcome

_USERS, _MOST_USERS = 100, 1024
_SECONDS, _LEVEL_SECONDS = "60s", "10s"
_ERRORS = "0.1%"
_LONGEST = 7 * 86400.0


@dataclass(frozen=True)
class Options:
    """What was typed; None where nothing was."""

    users: int | None
    spawn: float | None
    time: str | None
    processes: int
    capacity: bool
    rate: float | None
    arrivals: str
    connections: int
    p95: str | None
    errors: str | None
    check: bool
    body: Path | None
    path: str
    header: list[str]
    key: str
    timeout: str
    seed: int
    write: Path | None
    locustfile: Path | None
    html: Path | None
    out: Path | None
    json: bool


def loadtest(url: str, options: Options) -> None:
    """Test a service, report, and exit with 1 where ``--check`` finds limits missed."""
    _agree(options)
    asked = target(url, options.path, options.header, options.key, _seconds("--timeout", options.timeout))
    limits = _limits(options)
    seconds = _seconds("--time", options.time or (_LEVEL_SECONDS if options.capacity else _SECONDS))
    if options.write is not None:
        _write_locustfile(asked, options, options.write)
        return
    started = now()
    kind = "capacity" if options.capacity else "open" if options.rate is not None else "closed"
    with observing(asked) as seen:
        outcome = (
            _open(asked, options, seconds) if kind == "open" else _closed(asked, options, limits, seconds)
        )
    typed = command(["relevo", *sys.argv[1:]])
    report = Report(kind, asked, outcome, limits, started, typed, seen.found)
    _tell(report, options)
    if outcome.interrupted:
        raise Reported
    if options.check and report.missed:
        raise typer.Exit(FAILED)


def _agree(options: Options) -> None:
    """Refuse options that do not go together."""
    if options.rate is not None and (
        options.capacity or options.users or options.spawn or options.locustfile or options.write
    ):
        raise LoadTestError(
            t(
                "--rate asks by the clock and knows no users: leave out --capacity, --users, --spawn, "
                "--locustfile and --write."
            )
        )
    if options.capacity and options.p95 is None:
        raise LoadTestError(
            t("--capacity needs to know what is still good: give --p95, for example --p95 200ms.")
        )
    if options.check and not options.capacity and options.p95 is None and options.errors is None:
        raise LoadTestError(t("--check compares with limits: give --p95 or --errors."))
    if options.arrivals not in ("constant", "poisson"):
        raise LoadTestError(t("--arrivals {found}: write constant or poisson.", found=repr(options.arrivals)))


def _seconds(option: str, text: str) -> float:
    try:
        found = durations.parse(text).total_seconds()
    except (ValueError, OverflowError) as error:
        raise LoadTestError(f"{option}: {error}") from error
    if not 0 < found <= _LONGEST:
        raise LoadTestError(
            t("{option} {text}: write more than nothing and at most 7d.", option=option, text=text)
        )
    return found


def _limits(options: Options) -> Limits:
    errors = options.errors if options.errors is not None or not options.capacity else _ERRORS
    p95 = None if options.p95 is None else _seconds("--p95", options.p95)
    return Limits(p95, None if errors is None else _share(errors))


def _share(text: str) -> float:
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(%?)\s*", text)
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= share <= 1:
        raise LoadTestError(t("--errors {found}: write a share such as 0.1% or 0.001.", found=repr(text)))
    return share


def _write_locustfile(asked: Target, options: Options, file: Path) -> None:
    text = _source(asked, options)
    with disk.explained(file):
        file.write_text(text, encoding="utf-8")
    if options.json:
        document({"file": str(file)})
    else:
        say(
            t(
                "{file} is written. Run it: relevo loadtest {url} --locustfile {file}",
                file=file,
                url=asked.url,
            )
        )


def _source(asked: Target, options: Options) -> str:
    """The locustfile, whose bodies were tried once on the service."""
    form, found = _bodies(asked, options)
    probe(asked, found[0])
    return locustfile.source(
        asked,
        seed=options.seed,
        form=form,
        bodies=options.body.resolve() if options.body else None,
        lines=len(found),
    )


def _bodies(asked: Target, options: Options) -> tuple[Form | None, list[bytes]]:
    if options.body is not None:
        return None, bodies.read(options.body)
    form = draws.form(asked)
    return form, bodies.drawn(form, options.seed)


def _open(asked: Target, options: Options, seconds: float) -> Outcome:
    assert options.rate is not None
    _, found = _bodies(asked, options)
    probe(asked, found[0])
    pace = Pace(
        options.rate,
        seconds,
        options.arrivals,
        options.connections,
        options.seed,
    )
    return open_loop.run(asked, found, pace)


def _closed(asked: Target, options: Options, limits: Limits, seconds: float) -> Outcome:
    with _locustfile(asked, options) as file:
        if not options.capacity:
            count = options.users or _USERS
            return closed_loop.run(
                asked, file, Users(count, options.spawn or 1.0, seconds, options.processes)
            )
        most = Users(options.users or _MOST_USERS, 1.0, seconds, options.processes)
        return capacity.run(asked, file, most, limits, tell=_ignore if options.json else _say_level)


@contextmanager
def _locustfile(asked: Target, options: Options) -> Iterator[Path]:
    if options.locustfile is not None:
        if not options.locustfile.is_file():
            raise LoadTestError(t("{file}: there is no such file.", file=options.locustfile))
        ask(asked, "GET", "/")  # whether anything answers at all
        yield options.locustfile
        return
    text = _source(asked, options)
    with tempfile.TemporaryDirectory(prefix="relevo-locustfile-") as folder:
        file = Path(folder) / "locustfile.py"
        file.write_text(text, encoding="utf-8")
        yield file


def _ignore(_: Level) -> None:
    """Say nothing of a level."""


def _say_level(level: Level) -> None:
    found = level.figures
    missed = t("missed: {limits}", limits=", ".join(level.missed)) if level.missed else t("good")
    say(
        t(
            "{users:>5} users: p95 {p95} ms, {rate:,.0f} a second, {failed:,} failed, generator {busy:.0%}: {verdict}",
            users=level.users,
            p95=milliseconds(found.p95),
            rate=found.rate,
            failed=found.failed,
            busy=level.busy,
            verdict=missed,
        )
    )
    sys.stdout.flush()


def _tell(report: Report, options: Options) -> None:
    found = report.plain()
    _keep(options.html, lambda: page(report))
    _keep(options.out, lambda: json_.dumps(found, ensure_ascii=False, indent=1) + "\n")
    if options.json:
        document(found)
        return
    if report.outcome.interrupted:
        say(t("The test was interrupted; this is what was measured until then."))
    figures: dict[str, Any] = found["figures"]
    times = ("p50", "p90", "p95", "p99", "max")
    table(
        [t("requests"), t("a second"), t("failed"), *(f"{name} ms" for name in times)],
        [
            [
                f"{figures['requests']:,}",
                milliseconds(figures["rate"]),
                f"{figures['failed']:,}",
                *(milliseconds(figures[name]) for name in times),
            ]
        ],
    )
    for kind, count in figures["failures"].items():
        say(t("  failed with {kind}: {count:,}", kind=kind, count=count))
    say(verdict(report))
    for note in report.outcome.notes:
        say(note)


def _keep(file: Path | None, text: Any) -> None:
    if file is not None:
        with disk.explained(file):
            file.write_text(text(), encoding="utf-8")
