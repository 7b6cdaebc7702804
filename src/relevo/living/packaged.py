"""Asking the champion's package, where no service answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import lookups, validation
from relevo.errors import LedgerError, RequestError
from relevo.living.asked import body
from relevo.living.outcome import Checked, Result
from relevo.online import FeatureError
from relevo.package import ModelPackage
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.definition.cases import Case
    from relevo.records import ModelVersion
    from relevo.workspace import Workspace

PACKAGE = "package"


def ask(
    definition: Definition, workspace: Workspace, *, note: str = "", version: ModelVersion | None = None
) -> Checked:
    """Ask every case of a version's package, or of the champion's, with the newest histories.

    Raises ``LedgerError`` without a champion, ``PackageError`` when the package is not whole.
    """
    champion = version or workspace.ledger.champion(definition.name)
    if champion is None:
        raise LedgerError(
            t("Nothing was released yet.") + " " + t("See `relevo versions`; `relevo run` makes one.")
        )
    package = ModelPackage.load(workspace.blobs.folder(champion.digest))
    package.bind(lookups.newest(workspace, package))
    results = [_result(definition, package, case, champion.version) for case in definition.cases]
    return Checked(asked=PACKAGE, version=champion.version, results=results, note=note)


def _result(definition: Definition, package: ModelPackage, case: Case, version: str) -> Result:
    target = definition.project.target
    expected = target.positive if case.expected else target.negative
    try:
        request = validation.validate(package.validators, body(definition, case))
        answer = package.predict([request])[0]
    except (RequestError, FeatureError) as error:
        return Result(
            name=case.name, expected=expected, answered="", version=version, passed=False, problem=str(error)
        )
    passed = answer.decision == case.expected
    return Result(name=case.name, expected=expected, answered=answer.label, version=version, passed=passed)
