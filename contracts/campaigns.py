"""A campaign's states, and what a person may do in each.

PHP keeps the state, and its write refuses what the table forbids; so a person's cancel that comes
between another call's look and its write wins.

There is no state "finished". A campaign without rows left is running, with nothing to send: a
retry that falls due, or a message of unknown outcome that a person has sent again, gives it rows at
any time, and whoever pauses it keeps these back. So it can be paused and resumed like any other.
"""

from enum import StrEnum

from contracts.transitions import Transitions


class CampaignState(StrEnum):
    """Kept by PHP beside the campaign, so that it survives a wiped Redis, and a rollback: PHP's own
    cron leaves the queued rows of a campaign alone that is paused or cancelled."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class CampaignAction(StrEnum):
    """What a person does to a campaign. The sidecar pauses too, when errors say that it must."""

    SEND = "send"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_RUNNING, _PAUSED, _CANCELLED = CampaignState

TRANSITIONS = Transitions(
    (None, _RUNNING, "PHP creates it"),
    (_RUNNING, _RUNNING, CampaignAction.SEND),
    (_RUNNING, _RUNNING, CampaignAction.RESUME),
    (_RUNNING, _PAUSED, CampaignAction.PAUSE),
    (_RUNNING, _CANCELLED, CampaignAction.CANCEL),
    (_PAUSED, _RUNNING, CampaignAction.SEND),
    (_PAUSED, _RUNNING, CampaignAction.RESUME),
    (_PAUSED, _PAUSED, CampaignAction.PAUSE),
    (_PAUSED, _CANCELLED, CampaignAction.CANCEL),
    # Only send starts a cancelled campaign again.
    (_CANCELLED, _RUNNING, CampaignAction.SEND),
    (_CANCELLED, _CANCELLED, CampaignAction.CANCEL),
)


def allows_write(before: CampaignState, after: CampaignState, *, restart: bool) -> bool:
    """Tell whether PHP may keep a state after another. ``restart``: the write is that of a
    ``send``, the only one that leaves ``cancelled``."""
    actions = {one.by for one in TRANSITIONS if (one.before, one.after) == (before, after)}
    return bool(actions - ({CampaignAction.SEND} if not restart else set()))
