"""``deliver`` and ``alerts test``: sending what waits, and trying the channels out."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from relevo import deliver as delivery
from relevo.cli.output import FAILED, document, say
from relevo.cli.trying import opened
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path


def deliver(folder: Path, *, json: bool) -> None:
    """Deliver what waits."""
    workspace, name = opened(folder)
    settings = workspace.settings.alerts.at(workspace.project)
    done = delivery.deliver(workspace.ledger, name, settings)
    if json:
        document({channel: asdict(one) for channel, one in done.channels.items()})
    elif not done.channels:
        say(t("There are no channels: name some in the section alerts of relevo.toml."))
    else:
        for channel, one in done.channels.items():
            said = t(
                "{channel}: {sent} sent, {waiting} waiting, {failed} given up.",
                channel=channel,
                sent=one.sent,
                waiting=one.waiting,
                failed=one.failed,
            )
            say(f"{said} {one.error}".rstrip())
    if done.errors:
        sys.exit(FAILED)


def test(channel: str, folder: Path, *, json: bool) -> None:
    """Send a test through each channel."""
    workspace, name = opened(folder)
    settings = workspace.settings.alerts.at(workspace.project)
    found = delivery.try_out(name, settings, channel)
    if json:
        document({one: {"sent": not error, "error": error} for one, error in found.items()})
    elif not found:
        say(t("There are no channels: name some in the section alerts of relevo.toml."))
    else:
        for one, error in found.items():
            say(
                t("{channel}: {problem}", channel=one, problem=error)
                if error
                else t("{channel}: sent", channel=one)
            )
    if any(found.values()) or not found:
        sys.exit(FAILED)
