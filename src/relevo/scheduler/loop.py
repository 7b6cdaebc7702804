"""The loop: look at the clock and at files, begin what is due, and see to what runs."""

from __future__ import annotations

import logging
import os
import select
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from relevo import clock, durations
from relevo.errors import LedgerError
from relevo.ledger.agenda import DONE, FAILED, RUNNING, Begun
from relevo.ledger.rows import time_text
from relevo.scheduler.child import GRACE, Child
from relevo.scheduler.looks import LOOKS
from relevo.scheduler.pending import Due, Pending
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relevo.records import Job, Lease
    from relevo.scheduler.child import Ended
    from relevo.scheduler.task import Task
    from relevo.workspace import Workspace

SCHEDULE = "schedule"
"""The lease of whoever schedules a project. That of a group bears the group's name."""
_SHORTEST, _LONGEST = 0.1, 10.0  # real seconds between two ticks
_WATCH = 0.5  # real seconds between two looks at the limits of what runs
_JUMP = 5.0  # real seconds by which the clock may go otherwise than the machine between two ticks
_FORGET = 100  # jobs begun until old ones are dropped
_log = logging.getLogger(__name__)


@dataclass
class _Running:
    task: Task
    job: Job
    child: Child
    group: Lease | None
    interrupted: bool = False


class Scheduler:
    """Schedules a project's tasks while it has the lease, and waits for it while another has. For one thread.

    ``holder`` names it in the ledger. Jobs survive neither the scheduler nor the loss of its lease: what was running
    is begun again by whoever has the lease next, with the same due time, as another attempt.
    """

    def __init__(self, workspace: Workspace, project: str, holder: str, tasks: Sequence[Task]) -> None:
        self._workspace = workspace
        self._project = project
        self._holder = holder
        self._agenda = workspace.ledger.agenda
        self._settings = workspace.settings.up
        self.pause = min(max(clock.real(self._settings.poll), _SHORTEST), _LONGEST)
        """Real seconds between two ticks, and between two looks at files."""
        self._pending: list[Pending] = []
        self.replace(tasks)
        self._lease: Lease | None = None
        self._renew_at = self._lost_at = self._patience = 0.0  # by the machine's own clock
        self._last: dict[str, Job | None] = {}
        self._orphans: dict[str, Job] = {}
        self._running: dict[str, _Running] = {}
        self._stopping = False
        self._before: tuple[datetime, float] | None = None
        self._begun = 0

    @property
    def leads(self) -> bool:
        """Whether it has the lease."""
        return self._lease is not None

    @property
    def running(self) -> list[Job]:
        """The jobs under way."""
        return [one.job for one in self._running.values()]

    def replace(self, tasks: Sequence[Task]) -> None:
        """Schedule these tasks from now on; what is under way goes on."""
        known = {pending.task: pending for pending in self._pending}
        self._pending = [known.get(task) or Pending(task, self.pause) for task in tasks]

    def tick(self, now: datetime | None = None) -> None:
        """Do what is to be done now. Raises ``LedgerError`` when the ledger is away: then the next may succeed."""
        now = now or clock.now()
        self._notice_jump(now)
        try:
            self._reap(now)
            self._lead(now)
        except LedgerError:
            if self._lease is not None and time.monotonic() >= self._lost_at:
                self._lose()
            raise
        if self._lease is not None and not self._stopping:
            self._close_orphans(now)
            for pending in self._pending:
                self._consider(pending, self._lease, now)

    def run(self, go_on: Callable[[], bool], wake: int) -> None:
        """Tick for as long as ``go_on``, asked after each tick, says so, then end in order.

        ``wake`` is a descriptor that a signal makes readable.
        """
        self._try_to_tick()
        while go_on():
            self._rest(wake)
            self._try_to_tick()
        self.stop()

    def stop(self) -> None:
        """Begin nothing more, let jobs end for a while or end them, and give the lease back."""
        self._stopping = True
        end = time.monotonic() + durations.parse(self._settings.farewell).total_seconds()
        while self._running:
            if time.monotonic() >= end:
                for one in self._running.values():
                    one.interrupted = one.interrupted or one.child.look() is None
                    one.child.stop(t("Everything was stopped."))
            if time.monotonic() >= end + GRACE + 1:  # the kernel does not let go of them
                break
            self._try_to_tick()
            time.sleep(0.05)
        if self._lease is not None:
            try:
                self._agenda.release(self._lease)
            except LedgerError as error:  # then it runs out
                _log.error("%s", error)
            self._lease = None

    # What is to be done

    def _consider(self, pending: Pending, lease: Lease, now: datetime) -> None:
        """Begin a task's job if one is due, was left running, or failed and has tries left."""
        task = pending.task
        if task.name in self._running or (task.group and self._is_busy(task.group)):
            return
        last = self._known(pending, lease, now)
        if last is not None and last.status == RUNNING and task.name not in self._orphans:
            # It was noted, but the answer was lost, and no process was started.
            self._agenda.finish(last, FAILED, t("The ledger broke off as it was begun."), at=now)
            del self._last[task.name]
            last = self._of(task.name, now)
        due = pending.due(now, last, lambda name: self._of(name, now))
        left = self._orphans.get(task.name)
        if due is None and left is not None:
            due = Due(datetime.fromisoformat(left.due_at))
        if due is None and last is not None and pending.again(now, last):
            due = Due(datetime.fromisoformat(last.due_at))
        if due is None or (task.needs and not LOOKS[task.needs](self._workspace, self._project)):
            return
        group = self._acquire(task.group, now) if task.group else None
        if task.group and group is None:
            return
        what = Begun(task.name, time_text(due.at), task.tries, due.facts)
        self._begin(task, what, lease, group, now)

    def _begin(self, task: Task, what: Begun, lease: Lease, group: Lease | None, now: datetime) -> None:
        left = self._orphans.pop(task.name, None)
        if left is not None and left.due_at != what.due_at:
            self._abandon(left, now)
        job = self._agenda.begin(lease, what, at=now)
        self._last.pop(task.name, None)
        if job is None:
            self._give_back(group)
            return
        self._last[task.name] = job
        try:
            child = Child(task)
        except OSError as error:  # no process or memory to be had
            self._last[task.name] = self._agenda.finish(job, FAILED, str(error), at=now)
            self._give_back(group)
            return
        self._running[task.name] = _Running(task, job, child, group)
        _log.info("%s", t("{name} begins (process {pid}).", name=task.name, pid=child.pid))
        self._begun += 1
        if self._begun % _FORGET == 0:
            for pending in self._pending:
                self._agenda.forget(self._project, pending.task.name)

    def _known(self, pending: Pending, lease: Lease, now: datetime) -> Job | None:
        """A task's last job. One that was never there before is as if all until now had been done."""
        name = pending.task.name
        last = self._of(name, now)
        if last is None and (time_ := pending.baseline(now)) is not None:
            text = t("It was due before it was scheduled for the first time.")
            last = self._last[name] = self._agenda.skip(lease, name, time_text(time_), text, at=now)
        return last

    def _of(self, name: str, now: datetime) -> Job | None:
        if name not in self._last:
            self._last[name] = self._agenda.last(self._project, name, until=now)
        return self._last[name]

    def _is_busy(self, group: str) -> bool:
        return any(one.task.group == group for one in self._running.values())

    # What runs

    def _reap(self, now: datetime) -> None:
        """Note how jobs ended; while the ledger is away they are kept for the next tick."""
        for name, one in list(self._running.items()):
            ended = one.child.look()
            if ended is None:
                continue
            fine = ended.code in one.task.fine and not ended.why
            if fine or not one.interrupted:  # else it stays running, for whoever has the lease next
                error = "" if fine else _error(ended)
                status = DONE if fine else FAILED
                self._agenda.finish(one.job, status, error, _facts(ended), at=now)
                self._last.pop(name, None)  # to be read anew: perhaps it was noted before, without an answer
                _tell(one.task, ended, error)
            del self._running[name]
            self._give_back(one.group)

    def _close_orphans(self, now: datetime) -> None:
        names = {pending.task.name for pending in self._pending}
        for name in [name for name in self._orphans if name not in names]:
            self._abandon(self._orphans.pop(name), now)

    def _abandon(self, job: Job, now: datetime) -> None:
        """Close a job that an earlier scheduler left running and that is not begun again."""
        self._agenda.finish(
            job, FAILED, t("Its scheduler ended, and something later took its place."), at=now
        )

    # Leases

    def _lead(self, now: datetime) -> None:
        """Hold the leases that there are, or try to get that of the project."""
        if time.monotonic() < (self._renew_at if self._lease else self._patience):
            return
        if self._lease is None:
            if not self._stopping:
                self._take_over(now)
            return
        began = time.monotonic()
        self._lease = self._agenda.renew(self._lease, self._settings.lease, at=now)
        if self._lease is None:
            self._lose()
            return
        self._hold(began)
        for one in self._running.values():
            if one.group is not None:
                one.group = self._agenda.renew(one.group, self._settings.lease, at=now)
                if one.group is None:
                    one.child.kill(t("Another scheduler took its place."))

    def _take_over(self, now: datetime) -> None:
        began = time.monotonic()
        lease = self._acquire(SCHEDULE, now)
        if lease is None:
            return
        left: dict[str, Job] = {}
        for job in self._agenda.orphans(lease):  # the oldest first
            if job.name in left:
                self._abandon(left[job.name], now)
            left[job.name] = job
        self._lease, self._orphans, self._last = lease, left, {}
        self._hold(began)
        _log.info("%s", t("{holder} schedules {project}.", holder=self._holder, project=self._project))

    def _acquire(self, name: str, now: datetime) -> Lease | None:
        return self._agenda.acquire(self._project, name, self._holder, self._settings.lease, at=now)

    def _give_back(self, group: Lease | None) -> None:
        if group is not None:
            self._agenda.release(group)

    def _hold(self, began: float) -> None:
        self._renew_at = began + self._settings.lease / 3
        self._lost_at = began + self._settings.lease

    def _lose(self) -> None:
        """End what is done in the name of a lease that may be another's by now; what ended before is noted still."""
        _log.error("%s", t("The lease is lost: what runs is ended, and begun again by whoever has it."))
        over = {name: one for name, one in self._running.items() if one.child.look() is not None}
        for name in self._running.keys() - over.keys():
            self._running[name].child.kill(t("Another scheduler took its place."))
            self._running[name].child.wait(GRACE)
        self._running, self._last, self._orphans, self._lease = over, {}, {}, None

    def _notice_jump(self, now: datetime) -> None:
        """After the clock was set, ask the ledger anew, and take nothing over before its holder could renew it."""
        mark = time.monotonic()
        if self._before is not None:
            then, began = self._before
            if abs(clock.real((now - then).total_seconds()) - (mark - began)) > _JUMP:
                self._last, self._renew_at = {}, 0.0
                self._patience = mark + self._settings.lease
        self._before = now, mark

    # Waiting

    def _try_to_tick(self) -> None:
        try:
            self.tick()
        except LedgerError as error:
            _log.error("%s", error)

    def _rest(self, wake: int) -> None:
        """Wait for the next tick, taking what jobs write; shorter when one ends or a signal comes."""
        end = time.monotonic() + self.pause
        while (left := end - time.monotonic()) > 0:
            outs = {one.child.out: one.child for one in self._running.values() if not one.child.ended}
            readable, _, _ = select.select([wake, *outs], [], [], min(left, _WATCH) if outs else left)
            if wake in readable:
                os.read(wake, 512)
                return
            ended = [out for out in readable if not outs[out].read()]
            if ended:
                return
            for child in outs.values():
                child.limit()


def _facts(ended: Ended) -> dict[str, object]:
    return {
        "exit": ended.code,
        "seconds": round(ended.seconds, 3),
        "cpu_seconds": round(ended.cpu_seconds, 3),
        "peak_rss_bytes": ended.peak_rss_bytes,
        "tail": ended.tail,
    }


def _error(ended: Ended) -> str:
    """Why a job failed: our reason or its exit code, and the last line it wrote."""
    lines = [line.strip() for line in ended.tail.splitlines() if line.strip()]
    code = t("It ended with exit code {code}.", code=ended.code)
    return " ".join([ended.why or code, *lines[-1:]])


def _tell(task: Task, ended: Ended, error: str) -> None:
    if error:
        _log.error("%s", t("{name} failed: {error}", name=task.name, error=error))
    else:
        _log.info("%s", t("{name} is done ({seconds:.1f} s).", name=task.name, seconds=ended.seconds))
