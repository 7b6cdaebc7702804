"""``challenge`` and ``replay``: trying a version beside the champion, or on what was asked before."""

from __future__ import annotations

import getpass
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from relevo import challenge as challenging
from relevo import clock, durations
from relevo.cli import mirror
from relevo.cli.output import document, say, table
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relevo.replay import Replay


def opened(folder: Path) -> tuple[Workspace, str]:
    """Open a project's workspace, and tell its name."""
    workspace = Workspace.open(folder, create=False)
    return workspace, workspace.project_name()


def who() -> str:
    """Whoever types this command."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of ``challenge``."""

    version: str
    shadow: bool
    cpu: str
    canary: str
    by: str
    end: bool


def challenge(asked: Asked, folder: Path, why: str, *, json: bool) -> None:
    """Begin or end to try a version."""
    ways = asked.shadow + bool(asked.canary) + asked.end
    if ways != 1 or bool(asked.version) == asked.end:
        raise typer.BadParameter(t("Give VERSION with --shadow or with --canary SHARE, or --end alone."))
    workspace, name = opened(folder)
    if asked.end:
        release = challenging.end(workspace.ledger, name, who=who(), why=why)
    elif asked.shadow:
        cpu = challenging.share_of(asked.cpu, "--cpu")
        release = challenging.shadow(workspace, name, asked.version, cpu=cpu, who=who(), why=why)
    else:
        share = challenging.share_of(asked.canary, "--canary")
        release = challenging.canary(
            workspace, name, asked.version, share=share, by=asked.by, who=who(), why=why
        )
    mirror.insist(workspace, release)
    mirror.leave(folder)
    if json:
        document(asdict(release))
        return
    found = challenging.strategy(workspace.ledger, name)
    if found is None:
        say(t("{version} is tried no longer.", version=release.version))
    else:
        say(t("Tried: {strategy}", strategy=challenging.told(found)))


def described(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """What is tried, and what came of it so far."""
    found = challenging.strategy(workspace.ledger, name)
    if found is None:
        return None
    shown: dict[str, Any] = asdict(found)
    if found.mode == "shadow" and workspace.lake.exists("shadows"):
        with workspace.lake.connect() as connection:
            workspace.lake.bind(connection, "shadows", as_="shadows")
            query = (
                "select count(*), count(*) filter (differs) from shadows where project = ? and version = ?"
            )
            [(answered, differing)] = connection.execute(query, [name, found.version]).fetchall()
        shown |= {"answered": answered, "differing": differing}
    return shown | {"told": challenging.told(found)}


def lines(tried: Mapping[str, Any] | None) -> list[str]:
    """Say what ``described`` found."""
    if tried is None:
        return []
    found = [t("Tried: {strategy}", strategy=tried["told"])]
    if tried.get("answered"):
        found.append(
            t(
                "It answered {answered:,} requests; {differing:,} decisions differ ({share:.1%}).",
                share=tried["differing"] / tried["answered"],
                **{name: tried[name] for name in ("answered", "differing")},
            )
        )
    return found


def replay(version: str, since: str, folder: Path, *, json: bool) -> None:
    """Ask the logged predictions again."""
    from relevo import lifecycle
    from relevo import replay as replaying
    from relevo.collect import collect
    from relevo.definition import load
    from relevo.errors import LedgerError
    from relevo.package import ModelPackage

    workspace, name = opened(folder)
    begin = _begin(since)
    found = workspace.ledger.version(name, version)
    if found is None:
        raise LedgerError(
            t("There is no version {version}.", version=version) + " " + t("See `relevo versions`.")
        )
    package = ModelPackage.load(workspace.blobs.folder(found.digest))
    collect(workspace)
    definition = load(folder) if package.histories else None
    replayed = replaying.replay(
        workspace,
        package,
        found.version,
        begin,
        bind=None
        if definition is None
        else lambda connection: lifecycle.bind_newest(connection, workspace, definition, package),
    )
    if json:
        document(replayed.to_json())
    else:
        _tell(replayed, package.labels)


def _begin(since: str) -> datetime:
    """The moment that a duration, or a time, names; without a zone a time is UTC."""
    try:
        return clock.now() - durations.parse(since)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(since)
    except ValueError as error:
        raise typer.BadParameter(
            t("“{since}” is neither a duration such as 7d nor a time (ISO 8601).", since=since[:40])
        ) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _tell(found: Replay, labels: tuple[str, str]) -> None:
    say(
        t(
            "{version} would have changed {share:.1%} [{low:.1%}, {high:.1%}] of {rows:,} decisions since {since}: "
            "{to_yes:,} to “{yes}”, {to_no:,} to “{no}”.",
            yes=labels[True],
            no=labels[False],
            **{
                n: getattr(found, n)
                for n in ("version", "share", "low", "high", "rows", "since", "to_yes", "to_no")
            },
        )
    )
    if found.own:
        say(t("{own:,} more were its own answers.", own=found.own))
    if found.refused:
        reasons = ", ".join(f"{field} ({count:,})" for field, count in list(found.reasons.items())[:5])
        say(t("{refused:,} requests it cannot answer: {reasons}.", refused=found.refused, reasons=reasons))
    if found.costliest:
        _tell_costliest(found, labels)
    if found.slices:
        _tell_slices(found, labels)


def _tell_costliest(found: Replay, labels: tuple[str, str]) -> None:
    by = t("cost") if found.by == "cost" else t("change of the probability")
    say(t("The costliest, by {by}:", by=by))
    rows = [
        (
            one["at"][:19],
            one["id"],
            f"{labels[one['decision_then']]} {one['probability_then']:.3f}",
            f"{labels[one['decision']]} {one['probability']:.3f}",
            f"{one['stake']:,.3f}",
        )
        for one in found.costliest
    ]
    table((t("time"), "id", t("from"), t("to"), by), rows)


def _tell_slices(found: Replay, labels: tuple[str, str]) -> None:
    rows = [
        (
            s.field,
            "-" if s.value is None else s.value,
            s.rows,
            f"{s.share:.1%}",
            f"[{s.low:.1%}, {s.high:.1%}]",
            f"+{s.to_yes:,}",
            f"+{s.to_no:,}",
        )
        for s in found.slices
    ]
    columns = (t("field"), t("value"), t("predictions"), t("changed"), "95 %", labels[True], labels[False])
    table(columns, rows)
