"""A released version, ready to answer: all that does not change between two answers is made once."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from pydantic_core import ValidationError

from relevo import defects
from relevo.lookups import SHORT
from relevo.online import FeatureError
from relevo.records import now
from relevo.serving.problems import Refusal
from relevo.watching import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.keyed import KeyedFile
    from relevo.package import ModelPackage
    from relevo.records import Materialisation, ModelVersion, Release
    from relevo.serving.metrics import Metrics

Row = tuple[Any, ...]


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

    def features(
        self, received: object, metrics: Metrics, number: int | None = None, *, timed: bool = True
    ) -> Row:
        """Validate one row as received and compute its features; raises ``Refusal``.

        ``number`` is the row's place in a list. Without ``timed`` no ``answer`` follows at once whose time counts.
        """
        if timed and number is None and not self._began:
            self._began = perf_counter()
        try:
            row: Mapping[str, Any] = self._validate(received)
            features = self._compute(row, self._lookups)
        except ValidationError as error:
            self.counts.refused += 1
            self._began = 0.0
            found = defects.of(error, number)
            raise Refusal("contract", defects=found, more=error.error_count() > len(found)) from None
        except FeatureError as error:
            self.counts.failed += 1
            self._began = 0.0
            name = error.feature or "features"
            raise Refusal("contract", defects=[defects.Defect(number, name, "feature", {})]) from None
        except Exception:
            self.counts.failed += 1
            self._began = 0.0
            raise
        if len(row) > self._fields:
            metrics.unknown_fields += len(row) - self._fields
        return features

    def compute(self, row: Mapping[str, Any]) -> Row:
        """Compute a validated row's features; raises ``FeatureError``."""
        return self._compute(row, self._lookups)

    def answer(
        self, ids: Sequence[bytes], at: bytes, rows: Sequence[Row], requests: Sequence[bytes]
    ) -> tuple[list[bytes], bytes]:
        """Answer n ≥ 1 rows at the time ``at`` with one call of the model: the answers' JSON and the journal's lines.

        A row for which the model has no probability (an infinite feature) has an empty answer and no line.
        """
        began, self._began = self._began, 0.0
        try:
            found = self.package.answers(rows)
        except Exception:
            self.counts.failed += len(rows)
            raise
        self.counts.found += found
        if began:  # of lists the time would tell how long they are
            self.counts.seconds.append(perf_counter() - began)
        return self.tell(ids, at, found, requests, self.ends)

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
