"""The model package: loaded in three phases, parse, audit, construct; then it answers."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic_core import SchemaError

from relevo import digest as digests
from relevo import validation
from relevo.encoding import levels_of, row_encoder
from relevo.errors import PackageError, RequestError
from relevo.online import FeatureError, OnlineFeatures, compile_tree
from relevo.package import manifest as manifests
from relevo.package import values
from relevo.package.calibration import calibrated, calibrated_list, linear
from relevo.package.onnx_audit import audit as audit_onnx
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from relevo.contract import Contract
    from relevo.encoding import Row, RowEncoder
    from relevo.package.manifest import Manifest
    from relevo.validation import Validators

MANIFEST = "manifest.json"
MODEL = "model.onnx"
REFERENCE = "reference.json"
GOLDEN = "golden.jsonl"
BACKGROUND = "background.jsonl"
MAX_MANIFEST = 64 << 20
MAX_FILE = 1 << 30
MAX_BACKGROUND = 1000
_MARGIN = ["margin"]
TOLERANCE = 1e-6
"""How far a probability may be from its golden answer: ONNX Runtime's kernels differ by processor in float32."""
Lookups = dict[str, Mapping[Any, tuple[Any, ...]]]
"""Rows by name and key; for one history, anything with ``get``."""


@dataclass(frozen=True)
class Answer:
    """One prediction: the calibrated probability of the positive class, and the decision with its label."""

    probability: float
    decision: bool
    label: str


class ModelPackage:
    """A loaded package. The gate, batch scoring, the service and the command line all answer through it.

    Loading runs nothing that the package brings: texts become validators, expressions of an allow-list
    and a graph of allowed operators. It is safe to use from several threads.
    """

    def __init__(self, manifest: Manifest, model: bytes, lookups: Lookups, *, digest: str = "") -> None:
        self.manifest = manifest
        self.digest = digest
        self.static = lookups
        self.lookups: Lookups = {**lookups, **{str(h["name"]): _Unbound(h) for h in manifest.histories}}
        self.request: Contract = manifest.request
        self.threshold = manifest.threshold
        self.labels = (manifest.negative, manifest.positive)
        self.validators: Validators = _validators(manifest.request)
        self.online: OnlineFeatures = compile_tree(manifest.tree)
        self.levels = levels_of(manifest.encoders)
        self._encode: RowEncoder = row_encoder(manifest.encoders, self.levels)
        self._a, self._b = manifest.calibration["a"], manifest.calibration["b"]
        session = _session(model, len(manifest.encoders))
        self._run = getattr(session, "_sess", session).run  # without the wrapper's looks at its own settings
        _check_features(manifest, self.online)

    @classmethod
    def load(cls, folder: Path | str, *, replay: bool = True) -> ModelPackage:
        """Load a package from its folder and replay its golden rows.

        Raises ``PackageError`` when it is truncated, altered, foreign, or answers otherwise than it should.
        """
        folder = Path(folder)
        raw = _read(folder / MANIFEST, MAX_MANIFEST)
        manifest = manifests.parse(_json(raw, MANIFEST))
        files = _audit_files(folder, manifest)
        audit_onnx(files[MODEL])
        lookups: Lookups = {str(row["name"]): _lookup(row, files) for row in manifest.lookups}
        package = cls(manifest, files[MODEL], lookups, digest=digests.of_bytes(raw))
        package._files = files
        package.background = package._requests(files)
        if replay:
            package.replay()
        return package

    _files: Mapping[str, bytes] = {}
    background: Sequence[Mapping[str, Any]] = ()
    """Validated requests that explanations compare with: rows learned from; the golden ones before format 3."""

    @cached_property
    def reference(self) -> dict[str, Any]:
        """The binned profile of what was learned from; empty in a draft."""
        found: dict[str, Any] = _json(self._files[REFERENCE], REFERENCE) if REFERENCE in self._files else {}
        return found

    @property
    def golden(self) -> list[dict[str, Any]]:
        """Requests with their exact answers."""
        return [_json(line, GOLDEN) for line in self._files.get(GOLDEN, b"").splitlines()]

    @property
    def histories(self) -> tuple[Mapping[str, Any], ...]:
        """What the package looks up beside itself; ``bind`` says where."""
        return self.manifest.histories

    def bind(self, histories: Mapping[str, Any]) -> None:
        """Say where the histories are looked up: by name, anything whose ``get`` takes a key and gives a row.

        A key is the bare value, or a tuple for several key columns; a row is the tuple of the other
        columns, or None. Until then asking for one raises ``PackageError``.
        """
        self.lookups = {**self.lookups, **histories}

    def features(self, request: Mapping[str, Any], histories: Mapping[str, Any] | None = None) -> Row:
        """Compute one validated request's features, in the manifest's order; raises ``FeatureError``.

        ``histories`` stand in for the bound ones, for a request asked at another time.
        """
        return self.online(request, self.lookups if histories is None else {**self.static, **histories})

    def matrix(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Encode n feature tuples as an (n, k) matrix."""
        return self._encode(rows)

    def score(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Probabilities of n ≥ 1 feature tuples."""
        return self.score_matrix(self._encode(rows))

    def score_matrix(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (n,), of an encoded (n, k) matrix."""
        return calibrated(self._margin(matrix), self._a, self._b)

    def answers(self, rows: Sequence[Row]) -> list[float]:
        """The same as ``score``, as a list."""
        return calibrated_list(self._margin(self._encode(rows)), self._a, self._b)

    def _margin(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._run(_MARGIN, {"features": matrix}, None)[0]
        return found

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated log-odds, shape (n,): what ``score_matrix`` makes probabilities of."""
        return linear(self._margin(matrix), self._a, self._b)

    def predict(self, requests: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Answer validated requests."""
        if not requests:
            return []
        found = self.score([self.features(request) for request in requests]).tolist()
        return [Answer(p, p >= self.threshold, self.labels[p >= self.threshold]) for p in found]

    def replay(self) -> None:
        """Ask the golden requests again; raises ``PackageError`` when an answer differs."""
        for number, row in enumerate(self.golden, 1):
            try:
                request = validation.validate(self.validators, row["request"])
                features = self.features(request, self._recorded(row))
                wanted = [
                    values.from_json(v, k) for v, k in zip(row["features"], self.online.types, strict=True)
                ]
                probability = float(self.score([features])[0])
                close = abs(probability - row["probability"]) <= TOLERANCE
                same = (
                    _same(features, wanted) and close and (probability >= self.threshold) == row["decision"]
                )
            except (KeyError, TypeError, ValueError, FeatureError) as error:
                raise PackageError(
                    t("golden.jsonl: row {row} cannot be replayed ({error}).", row=number, error=error)
                ) from error
            if not same:
                raise PackageError(
                    t(
                        "golden.jsonl: row {row} is answered {got:.7f} here and {wanted:.7f} when it was packaged.",
                        row=number,
                        got=probability,
                        wanted=row["probability"],
                    )
                )

    def _requests(self, files: Mapping[str, bytes]) -> tuple[Mapping[str, Any], ...]:
        name = BACKGROUND if BACKGROUND in files else GOLDEN
        lines = files.get(name, b"").splitlines()
        if len(lines) > MAX_BACKGROUND:
            raise PackageError(t("{file} has more than {most} rows.", file=name, most=MAX_BACKGROUND))
        found = []
        for number, line in enumerate(lines, 1):
            row = _json(line, name)
            try:
                found.append(
                    validation.validate(self.validators, row if name == BACKGROUND else row["request"])
                )
            except (RequestError, KeyError, TypeError) as error:
                raise PackageError(
                    t(
                        "{file}: row {row} breaks the package's own contract ({error}).",
                        file=name,
                        row=number,
                        error=error,
                    )
                ) from error
        return tuple(found)

    def _recorded(self, row: Mapping[str, Any]) -> dict[str, dict[Any, tuple[Any, ...]]]:
        """The rows of history that a golden request saw."""
        found = {}
        for history in self.histories:
            name, width, kinds = str(history["name"]), len(history["key"]), history["types"]
            lines = row["histories"][name]
            found[name] = dict(_keyed(line, kinds, width) for line in lines)
        return found


def _validators(request: Contract) -> Validators:
    try:
        return validation.build(request)
    except (SchemaError, TypeError, ValueError) as error:
        raise manifests.malformed("request") from error


class _Unbound(Mapping[Any, tuple[Any, ...]]):
    """Stands for a history that nobody has said where to find."""

    def __init__(self, history: Mapping[str, Any]) -> None:
        self._name = str(history["name"])

    def __getitem__(self, key: Any) -> tuple[Any, ...]:
        raise PackageError(
            t(
                "The history “{name}” is not at hand. `relevo run` in the project's folder makes it.",
                name=self._name,
            )
        )

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: ARG002 - the signature is Mapping's
        """Raise ``PackageError``."""
        return self[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _same(got: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(
        math.isclose(a, b, rel_tol=1e-12) or (math.isnan(a) and math.isnan(b))
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for a, b in zip(got, wanted, strict=True)
    )


def _json(raw: bytes, name: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise PackageError(t("{file} is not JSON: it was cut off or altered.", file=name)) from error


def _read(path: Path, limit: int) -> bytes:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise PackageError(
                t("{file} is not a regular file, or larger than {limit} bytes.", file=path.name, limit=limit)
            )
        return path.read_bytes()
    except OSError as error:
        raise PackageError(
            t("This is not a package: {file} cannot be read ({error}).", file=path.name, error=error.strerror)
        ) from error


def _audit_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {
        MANIFEST
    }
    for name in sorted(present ^ set(manifest.files)):
        known = name in manifest.files
        raise PackageError(
            t("The package lacks {file}.", file=name)
            if known
            else t("The package holds a foreign file, {file}.", file=name)
        )
    found = {}
    for name, row in manifest.files.items():
        data = _read(folder / name, MAX_FILE)
        if len(data) != row["bytes"] or digests.of_bytes(data) != row["sha256"]:
            raise PackageError(
                t("{file} was cut off or altered: its digest is not the manifest's.", file=name)
            )
        found[name] = data
    return found


def _lookup(row: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[Any, tuple[Any, ...]]:
    kinds, width = row["types"], len(row["key"])
    found: dict[Any, tuple[Any, ...]] = {}
    try:
        for line in files[row["file"]].splitlines():
            key, rest = _keyed(orjson.loads(line), kinds, width)
            found[key] = rest
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(
            t("{file} is malformed ({error}).", file=str(row["file"])[:60], error=error)
        ) from error
    return found


def _keyed(line: Sequence[Any], kinds: Sequence[str], width: int) -> tuple[Any, tuple[Any, ...]]:
    """A row's key, bare when it is one value, and its other values."""
    read = [values.from_json(value, kind) for value, kind in zip(line, kinds, strict=True)]
    return read[0] if width == 1 else tuple(read[:width]), tuple(read[width:])


def _session(model: bytes, width: int) -> Any:
    # ONNX Runtime 1.31 on Linux reports to its maker from a thread of its own unless this is set before (Privacy.md)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, made at run time
        raise PackageError(t("model.onnx cannot be loaded: {error}", error=str(error)[:200])) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if (
        [i.name for i in inputs] != ["features"]
        or inputs[0].type != "tensor(float)"
        or inputs[0].shape[-1] != width
    ):
        raise PackageError(t("model.onnx does not take one matrix of {width} float32 features.", width=width))
    if [o.name for o in outputs] != ["margin"] or outputs[0].type != "tensor(float)":
        raise PackageError(t("model.onnx does not answer with one float32 margin."))
    return session


def _check_features(manifest: Manifest, online: OnlineFeatures) -> None:
    declared = [(encoder.feature, encoder.type) for encoder in manifest.encoders]
    if declared != list(zip(online.names, online.types, strict=True)):
        raise PackageError(t("manifest.json: the encoders are not those of the features."))
    described = (*manifest.lookups, *manifest.histories)
    held = {str(row["name"]): list(row["columns"][len(row["key"]) :]) for row in described}
    wanted = {name: list(columns) for name, _, columns in online.lookups}
    if manifest.recommend is not None:
        wanted.setdefault(str(manifest.recommend["among"]), [])
    if held != wanted:
        raise PackageError(t("manifest.json: the look-ups are not those of the features."))
