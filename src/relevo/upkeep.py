"""Settings of ``relevo up``: ``[up]`` in ``relevo.toml``, or variables such as ``RELEVO_UP__TIMEOUT``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relevo import durations

_BYTES = re.compile(r"(?i)\s*(\d+(?:\.\d+)?)\s*([kmgt])(i?)b\s*")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def bytes_of(text: str) -> int:
    """Read a size such as ``2GB`` (powers of 1000) or ``2GiB`` (of 1024), which matched ``SIZE``."""
    found = _BYTES.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()])


def _duration(text: str) -> str:
    durations.parse(text)
    return text


SIZE = r"(?i)^\s*\d+(\.\d+)?\s*[kmgt]i?b\s*$"
Duration = Annotated[str, AfterValidator(_duration)]


class UpSettings(BaseModel):
    """What the scheduler may be told. What a project does when follows from its ``Monitor`` and ``Retrain``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    poll: float = Field(default=5, gt=0, le=3600, description="Seconds between two looks at files and clock")
    lease: float = Field(
        default=60,
        ge=1,
        le=600,
        description="Seconds after which another scheduler takes over from a dead one",
    )
    timeout: Duration = Field(default="6h", description="The longest that a job may take, such as 6h")
    tries: int = Field(default=3, ge=1, le=20, description="How often a job that fails is tried in all")
    memory_limit: Annotated[str, Field(pattern=SIZE)] | None = Field(
        default=None, description="The most memory of a job's processes, such as 4GB; Linux only"
    )
    farewell: Duration = Field(
        default="30s", description="How long jobs under way may go on when everything is stopped"
    )
    report: str = Field(default="0 6 * * 1", description="When the report is made, as cron; empty for never")
    cases: str = Field(default="0 * * * *", description="When the critical cases are run; empty for never")
