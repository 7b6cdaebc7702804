"""Model files of other makers: opened, asked, and turned into ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relevo.candidates import PICKLES
from relevo.errors import TrainingError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]


class Opened(Protocol):
    """A file that was opened."""

    @property
    def kept(self) -> bytes:
        """What is kept of the file as the native model."""
        ...

    @property
    def onnx(self) -> bytes:
        """The file as a package's model."""
        ...

    def margin(self, matrix: Matrix) -> Floats:
        """What the file itself answers, (n,), to features in the order of features.sql."""
        ...


def format_of(path: Path) -> str:
    """The native format: by the name's end, and LightGBM's text by its first word."""
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        return "pickle-sha256"
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"tree":
        return "lightgbm-text"
    found = {".onnx": "onnx", ".json": "xgboost-json", ".ubj": "xgboost-ubj"}.get(suffix)
    if found is None:
        raise TrainingError(t("{file} is neither LightGBM's text nor another known model.", file=path.name))
    return found


def opened(path: Path, sha256: str, names: Sequence[str], some: Matrix) -> Opened:
    """Open a file for these features; ``some`` are rows to try it on."""
    kind = format_of(path)
    if kind == "pickle-sha256":
        from relevo.train.files.pickled import Pickled

        return Pickled(path, sha256, names)
    if kind == "onnx":
        from relevo.train.files.graphs import Onnx

        return Onnx(path, len(names), some)
    from relevo.train.files import boosted

    return (boosted.LightGBM if kind == "lightgbm-text" else boosted.XGBoost)(path, names)


def order(file: str, inside: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where each of the file's features stands among ``names``; raises ``TrainingError`` naming those that do not."""
    if len(inside) != len(names):
        raise TrainingError(
            t(
                "{file} takes {wanted} features and features.sql gives {found}.{more}",
                file=file,
                wanted=len(inside),
                found=len(names),
                more=_strangers(inside, names),
            )
        )
    if strange := _strangers(inside, names):
        raise TrainingError(
            t("{file} was trained on other features than features.sql gives.{more}", file=file, more=strange)
        )
    return [list(names).index(name) for name in inside]


def _strangers(inside: Sequence[str], names: Sequence[str]) -> str:
    absent = [name for name in inside if name not in names]
    further = [name for name in names if name not in inside]
    found = ""
    if absent and any(absent):
        found += " " + t("It also wants: {names}.", names=", ".join(absent[:20]))
    if further and any(inside):
        found += " " + t("It does not know: {names}.", names=", ".join(further[:20]))
    return found
