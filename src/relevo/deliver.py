"""Carrying what waits in the outbox: each channel for itself, in order, until it is through or a day is over.

A message goes out at least once: who is killed between handing it over and noting so leaves it to be sent again,
under the same id. Claims in the ledger keep several who deliver at once out of each other's way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from relevo import backoff, clock
from relevo.alerting import channel_fails, channel_works, elapsed, escalate, overdue
from relevo.channels import AppriseChannel
from relevo.errors import DeliveryError, WorkspaceError
from relevo.ids import uuid7
from relevo.notify import carry, messages
from relevo.texts import speaking, t

if TYPE_CHECKING:
    from relevo.channels import AlertSettings, Channel
    from relevo.ledger import Ledger
    from relevo.records import Delivery

SHORTEST, LONGEST = 10.0, 900.0
"""Seconds between two tries, at first and at most."""
PATIENCE, TRIES = timedelta(days=1), 5
"""A message is given up when it is so old and was tried so often."""
REPORTED = 3
"""Tries of a message after which its channel is said to fail."""
_MOST_ASKED = 3600.0  # seconds that a channel may ask to be left alone


@dataclass
class Carried:
    """What became of a channel's messages in one delivery; ``error`` is what went wrong last."""

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    error: str = ""


@dataclass(frozen=True)
class Delivered:
    """A delivery, by channel; channels that were removed are among them if something waited for them."""

    channels: dict[str, Carried] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Messages that went out."""
        return sum(one.sent for one in self.channels.values())

    @property
    def failed(self) -> int:
        """Messages that were given up."""
        return sum(one.failed for one in self.channels.values())

    @property
    def waiting(self) -> int:
        """Messages that still wait."""
        return sum(one.waiting for one in self.channels.values())

    @property
    def errors(self) -> dict[str, str]:
        """What went wrong, by channel."""
        return {name: one.error for name, one in self.channels.items() if one.error}


def due(ledger: Ledger, project: str, settings: AlertSettings) -> bool:
    """Whether ``deliver`` would have something to do now: a message to send, or a page to escalate."""
    farthest = max(map(_farthest, settings.channels.values()), default=timedelta(seconds=_MOST_ASKED))
    return ledger.outbox.due(project, farthest=farthest) or overdue(ledger, project, settings)


def deliver(ledger: Ledger, project: str, settings: AlertSettings) -> Delivered:
    """Send what is due, after escalating what nobody acknowledged.

    A channel that fails holds no other. Its failing is an alert (``channel:NAME``), which goes to the others, and
    which is resolved when it works again. ``settings`` have absolute paths (``AlertSettings.at``).
    """
    escalate(ledger, project, settings)
    done = Delivered({name: Carried() for name in settings.channels})
    _abandon(ledger, project, settings, done)
    for _ in range(2):  # of a channel that fails, or works again, the others are told at once
        with ThreadPoolExecutor(max(1, len(settings.channels))) as pool:
            tasks = [
                pool.submit(_serve, ledger, project, settings, name, done.channels[name])
                for name in settings.channels
            ]
        for task in tasks:
            task.result()
    for name, count in ledger.outbox.waiting(project).items():
        done.channels.setdefault(name, Carried()).waiting = count
    return done


def try_out(project: str, settings: AlertSettings, only: str = "") -> dict[str, str]:
    """Send a test through each channel, or one, now; gives what went wrong by channel, empty where nothing did."""
    known = settings.channels
    if only and only not in known:
        raise WorkspaceError(
            t("There is no channel {name}. Channels are: {known}.", name=only, known=", ".join(known) or "-")
        )
    chosen = {only: known[only]} if only else known

    def one(name: str) -> str:
        message = messages.trial(project, known[name].language or settings.language)
        try:
            return _carry(name, known[name], message, f"test-{uuid7()}")
        except DeliveryError as error:
            return str(error)

    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        return dict(zip(chosen, pool.map(one, chosen), strict=True))


def _abandon(ledger: Ledger, project: str, settings: AlertSettings, done: Delivered) -> None:
    """Give up what waits for channels that are no more; an alert about one of them is over."""
    for name in ledger.outbox.waiting(project):
        if name not in settings.channels:
            said = t("The channel {name} is no longer in the settings.", name=name)
            done.channels[name] = Carried(failed=ledger.outbox.abandon(project, name, said), error=said)
    for signal in ledger.alerts.signals(project):
        kind, _, name = signal.partition(":")
        if kind == "channel" and name not in settings.channels:
            with speaking(settings.language):
                said = t("The channel {name} is no longer in the settings.", name=name)
            channel_works(ledger, project, name, said, settings)


def _serve(ledger: Ledger, project: str, settings: AlertSettings, name: str, done: Carried) -> None:
    """Send a channel's messages until one fails or none is due, and tell of it when it fails or works again."""
    channel = settings.channels[name]
    lease, farthest = _lease(channel), _farthest(channel)
    went = 0
    while (head := ledger.outbox.claim(project, name, lease=lease, farthest=farthest)) is not None:
        try:
            remark = _carry(name, channel, head.message, head.id)
        except DeliveryError as error:
            done.error = str(error)
            lost = error.refused or _is_old(head)
            if lost or head.tries >= REPORTED:  # first of all, so that nothing is lost in silence
                channel_fails(ledger, project, name, done.error, settings)
            if not lost:
                _put_off(ledger, head, error)
                return
            ledger.outbox.fail(head, done.error)
            done.failed += 1
            continue
        if remark:
            done.error = remark
            channel_fails(ledger, project, name, remark, settings)
        ledger.outbox.sent(head, remark)
        done.sent, went = done.sent + 1, went + 1
    if went and not done.error:
        with speaking(settings.language):
            said = t("A message went out.")
        channel_works(ledger, project, name, said, settings)


def _is_old(head: Delivery) -> bool:
    return elapsed(head.message["made_at"]) >= PATIENCE and head.tries >= TRIES


def _carry(name: str, channel: Channel, message: object, identity: str) -> str:
    try:
        return carry(name, channel, message, identity)  # type: ignore[arg-type]
    except DeliveryError:
        raise
    except Exception as error:  # whatever a library raises must not stop the other channels
        raise DeliveryError(
            t("{name} failed in a way that was not foreseen: {error}.", name=name, error=type(error).__name__)
        ) from error


def _put_off(ledger: Ledger, head: Delivery, error: DeliveryError) -> None:
    asked = min(error.wait, _MOST_ASKED)
    seconds = max(backoff.wait(head.tries, shortest=SHORTEST, longest=LONGEST), asked)
    due = clock.now() + timedelta(seconds=seconds)
    ledger.outbox.put_off(head, due.isoformat(timespec="microseconds"), str(error))


def _lease(channel: Channel) -> timedelta:
    """How long handing over one message takes at the very most, by the clock, which may be a rehearsed one."""
    seconds = 10 + 2 * channel.timeout
    if isinstance(
        channel, AppriseChannel
    ):  # several addresses, at services that limit how often they are called
        seconds = 600
    return timedelta(seconds=seconds / clock.real(1.0))


def _farthest(channel: Channel) -> timedelta:
    """How far ahead a message that waits can be due; one beyond was put off by a clock that was set back since."""
    return max(_lease(channel), timedelta(seconds=_MOST_ASKED))
