"""From what was measured to requests and limits, and whether they fit a node."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.errors import WorkspaceError
from relevo.export.emit import Noted
from relevo.export.kubernetes.measured import COLLECT
from relevo.texts import t
from relevo.upkeep import bytes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.export.kubernetes.measured import Measured, Served, Use

HEADROOM = 1.5
"""A limit is this much above what was measured at most."""
TARGET = round(100 / HEADROOM)
"""Per cent of its request at which an instance of the API gets another beside it."""
_SHARE = 4
"""Of the processors that a job used this part is requested: a job may take longer, an answer may not."""
_MIB = 1 << 20
_STEP, _ROOM = 16, 64  # MiB: what sizes are multiples of, and the least between a request and its limit
_LEAST_CPU, _CPU_STEP = 50, 10  # millicores
_RESERVED = (500, 1280)
"""Millicores and MiB of a node that its system, the kubelet and kube-system take."""
_NODE = re.compile(r"\s*(\d{1,4}(?:\.\d+)?)\s*:\s*(\d{1,6}(?:\.\d+)?\s*[kmgtKMGT]i?[bB])\s*")


@dataclass(frozen=True, kw_only=True)
class Size:
    """Requests and limits of one container: millicores and MiB."""

    cpu: int
    memory: int
    cpu_limit: int
    memory_limit: int
    cpu_why: str
    memory_why: str

    def resources(self) -> dict[str, Any]:
        """As a container has them."""
        return {
            "requests": {
                "cpu": Noted(f"{self.cpu}m", self.cpu_why),
                "memory": Noted(f"{self.memory}Mi", self.memory_why),
            },
            "limits": {
                "cpu": f"{self.cpu_limit}m",
                "memory": Noted(
                    f"{self.memory_limit}Mi",
                    t("{headroom} times the request: head-room for larger data.", headroom=HEADROOM),
                ),
            },
        }


class Node(NamedTuple):
    """A node's processors in millicores and its memory in MiB, as it is sold."""

    cpu: int
    memory: int

    @property
    def room(self) -> Node:
        """What is left for pods."""
        return Node(self.cpu - _RESERVED[0], self.memory - _RESERVED[1])


def node(text: str) -> Node:
    """Read ``2:4GB``; raises ``WorkspaceError`` when it is none."""
    found = _NODE.fullmatch(text)
    if found is None:
        raise WorkspaceError(
            t("--node {found}: write processors and memory, such as 2:4GB.", found=repr(text[:40]))
        )
    return Node(round(float(found[1]) * 1000), bytes_of(found[2]) // _MIB)


def api(service: Served, collect: Use | None) -> Size:
    """An instance of the API: the service under the load that was measured, and room for a collection beside it."""
    memory = _up(service.memory / _MIB, _STEP) + (_up(collect.memory / _MIB, _STEP) if collect else 0)
    cpu = max(_LEAST_CPU, _up(service.cpu * 1000, _CPU_STEP))
    rate = t("within the limits") if service.bound else t("as many as were asked")
    return Size(
        cpu=cpu,
        cpu_limit=max(_up(HEADROOM * cpu, 100), 1000 * service.workers),
        cpu_why=t(
            "{cpu:.3f} processors, {rate}: {source}.", cpu=service.cpu, rate=rate, source=service.source
        ),
        memory=memory,
        memory_limit=_above(memory),
        memory_why=_kept(service, collect),
    )


def _kept(service: Served, collect: Use | None) -> str:
    """What an instance of the API has in memory."""
    if collect is None:
        return t(
            "{service:.0f} MiB of the service: {source}.",
            service=service.memory / _MIB,
            source=service.source,
        )
    return t(
        "{service:.0f} MiB of the service: {source}; and {collect:.0f} MiB to bring what it logged into the lake: "
        "{other}.",
        service=service.memory / _MIB,
        source=service.source,
        collect=collect.memory / _MIB,
        other=collect.source,
    )


def job(use: Use) -> Size:
    """A job: the memory that it took at most, a part of the processors, since it may take longer."""
    memory = _up(use.memory / _MIB, _STEP)
    return Size(
        cpu=max(_LEAST_CPU, _up(use.cpu * 1000 / _SHARE, _CPU_STEP)),
        cpu_limit=max(1000, _up(HEADROOM * use.cpu * 1000, 500)),
        cpu_why=t(
            "A quarter of the {cpu:.2f} processors that it used at most ({source}): a job may take longer, an answer "
            "may not.",
            cpu=use.cpu,
            source=use.busiest,
        ),
        memory=memory,
        memory_limit=_above(memory),
        memory_why=t("{memory:.0f} MiB at most: {source}.", memory=use.memory / _MIB, source=use.source),
    )


def _up(value: float, step: int) -> int:
    return math.ceil(value / step) * step


def _above(memory: int) -> int:
    return max(_up(HEADROOM * memory, _STEP), memory + _ROOM)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The size of each part; ``instances`` of the API run at least, and at most."""

    api: Size
    prepare: Size
    jobs: Mapping[str, Size]
    instances: tuple[int, int]

    @classmethod
    def of(
        cls, found: Measured, names: Sequence[str], instances: tuple[int, int], *, collecting: bool
    ) -> Sizes:
        """The sizes of the jobs that are exported; ``collecting`` says whether the API brings its log into the lake."""
        uses = {**found.jobs, COLLECT: found.collect}
        jobs = {name: job(uses[name]) for name in names}
        return cls(
            api=api(found.service, found.collect if collecting else None),
            prepare=job(found.jobs["prepare"]),
            jobs=jobs,
            instances=instances,
        )

    def at_rest(self) -> Node:
        """The sum of requests when no job runs."""
        one = self._instance()
        return Node(self.instances[0] * one.cpu, self.instances[0] * one.memory)

    def busy(self) -> Node:
        """While the API is updated (one instance more) and the largest job runs."""
        one, largest = self._instance(), self._largest()
        count = self.instances[0] + 1
        return Node(count * one.cpu + largest.cpu, count * one.memory + largest.memory)

    def at_most(self) -> Node:
        """With as many instances as there may be, one more for an update, and every job at once."""
        one, count = self._instance(), self.instances[1] + 1
        return Node(
            count * one.cpu + sum(size.cpu for size in self.jobs.values()),
            count * one.memory + sum(size.memory for size in self.jobs.values()),
        )

    def _instance(self) -> Node:
        """What the scheduler counts for an instance: its containers, or what prepares it where that is more."""
        return Node(max(self.api.cpu, self.prepare.cpu), max(self.api.memory, self.prepare.memory))

    def _largest(self) -> Node:
        sizes = self.jobs.values()
        return Node(
            max((size.cpu for size in sizes), default=0), max((size.memory for size in sizes), default=0)
        )


def see_that_it_fits(sizes: Sizes, node: Node) -> str:
    """Raise ``WorkspaceError`` when a single node is too small; a remark when jobs may have to wait for each other."""
    room, busy, most = node.room, sizes.busy(), sizes.at_most()
    if busy.cpu > room.cpu or busy.memory > room.memory:
        raise WorkspaceError(
            t(
                "The light profile does not fit a node of {cpu:g} processors and {memory} MiB: its system takes "
                "{reserved_cpu}m and {reserved} MiB, which leaves {room_cpu}m and {room} MiB; while the API is updated "
                "and the largest job runs, {busy_cpu}m and {busy} MiB are requested. Take a larger node and say so "
                "with --node 4:8GB, let a run need less (fewer trials or rows, memory_limit), or spread it over nodes "
                "with --profile full.",
                cpu=node.cpu / 1000,
                memory=node.memory,
                reserved_cpu=_RESERVED[0],
                reserved=_RESERVED[1],
                room_cpu=room.cpu,
                room=room.memory,
                busy_cpu=busy.cpu,
                busy=busy.memory,
            )
        )
    if most.cpu > room.cpu or most.memory > room.memory:
        return t(
            "Not all jobs fit the node at once ({most_cpu}m and {most} MiB of {room_cpu}m and {room} MiB): one that is "
            "due meanwhile waits as Pending until another has ended.",
            most_cpu=most.cpu,
            most=most.memory,
            room_cpu=room.cpu,
            room=room.memory,
        )
    return ""
