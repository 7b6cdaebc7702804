"""A script that makes the secrets in the cluster: random keys, and a password from a file. No value is ever written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.export.kubernetes.plan import FULL
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.export.kubernetes.plan import Plan

_HEAD = """#!/bin/sh
# {about}
set -eu
space={name}
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
key() {{ printf 'rlv_%s_%s' "$(openssl rand -hex 8)" "$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\\n')"; }}
there() {{ kubectl --namespace "$space" get secret "$1" --ignore-not-found --output name; }}

[ -n "$(kubectl get namespace "$space" --ignore-not-found --output name)" ] || kubectl create namespace "$space"
if [ -z "$(there {name}-keys)" ]; then
  key >"$folder/api"
  key >"$folder/metrics"
  kubectl --namespace "$space" create secret generic {name}-keys \\
    --from-file="$folder/api" --from-file="$folder/metrics"
fi
"""
_LEDGER = """if [ -z "$(there {name}-ledger)" ]; then
  [ -s "${{1:-}}" ] || {{ echo "{usage}" >&2; exit 2; }}
  kubectl --namespace "$space" create secret generic {name}-ledger --from-file=password="$1"
fi
"""
_VARIABLES = """[ -n "$(there {name}-env)" ] || echo "{missing}" >&2
"""


def script(plan: Plan) -> str:
    """The script, in the language in force."""
    about = t("Makes the secrets once; one that is there is left as it is. Needs kubectl and openssl.")
    text = _HEAD.format(name=plan.name, about=about)
    if plan.profile == FULL:
        usage = t("Usage: secrets.sh FILE, which holds the password of the ledger's user and nothing else.")
        text += _LEDGER.format(name=plan.name, usage=usage)
    if plan.asks:
        missing = t(
            "Sources and channels ask for variables ({variables}): kubectl -n {name} create secret generic {name}-env "
            "--from-env-file=FILE",
            variables=", ".join(
                [*plan.variables, *(["RELEVO_ALERTS__…"] if plan.settings.alerts.channels else [])]
            ),
            name=plan.name,
        )
        text += _VARIABLES.format(name=plan.name, missing=missing)
    return text
