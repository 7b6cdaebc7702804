"""What can go wrong, as one small tree.

RelevoError
├── ProjectError      the definition has mistakes: all of them, each with file, field and remedy
├── DataError         a source, a file or its rows cannot be used
├── TrainingError     nothing can be learned from these rows
├── PackageError      a package is truncated, altered, foreign, or does not answer as it should
│   └── ParityError   training, batch and online paths disagree
├── RequestError      a request to predict breaks the contract
├── LedgerError       a record is missing, or the chain of releases does not verify
│   └── UnknownRunError  there is no such run
├── WorkspaceError    the workspace is locked, read-only, full, or absent
├── ServiceError      a service refused a request, or did not answer it
├── DeliveryError     a channel did not take a message
├── TrackingError     MLflow is away, or did not take what it was told
├── LoadTestError     a load test cannot be made as it was asked for
└── ExtraMissingError      an optional part is not installed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class RelevoError(Exception):
    """Says what was found, why it is wrong and what to do; shown to the user without a traceback."""


@dataclass(frozen=True)
class Mistake:
    """One mistake in a project: where it is, what is wrong, and the remedy."""

    file: str
    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One line: file, field, problem, remedy."""
        return f"{self.file}: {self.field}: {self.problem} {self.remedy}".rstrip()


class ProjectError(RelevoError):
    """The project's definition has mistakes."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class DataError(RelevoError):
    """A source, a file or its rows cannot be used."""


class TrainingError(RelevoError):
    """Nothing can be learned from these rows."""


class PackageError(RelevoError):
    """A package is truncated, altered, foreign, or does not answer as it should."""


class ParityError(PackageError):
    """Training, batch and online paths disagree."""


class RequestError(RelevoError):
    """A request to predict breaks the contract; ``problems`` has one entry per field."""

    def __init__(self, problems: Sequence[dict[str, object]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p['field']}: {p['problem']}" for p in self.problems))


class LedgerError(RelevoError):
    """A record is missing, or the chain of releases does not verify."""


class UnknownRunError(LedgerError):
    """The ledger has no such run."""


class WorkspaceError(RelevoError):
    """The workspace is locked, read-only, full, or absent."""


class ServiceError(RelevoError):
    """A service refused a request, with its problem details (RFC 9457) as far as it gave them, or did not answer.

    ``status`` is None when no answer came; ``correlation_id`` is what the service's own log knows the request by.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str = "about:blank",  # noqa: A002 - the member's name
        title: str = "",
        detail: str = "",
        problems: Sequence[dict[str, object]] = (),
        correlation_id: str = "",
    ) -> None:
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.problems = tuple(problems)
        self.correlation_id = correlation_id
        super().__init__(message)


class DeliveryError(RelevoError):
    """A channel did not take a message. The text holds no secret.

    ``refused`` says that this message will not be taken at another try; ``wait`` is the least seconds before one.
    """

    def __init__(self, message: str, *, refused: bool = False, wait: float = 0.0) -> None:
        self.refused = refused
        self.wait = wait
        super().__init__(message)


class TrackingError(RelevoError):
    """MLflow is away, or did not take what it was told. The text holds no secret.

    ``refused`` says that the same will not be taken at another try.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        self.refused = refused
        super().__init__(message)


class LoadTestError(RelevoError):
    """A load test cannot be made as it was asked for, or nothing answers."""


class ExtraMissingError(RelevoError):
    """An optional part is not installed; the message holds the line to type."""
