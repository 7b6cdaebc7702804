"""An MLflow server, asked through its own client: with an end to every wait, and without a secret in any message."""

from __future__ import annotations

import os
import re
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import mirroring
from relevo.errors import TrackingError
from relevo.extras import need
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXTRA = "mlflow"
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME")
_USER = re.compile(r"//[^/\s]*@")
"""As far as the last @: one in a password need not be written %40."""
_STATUS = re.compile(r"(?:error code|too many) (\d{3})\b")
"""What tells the status of an answer that is no JSON of MLflow's: a proxy's, or one that urllib3 asked for again."""
_CAUSE = re.compile(r"\[Errno -?\d+\] [\w ]+|Read timed out|Remote end closed connection without response")
_OBJECT = re.compile(r" object at 0x[0-9a-f]+")
_SHORTEST = 4  # characters of a secret that is looked for: a shorter one would blot out half of every text
_PATIENCE = 3.0
"""How many times the time-out a call may take in all: a server that sends a byte now and then ends as well."""
_SLOWEST = 100_000.0  # bytes a second of an upload that is waited for
_BAD, _FORBIDDEN = {400, 413, 422}, {401, 403}
_ABSENT, _THERE = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"


class AbsentError(TrackingError):
    """MLflow has no such thing."""


class ThereError(TrackingError):
    """MLflow has such a thing already."""


class ForeignModelError(TrackingError):
    """The registered model of this name is somebody else's."""


class _LateError(BaseException):
    """The whole call took too long. No ``Exception``, since MLflow's client catches those and tells another story."""


def masked(text: str) -> str:
    """A text without the name and password of an address, and without what MLflow's variables hold."""
    found = _USER.sub("//***@", text)
    for name in _SECRETS:
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST:
            found = found.replace(value, "***")
    return found


@dataclass(frozen=True)
class Address:
    """Where a server is, and how long it may take for an answer (seconds)."""

    uri: str = field(repr=False)
    timeout: float

    @property
    def shown(self) -> str:
        """As people may see it."""
        return masked(self.uri)

    @property
    def digest(self) -> str:
        """What the ledger knows it by: the same for whoever signs in, and wherever a slash ends it."""
        return digests.of_bytes(_USER.sub("//", self.uri).rstrip("/").encode())[:16]


class Mlflow:
    """A server's client. One that does not answer is told by ``TrackingError``, after the time-out or so."""

    def __init__(self, address: Address) -> None:
        self.address = address
        _prepare(address.timeout)
        self._module = need("mlflow", EXTRA)
        self.version: str = self._module.__version__
        self.entities: Any = need("mlflow.entities", EXTRA)
        self._exception: type[Exception] = need("mlflow.exceptions", EXTRA).MlflowException
        with self._told(address.timeout):
            self.api: Any = self._module.MlflowClient(address.uri)

    def call(self, name: str, /, *words: Any, size: int = 0, **options: Any) -> Any:
        """Call a method of MLflow's client; raises ``AbsentError``, ``ThereError`` or ``TrackingError``.

        ``size`` is how many bytes it uploads.
        """
        method: Callable[..., Any] = getattr(self.api, name)
        with self._told(self.address.timeout * _PATIENCE + size / _SLOWEST):
            return method(*words, **options)

    def pages(self, name: str, /, *words: Any, **options: Any) -> Iterator[Any]:
        """What a search finds, page after page."""
        token = None
        while True:
            found = self.call(name, *words, page_token=token, **options)
            yield from found
            token = getattr(found, "token", None)
            if not token:
                return

    @contextmanager
    def _told(self, seconds: float) -> Iterator[None]:
        """Turn what goes wrong into our own errors, at the latest after so many seconds."""
        try:
            with _deadline(seconds):
                yield
        except _LateError as error:
            raise self._silent(seconds) from error
        except self._exception as error:
            raise self._error(error) from None  # its chain repeats the address
        except OSError as error:  # requests' errors are of this kind
            raise self._away(str(error)) from None

    def _error(self, error: Any) -> TrackingError:
        code, status = str(error.error_code), int(error.get_http_status_code())
        text = masked(str(error))[:500]
        said = _STATUS.search(text)
        status = int(said[1]) if said else status
        if code == _ABSENT:
            return AbsentError(text)
        if code == _THERE:
            return ThereError(text)
        if said is None and ("Max retries exceeded" in text or "timed out" in text):
            return self._away(text)
        if status in _FORBIDDEN:
            return TrackingError(self._forbidden(text, status))
        return TrackingError(
            t(
                "MLflow at {place} answers with {status}: {text}",
                place=self._place,
                status=status,
                text=_brief(text),
            ),
            refused=status in _BAD
            and type(error).__name__ == "RestException",  # MLflow's own answer, no proxy's
        )

    def _forbidden(self, text: str, status: int) -> str:
        said = t(
            "MLflow at {place} refuses us ({status}): {text}", place=self._place, status=status, text=text
        )
        if "host" in text.lower() and "header" in text.lower():
            remedy = t("Start it with --allowed-hosts, and this name among them.")
        else:
            remedy = t(
                "Look at MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            )
        return f"{said} {remedy}"

    def _away(self, text: str) -> TrackingError:
        return TrackingError(
            t("MLflow at {place} does not answer: {text}", place=self._place, text=_cause(text))
        )

    def _silent(self, seconds: float) -> TrackingError:
        return TrackingError(
            t("MLflow at {place} did not answer within {seconds:g} s.", place=self._place, seconds=seconds)
        )

    @property
    def _place(self) -> str:
        return self.address.shown


def _brief(text: str) -> str:
    return _OBJECT.sub("", text)[:300]


def _cause(text: str) -> str:
    """What is at the bottom of a chain of errors; the same for the same trouble, so that it is noted once."""
    found = _CAUSE.search(text)
    return found[0] if found else _brief(masked(text))


def _prepare(timeout: float) -> None:
    """Set what MLflow reads from the environment of this process before it is imported.

    It asks nothing twice by itself: an answer that came too late would make a second run of one. It prints no
    addresses and reports to nobody.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, round(timeout))))
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise ``_LateError`` when the block takes longer; in a thread beside the main one it may take what it takes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def address(timeout: float) -> Address | None:
    """The server that MLflow's own variable names; None when it names none."""
    uri = mirroring.address()
    return Address(uri, timeout) if uri else None
