"""``score``: a file, or the population of the period that comes next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from relevo.cli.answering import released
from relevo.cli.output import document, say
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.listing import Listing
    from relevo.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The options that belong to a population."""

    population: bool
    positive: bool
    top: int | None
    by: str


def score(
    source: Path | None, destination: Path | None, folder: Path, version: str, choice: Choice, *, json: bool
) -> None:
    """Score a file, or with ``--population`` a project."""
    if choice.population:
        _population(source, destination, folder, version, choice, json=json)
        return
    if choice.positive or choice.top or choice.by:
        raise typer.BadParameter(t("--positive, --top and --by go with --population."))
    if source is None or destination is None:
        raise typer.BadParameter(
            t("Name the file to score, IN, and the one to write, OUT, or give --population.")
        )
    _file(source, destination, folder, version, json=json)


def _file(source: Path, destination: Path, folder: Path, version: str, *, json: bool) -> None:
    from relevo.score import score as score_

    workspace = Workspace.open(folder, create=False)
    number, package = released(workspace, version)
    found = score_(workspace.lake, package, source, destination, nulls=package.manifest.nulls)
    if json:
        document({**asdict(found), "version": number, "path": str(destination)})
        return
    say(
        t(
            "{rows:,} rows: {positive:,} {label}, {refused:,} refused; version {version}; written to {path}",
            **asdict(found),
            label=package.labels[True],
            version=number,
            path=destination,
        )
    )


def _population(
    source: Path | None, destination: Path | None, folder: Path, version: str, choice: Choice, *, json: bool
) -> None:
    from relevo import lifecycle
    from relevo.definition import load

    if source is not None and destination is None and not source.is_dir():
        source, destination = None, source  # only OUT was given
    home = source or folder
    listing = _listing(destination, choice)
    definition = load(home)
    found = lifecycle.score_now(
        definition, Workspace.open(home, create=False), version=version, listing=listing
    )
    _tell(found, destination, json=json)


def _listing(destination: Path | None, choice: Choice) -> Listing | None:
    from relevo.listing import Listing

    if choice.positive and choice.top:
        raise typer.BadParameter(t("Give --positive or --top, not both."))
    if destination is None:
        if choice.positive or choice.top or choice.by:
            raise typer.BadParameter(
                t("--positive, --top and --by say what is written: name the file OUT too.")
            )
        return None
    rows = "positive" if choice.positive else "top" if choice.top else "all"
    return Listing(path=destination, rows=rows, k=choice.top, by=choice.by or None)


def _tell(found: Scores, destination: Path | None, *, json: bool) -> None:
    from relevo.lifecycle.batches import told

    if json:
        document({**found.to_json(), "path": str(destination) if destination else None})
        return
    for line in told(found):
        say(line)
    if found.listed is not None:
        say(t("{rows:,} rows written to {path}", rows=found.listed, path=destination))
