"""The wake-ups that the sidecar sends to the workers, by name, so that neither imports the other.

A Dramatiq message carries ids and nothing else: the inbox, the ledger and PHP's tables say what
there is to do. Losing a wake-up costs a delay, and getting it twice costs nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from contracts.effects import EffectKind


class Lane(StrEnum):
    """The two lanes of the inbox: a flood of statuses must not delay a customer's message."""

    MESSAGES = "messages"
    STATUSES = "statuses"


class Queue(StrEnum):
    """Dramatiq queues, one for each kind of worker. Each lane has one of its name."""

    MESSAGES = "messages"
    STATUSES = "statuses"
    CAMPAIGNS = "campaigns"
    EFFECTS = "effects"


@dataclass(frozen=True, slots=True)
class Job:
    """What to put on which queue. ``args`` are ids."""

    queue: Queue
    actor: str
    args: tuple[str, ...]


SEND_CAMPAIGN_ACTOR = "send_campaign"
DO_EFFECTS_ACTOR = "do_effects"


def drain(lane: Lane) -> Job:
    """There is something in this lane of the inbox."""
    return Job(Queue(lane.value), f"drain_{lane}", ())


def send_campaign(vendor_uid: str, campaign_uid: str) -> Job:
    """This campaign has rows to send."""
    return Job(Queue.CAMPAIGNS, SEND_CAMPAIGN_ACTOR, (vendor_uid, campaign_uid))


def do_effects(kind: EffectKind, vendor_uid: str) -> Job:
    """This vendor has effects of this kind to be done."""
    return Job(Queue.EFFECTS, DO_EFFECTS_ACTOR, (kind.value, vendor_uid))
