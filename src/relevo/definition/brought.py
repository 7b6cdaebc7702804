"""Models brought along: what defines them, in words that are the same in every process, and what is wrong with them."""

from __future__ import annotations

import re
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo.candidates import FILES, Given, Made, is_range
from relevo.errors import Mistake
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relevo.candidates import Candidate
    from relevo.sql import Column

FREE = ("n_jobs", "random_state", "verbose", "thread_count", "nthread")
"""Settings that change nothing that is learned, or that come from the budget's seed."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def told(candidate: Candidate, root: Path) -> list[Any]:
    """Plain JSON of what the candidate is, beside its settings; empty for the algorithms that come with Relevo.

    An estimator is its class and its settings, nested ones included, with every class by its path; a file
    is its digest. Call it on a candidate that was checked.
    """
    source = candidate.source
    if isinstance(source, Made):
        return [of_estimator(source.make()), source.text]
    if isinstance(source, Given):
        return [digests.of_file(root / source.path)]
    return []


def of_estimator(estimator: Any) -> list[Any]:
    """A class path, and each setting by its ``set_params`` name; ``FREE`` ones are left out."""
    settings = [
        [name, _plain(value)]
        for name, value in sorted(estimator.get_params(deep=True).items())
        if name.rpartition("__")[2] not in FREE
    ]
    return [_path(type(estimator)), settings]


def library(estimator: Any) -> str:
    """The distribution that an estimator's class comes from; the project itself has none."""
    root = type(estimator).__module__.partition(".")[0]
    return {"sklearn": "scikit-learn"}.get(root, root)


def versions(candidate: Candidate) -> dict[str, str]:
    """Versions of what a made estimator is fitted by: another version may give another fit."""
    if not isinstance(candidate.source, Made):
        return {}
    found = {}
    for name in ("scikit-learn", "numpy", "scipy", library(candidate.source.make())):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _plain(value: Any) -> Any:
    found: Any
    if isinstance(value, type):
        found = _path(value)
    elif hasattr(value, "get_params"):
        found = _path(type(value))  # its own settings follow under their long names
    elif isinstance(value, list | tuple):
        found = [type(value).__name__, [_plain(inner) for inner in value]]
    elif isinstance(value, dict):
        found = ["dict", [[_plain(key), _plain(inner)] for key, inner in value.items()]]
    elif isinstance(value, partial):
        found = ["partial", _plain(value.func), _plain(value.args), _plain(value.keywords)]
    elif hasattr(value, "tolist") and hasattr(value, "dtype"):
        found = [str(value.dtype), _plain(value.tolist())]
    else:
        found = _path(value) if hasattr(value, "__qualname__") else _ADDRESS.sub("", repr(value))
    return found


def _path(named: Any) -> str:
    """Where a class or function stands; a project's own module has a name made from its folder, so without that."""
    module = str(getattr(named, "__module__", ""))
    module = "project" if module.startswith("relevo_project_") else module
    return f"{module}.{named.__qualname__}"


def mistakes(candidate: Candidate, root: Path, file: str) -> list[Mistake]:
    """What can be told before there is any data."""
    source = candidate.source
    place = f"Candidate {candidate.name}"
    if isinstance(source, Given):
        return _of_file(source, root, file, place)
    assert isinstance(source, Made)
    if source.text not in (None, "mean", "code"):
        problem = t("text={value} is unknown.", value=repr(source.text))
        return [Mistake(file, place, problem, t('Write text="mean" or text="code".'))]
    try:
        made = source.make()
    except Exception as error:  # noqa: BLE001 - it is the project's own function
        problem = t("make() fails: {problem}", problem=f"{type(error).__name__}: {error}".splitlines()[0])
        return [Mistake(file, place, problem, "")]
    if isinstance(made, type) or not all(hasattr(made, name) for name in ("fit", "get_params", "set_params")):
        problem = t("make() gives {kind}, no estimator.", kind=repr(made)[:60])
        return [Mistake(file, place, problem, t("Let it return an unfitted classifier or Pipeline."))]
    if not (hasattr(made, "predict_proba") or hasattr(made, "decision_function") or hasattr(made, "predict")):
        problem = t("{kind} is no classifier.", kind=type(made).__name__)
        return [Mistake(file, place, problem, t("Let the Pipeline end in a classifier."))]
    known = list(made.get_params(deep=True))
    found = []
    for name, value in candidate.settings.items():
        if isinstance(value, list) and not value:
            problem = t("“{name}” has no value to choose from.", name=name)
            found.append(Mistake(file, place, problem, ""))
        elif isinstance(value, tuple) and not is_range(value):
            problem = t("{name}={value} is not a range.", name=name, value=value)
            remedy = t("Write (low, high), or a list to choose from; what is fixed can stand in make().")
            found.append(Mistake(file, place, problem, remedy))
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            remedy = t("Did you mean “{near}”?", near=near[0]) if near else ""
            problem = t("{kind} has no setting “{name}”.", kind=type(made).__name__, name=name)
            found.append(Mistake(file, place, problem, remedy))
    return found


def texts(candidate: Candidate, features: Sequence[Column], file: str) -> list[Mistake]:
    """A file has no encoder for texts, so that none may be among the features."""
    if not isinstance(candidate.source, Given):
        return []
    found = [feature.name for feature in features if feature.type == "text"]
    if not found:
        return []
    problem = t(
        "a model from a file takes numbers, and these features are texts: {names}.", names=", ".join(found)
    )
    remedy = t("Turn each into the number it had when the model was trained, by case or a look-up.")
    return [Mistake(file, f"Candidate {candidate.name}", problem, remedy)]


def _of_file(source: Given, root: Path, file: str, place: str) -> list[Mistake]:
    path = root / source.path
    if path.suffix.lower() not in FILES:
        problem = t("“{path}” is no model that Relevo reads.", path=source.path)
        return [Mistake(file, place, problem, t("Known: {names}.", names=", ".join(FILES)))]
    if source.pickled and not source.trust:
        problem = t(
            "“{path}” is a pickle: opening it runs whatever it says, with your rights.", path=source.path
        )
        remedy = t(
            "If you made it or trust who did, write trust=True; better, export it to ONNX where it was made."
        )
        return [Mistake(file, place, problem, remedy)]
    if not path.is_file():
        problem = t("there is no file {path}.", path=path)
        return [Mistake(file, place, problem, t("Give the path relative to the project's folder."))]
    return []
