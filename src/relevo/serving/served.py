"""A released version, ready to answer: all that does not change between two answers is made once."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic_core import ValidationError

from relevo import defects
from relevo.bins import RECOMMENDATIONS, Bins
from relevo.lookups import SHORT
from relevo.online import FeatureError
from relevo.records import now
from relevo.serving.counting import Live
from relevo.serving.problems import Refusal
from relevo.watching import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relevo.encoding import Levels
    from relevo.keyed import KeyedFile
    from relevo.package import ModelPackage
    from relevo.records import Materialisation, ModelVersion, Release
    from relevo.serving.metrics import Metrics

Row = tuple[Any, ...]


class Told(NamedTuple):
    """Rows as they were answered, NaN where they were not, and the journal's ``lines`` about them."""

    live: Live
    at: bytes
    rows: Sequence[Row]
    found: Sequence[float]
    lines: bytes


class Served:
    """A package under the version and the release that brought it, with the histories that it looks up.

    ``made`` says what the ``histories`` are, both by name; neither changes as long as this answers.
    """

    def __init__(
        self,
        package: ModelPackage,
        version: ModelVersion,
        release: Release,
        histories: Mapping[str, KeyedFile],
        made: Mapping[str, Materialisation],
    ) -> None:
        self.package = package
        self.version = version
        self.release = release
        self.histories = histories
        self.made = made
        self.loaded_at = now()
        self.decided = [0, 0]
        """Answers so far, negative and positive."""
        self.counts = Counts()
        """What the guard compares."""
        self.aside = Counts()
        """The same of what is asked aside from predict, of which a canary is asked nothing."""
        bins = Bins.of(package)
        self.live = Live(version, bins)
        """What is counted of it for good."""
        self.chosen = Live(version, bins, RECOMMENDATIONS)
        """The same of what it chose itself among many: no fair sample of what it is asked."""
        self._began = 0.0  # when the first of the single requests came that wait for their answer
        self._validate = package.validators.one.validate_python
        self._fields = len(package.request.fields)
        self._compute = package.online
        self._lookups: dict[str, Any] = {**package.static, **histories}
        dumps = orjson.dumps
        looked_up = {name: one.sha256[:SHORT] for name, one in sorted(made.items())}
        self._logged_middle = b'"project":%b,"version":%b,"digest":%b,%b"probability":' % (
            dumps(version.project),
            dumps(version.version),
            dumps(version.digest),
            b'"histories":%b,' % dumps(looked_up) if looked_up else b"",
        )
        decided = [
            b',"decision":%b,"label":%b' % (dumps(bool(positive)), dumps(label))
            for positive, label in enumerate(package.labels)
        ]
        self._logged_end = [b'%b,"request":' % part for part in decided]
        self.brief = [b"%b}" % part for part in decided]
        """How an answer ends that stands in a list of one version's."""
        self.ends = [
            b'%b,"threshold":%b,"version":%b}' % (part, dumps(package.threshold), dumps(version.version))
            for part in decided
        ]
        """How an answer ends that stands alone, negative and positive."""

    def under(self, release: Release) -> Served:
        """Give the same under another release of its version, as that which the guard watches."""
        found = copy(self)
        found.release = release
        return found

    def features(
        self,
        received: object,
        metrics: Metrics,
        number: int | None = None,
        *,
        aside: bool = False,
        counted: bool = True,
    ) -> Row:
        """Validate one row as received and compute its features; raises ``Refusal``.

        ``number`` is the row's place in a list. No ``answer`` follows at once on what is asked ``aside`` from
        predict, whose time would count; what those ask who watch the service is not ``counted`` at all.
        """
        if not aside and number is None and not self._began:
            self._began = perf_counter()
        try:
            row: Mapping[str, Any] = self._validate(received)
            features = self._compute(row, self._lookups)
        except ValidationError as error:
            (self.aside if aside else self.counts).refused += counted
            self.live.refused += counted
            self._began = 0.0
            found = defects.of(error, number)
            raise Refusal("contract", defects=found, more=error.error_count() > len(found)) from None
        except FeatureError as error:
            (self.aside if aside else self.counts).failed += counted
            self.live.failed += counted
            self._began = 0.0
            name = error.feature or "features"
            raise Refusal("contract", defects=[defects.Defect(number, name, "feature", {})]) from None
        except Exception:
            (self.aside if aside else self.counts).failed += counted
            self.live.failed += counted
            self._began = 0.0
            raise
        if counted and len(row) > self._fields:
            metrics.unknown_fields += len(row) - self._fields
        return features

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Count no unknown keys and texts of what is looked up and encoded within, in one turn of the event loop."""
        counting: list[KeyedFile | Levels] = [*self.histories.values(), *self.package.levels.values()]
        before = [one.misses for one in counting]
        for one in counting:
            one.misses = [0]
        try:
            yield
        finally:
            for one, misses in zip(counting, before, strict=True):
                one.misses = misses

    def score(self, rows: Sequence[Row]) -> list[float]:
        """Probabilities of n ≥ 1 rows that are asked aside from predict, NaN where there is none."""
        try:
            found = self.package.answers(rows)
        except Exception:
            self.aside.failed += len(rows)
            self.live.failed += len(rows)
            raise
        self.aside.found += found
        return found

    def compute(self, row: Mapping[str, Any]) -> Row:
        """Compute a validated row's features; raises ``FeatureError``."""
        return self._compute(row, self._lookups)

    def answer(
        self, ids: Sequence[bytes], at: bytes, rows: Sequence[Row], requests: Sequence[bytes]
    ) -> tuple[list[bytes], Told]:
        """Answer n ≥ 1 rows at the time ``at`` with one call of the model: the answers' JSON and what is to be logged.

        A row for which the model has no probability (an infinite feature) has an empty answer and no line.
        """
        began, self._began = self._began, 0.0
        try:
            found = self.package.answers(rows)
        except Exception:
            self.counts.failed += len(rows)
            self.live.failed += len(rows)
            raise
        self.counts.found += found
        if began:  # of lists the time would tell how long they are
            self.counts.seconds.append(perf_counter() - began)
        answers, lines = self.tell(ids, at, found, requests, self.ends)
        return answers, Told(self.live, at, rows, found, lines)

    def tell(
        self,
        ids: Sequence[bytes],
        at: bytes,
        found: Sequence[float],
        requests: Sequence[bytes],
        ends: Sequence[bytes],
    ) -> tuple[list[bytes], bytes]:
        """Write the answers' JSON and the journal's lines for probabilities; ``ends`` are (negative, positive)."""
        threshold, dumps = self.package.threshold, orjson.dumps
        middle = b'"at":"%b",%b' % (at, self._logged_middle)
        answers: list[bytes] = []
        lines: list[bytes] = []
        positives = 0
        for identity, probability, request in zip(ids, found, requests, strict=True):
            if probability != probability:  # noqa: PLR0124 - NaN
                answers.append(b"")
                continue
            decision = probability >= threshold
            positives += decision
            shown = dumps(probability)
            answers.append(b'{"id":"%b","probability":%b%b' % (identity, shown, ends[decision]))
            lines.append(
                b'{"id":"%b",%b%b%b%b}\n' % (identity, middle, shown, self._logged_end[decision], request)
            )
        self.decided[0] += len(lines) - positives
        self.decided[1] += positives
        return answers, b"".join(lines)
