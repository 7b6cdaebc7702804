"""Processes that start at once, since what they import was imported before they are forked."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from support import project

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from relevo.lifecycle import Event

HEAVY = (
    "lightgbm",
    "sklearn.linear_model",
    "optuna",
    "skl2onnx",
    "onnxmltools",
    "onnxruntime",
    "alembic.command",
)
PATIENCE = 600
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["relevo.lifecycle", "relevo.cli.running", "deltalake", *HEAVY])
    return context


def start(function: Callable[..., None], *given: Any) -> BaseProcess:
    """Begin a process that calls a module's function."""
    process = _server().Process(target=function, args=given)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    """Wait for a process; its exit code, negative for a signal."""
    process.join(PATIENCE)
    assert process.exitcode is not None, "still running"
    return process.exitcode


def killed_at(folder: Path, step: str, state: str, nth: int = 1) -> bool:
    """Run the lifecycle in a process that kills itself with SIGKILL at the ``nth`` such event of the step."""
    return ended(start(_run_until, folder, step, state, nth)) == -signal.SIGKILL


def _run_until(folder: Path, step: str, state: str, nth: int) -> None:
    seen = 0

    def listen(event: Event) -> None:
        nonlocal seen
        seen += (event.step, event.state) == (step, state)
        if seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    project.run(folder, listen)


def do_step(folder: Path, name: str, run_id: str) -> None:
    """Do one step in this process."""
    from relevo import lifecycle

    lifecycle.run_step(project.definition(folder), project.workspace(folder), name, run_id)


@contextmanager
def held_at(folder: Path, step: str) -> Iterator[BaseProcess]:
    """Keep a run of another process waiting at the start of a step for the block."""
    reached, go_on = _server().Event(), _server().Event()
    process = start(_wait_at, folder, step, reached, go_on)
    try:
        assert reached.wait(PATIENCE)
        yield process
    finally:
        go_on.set()
        ended(process)


def _wait_at(folder: Path, step: str, reached: threading.Event, go_on: threading.Event) -> None:
    def listen(event: Event) -> None:
        if (event.step, event.state) == (step, "started"):
            reached.set()
            go_on.wait(PATIENCE)

    project.run(folder, listen)


def call(*words: str | Path, largest_file: int | None = None, powerless: bool = False) -> project.Done:
    """Run the command line in a process of its own.

    ``largest_file`` makes every write beyond so many bytes fail, as on a full disk; ``powerless`` makes the
    rights of files hold for root too.
    """
    here, there = _server().Pipe(duplex=False)
    process = start(_call, there, words, largest_file, powerless)
    there.close()
    assert here.poll(PATIENCE), "no answer"
    done: project.Done = here.recv()
    ended(process)
    return done


def _call(answer: Any, words: tuple[str, ...], largest_file: int | None, powerless: bool) -> None:
    if largest_file is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))
    if powerless and os.geteuid() == 0:
        _drop((DAC_OVERRIDE, DAC_READ_SEARCH))
    answer.send(project.call(*words))


def _drop(capabilities: tuple[int, ...]) -> None:
    """Give up capabilities of this thread and those it starts (capset(2), version 3 of its structures)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, sets) == 0
    for capability in capabilities:
        sets[0] &= ~(1 << capability)  # of the effective ones
        sets[1] &= ~(1 << capability)  # of the permitted ones, which access(2) asks for
    assert libc.capset(header, sets) == 0
