"""Shows a run: live on a terminal, plain lines elsewhere, nothing (or on standard error) where JSON is asked for."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from relevo.lifecycle import Event

    Listener = Callable[[Event], None]

MIB = 1 << 20


def _cost(event: Event) -> str:
    step = event.record
    if step is None or event.state == "reused":
        return t("as before")
    return f"{step.wall_seconds:.1f} s, {step.cpu_seconds:.1f} s CPU, {step.peak_rss_bytes / MIB:.0f} MiB"


@contextmanager
def listener(*, quiet: bool = False, to: TextIO | None = None) -> Iterator[Listener]:
    """Give a function that shows events until the block ends; ``to`` a stream in plain lines, when one is given."""
    if quiet:
        yield lambda event: None  # noqa: ARG005 - nothing is shown
    elif to is not None:
        yield partial(_plain, to=to)
    elif sys.stdout.isatty():
        with _live() as show:
            yield show
    else:
        yield partial(_plain, to=sys.stdout)


def _plain(event: Event, *, to: TextIO) -> None:
    head = f"[{event.place:>2}/{event.total}] {event.step}"
    if event.state == "said":
        to.write(f"{head}: {event.text}\n")
    elif event.state in ("done", "reused"):
        to.write(f"{head}: {_cost(event)}\n")
    to.flush()


@contextmanager
def _live() -> Iterator[Listener]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        transient=True,
    ) as progress:
        task = progress.add_task("…")

        def show(event: Event) -> None:
            progress.update(task, total=event.total, completed=event.place - 1, description=event.step)
            if event.state == "said":
                progress.update(task, description=f"{event.step}: {event.text}")
                if not event.step.startswith("train:"):
                    progress.console.print(f"  {event.text}", style="dim", markup=False, highlight=False)
            elif event.state in ("done", "reused"):
                progress.update(task, completed=event.place)
                line = f"✓ {event.step:<16} {_cost(event)}"
                progress.console.print(line, markup=False, highlight=False)

        yield show
