"""What the commands print: plain lines or tables for people, one JSON document for programs."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import interrupts
from relevo.errors import ProjectError, RelevoError, RequestError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAILED, REFUSED, INTERRUPTED = 1, 3, 130


class Reported(SystemExit):
    """An interruption of which all is said already."""

    def __init__(self) -> None:
        super().__init__(INTERRUPTED)


def say(text: str = "") -> None:
    """Print a line for people."""
    sys.stdout.write(f"{text}\n")


def document(value: Any) -> None:
    """Print a JSON document for programs; a number that JSON lacks (NaN, infinity) becomes null."""
    ascii_only = (sys.stdout.encoding or "utf-8").lower() != "utf-8"
    text = json.dumps(_plain(value), ensure_ascii=ascii_only, allow_nan=False)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a table: Rich's on a terminal, aligned text elsewhere."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        shown = Table(box=None, pad_edge=False, header_style="bold")
        for place, column in enumerate(columns):
            shown.add_column(column, no_wrap=place == 0)  # the name of what the row is about stays whole
        for row in texts:
            shown.add_row(*row)
        Console().print(shown, markup=False)
        return
    widths = [max(len(row[place]) for row in [list(columns), *texts]) for place in range(len(columns))]
    for row in [list(columns), *texts]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def guarded() -> Iterator[None]:
    """Turn errors of ours, a full disk and an interruption into one message and an exit code."""
    try:
        with interrupts.heard():
            yield
    except RelevoError as error:
        _complain(error)
        sys.exit(FAILED)
    except OSError as error:
        if error.errno == errno.EPIPE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        from relevo import disk

        if error.errno not in disk.TROUBLES:
            raise
        _complain(disk.explain(error, Path(error.filename or ".")))
        sys.exit(FAILED)
    except SystemExit as end:
        if end.code == INTERRUPTED and not isinstance(end, Reported):  # what Typer makes of Ctrl-C
            _tell_interrupted()
        raise
    except KeyboardInterrupt:  # in the midst of a query, or before Typer has begun
        _tell_interrupted()
        sys.exit(INTERRUPTED)


def _tell_interrupted() -> None:
    sys.stderr.write(t("Interrupted; run it again and it goes on from there.") + "\n")


def _complain(error: RelevoError) -> None:
    if "--json" in sys.argv:
        document({"error": type(error).__name__, "message": str(error), **_parts(error)})
        return
    sys.stderr.write(f"{t('Error:')} {_text(error)}\n")
    for note in getattr(error, "__notes__", ()):
        sys.stderr.write(f"  {note}\n")


def _text(error: RelevoError) -> str:
    if isinstance(error, ProjectError) and len(error.mistakes) > 1:
        return _listed(t("{count} mistakes:", count=len(error.mistakes)), error.mistakes)
    if isinstance(error, RequestError) and ("row" in error.problems[0] or len(error.problems) > 1):
        problems = [_problem(problem) for problem in error.problems]
        return _listed(t("{count} problems:", count=len(problems)), problems)
    return str(error)


def _listed(head: str, items: Sequence[object]) -> str:
    return head + "".join(f"\n  {item}" for item in items)


def _problem(problem: Mapping[str, object]) -> str:
    said = f"{problem['field']}: {problem['problem']}"
    return t("row {row}, {problem}", row=problem["row"], problem=said) if "row" in problem else said


def _parts(error: RelevoError) -> dict[str, Any]:
    if isinstance(error, ProjectError):
        return {"mistakes": [vars(mistake) for mistake in error.mistakes]}
    return {"problems": list(error.problems)} if isinstance(error, RequestError) else {}
