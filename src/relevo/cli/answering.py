"""``serve``, ``predict`` and ``collect``: answering with a released model."""

from __future__ import annotations

import json as json_
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relevo import lookups, validation
from relevo.cli.output import document, say, table
from relevo.errors import LedgerError, RequestError, WorkspaceError
from relevo.online import FeatureError
from relevo.package import ModelPackage
from relevo.serving import quota
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp

    from relevo.serving.app import App

MOST_WORKERS = 256


def released(workspace: Workspace, version: str = "") -> tuple[str, ModelPackage]:
    """The champion's version and package, or another version's, with the newest histories.

    Raises ``LedgerError`` when there is no such version, ``PackageError`` when its histories are not at hand.
    """
    name = workspace.project_name()
    found = workspace.ledger.version(name, version) if version else workspace.ledger.champion(name)
    if found is None:
        problem = (
            t("There is no version {version}.", version=version)
            if version
            else t("Nothing was released yet.")
        )
        raise LedgerError(problem + " " + t("See `relevo versions`; `relevo run` makes one."))
    package = ModelPackage.load(workspace.blobs.folder(found.digest))
    package.bind(lookups.newest(workspace, package))
    return found.version, package


def _count(workers: str) -> int:
    if workers == quota.AUTO:
        return quota.workers()
    if not (workers.isascii() and workers.isdigit() and 1 <= int(workers) <= MOST_WORKERS):
        raise WorkspaceError(
            t(
                "--workers {workers!r} is no number of processes. Write one from 1 to {most}, or auto.",
                workers=workers[:20],
                most=MOST_WORKERS,
            )
        )
    return int(workers)


def serve(
    folder: Path, host: str, port: int, workers: str, given: Mapping[str, object], *, json: bool
) -> None:
    """Serve until SIGTERM or Ctrl-C; what is ``given`` wins over the settings."""
    from relevo import serving

    count = _count(workers)
    workspace = Workspace.open(folder, create=False)
    settings = workspace.settings.serve.changed(given)
    name = workspace.project_name()

    def ready(url: str, version: str) -> None:
        if json:
            document({"url": url, "version": version})
        else:
            shown = version or t("no version yet")
            say(
                t(
                    "Serving {project} ({version}) at {url}; documentation at {url}/docs.",
                    project=name,
                    version=shown,
                    url=url,
                )
            )
        sys.stdout.flush()

    page: Callable[[App], ASGIApp] | None = None
    if settings.gradio:
        from relevo.gradio import mounted

        page = mounted
    serving.run(
        workspace, name, host=host, port=port, workers=count, settings=settings, ready=ready, page=page
    )


def _given(words: list[str], package: ModelPackage) -> Any:
    text = sys.stdin.read() if words == ["-"] else " ".join(words)
    if words != ["-"] and "=" in words[0] and not text.lstrip().startswith(("{", "[")):
        wrong = [word for word in words if "=" not in word]
        if wrong:
            raise RequestError([{"field": word, "problem": t("it is not FIELD=VALUE.")} for word in wrong])
        return {
            name: value if value != "" else None for name, value in (word.split("=", 1) for word in words)
        }
    try:
        return json_.loads(text)
    except json_.JSONDecodeError as error:
        example = json_.dumps({field.alias: "…" for field in package.request.fields[:2]}, ensure_ascii=False)
        problem = t("it is not JSON ({error}). Write for example {example}", error=error, example=example)
        raise RequestError([{"field": "body", "problem": problem}]) from error


def _requests(given: Any, package: ModelPackage) -> list[dict[str, Any]]:
    """Validate an object or each of a list; raises ``RequestError`` with the problems of all rows, from 0."""
    found, problems = [], []
    for number, row in enumerate(given if isinstance(given, list) else [given]):
        try:
            valid = validation.validate(package.validators, row)
            package.features(valid)
            found.append(valid)
        except RequestError as error:
            problems += [{"row": number, **problem} for problem in error.problems]
        except FeatureError as error:
            problems.append({"row": number, "field": "body", "problem": str(error)})
    if problems and not isinstance(given, list):
        problems = [{name: v for name, v in problem.items() if name != "row"} for problem in problems]
    if problems:
        raise RequestError(problems)
    return found


def predict(words: list[str], folder: Path, version: str, *, explain: bool, json: bool) -> None:
    """Answer one request or a list, and say what each field adds where ``explain`` is set."""
    number, package = released(Workspace.open(folder, create=False), version)
    given = _given(words, package)
    requests = _requests(given, package)
    answers: list[dict[str, Any]] = [
        {**asdict(a), "threshold": package.threshold, "version": number} for a in package.predict(requests)
    ]
    if explain:
        from relevo import explanation
        from relevo.explanation import sentences

        reference = explanation.Reference(package)
        for answer, request in zip(answers, requests, strict=True):
            found = explanation.of(reference, request, package.features(request))
            answer["explanation"] = sentences.document(found)
    if json:
        document(answers if isinstance(given, list) else answers[0])
        return
    for answer in answers:
        say(
            t(
                "{label} (probability {probability:.4f}, threshold {threshold:.4f}, version {version})",
                **answer,
            )
        )
        if explain:
            _show(answer["explanation"])


def _show(found: dict[str, Any]) -> None:
    """Print an explanation: a table in points, and its sentences."""
    say()
    table(
        [t("field"), t("value"), t("points"), "±"],
        [
            [
                one["field"],
                "-" if one["value"] is None else f"{one['value']} {one.get('unit', '')}".rstrip(),
                f"{100 * one['contribution']:+.2f}" if one["used"] else "",
                f"{100 * one['error']:.2f}" if one["used"] and one["error"] is not None else "",
            ]
            for one in found["fields"]
        ],
    )
    say()
    for sentence in (*found["summary"], *(one["sentence"] for one in found["fields"])):
        say(sentence)


def collect(folder: Path, *, json: bool) -> None:
    """Bring logged predictions and labels into the lake."""
    from relevo.collect import collect_all
    from relevo.journal import LABELS, PREDICTIONS

    found = collect_all(Workspace.open(folder, create=False), report=None if json else say)
    if json:
        document({"rows": found[PREDICTIONS], "labels": found[LABELS]})
        return
    say(t("{rows:,} predictions collected.", rows=found[PREDICTIONS]))
    if found[LABELS]:
        say(t("{rows:,} labels collected.", rows=found[LABELS]))
