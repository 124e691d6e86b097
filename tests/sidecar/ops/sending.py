"""Numbers and campaigns as ``sidecar status`` finds them."""

from typing import Any

from sidecar.ops.backlog import CampaignWork
from sidecar.sending.numbers import NumberState


def number_state(number: str, vendor_uid: str | None = "v", **more: Any) -> NumberState:
    """A number that sends at its full rate, but for what is given."""
    facts: dict[str, Any] = {
        "configured_rate": 80.0,
        "effective_rate": 80.0,
        "asked_at": 0.0,
        "held": None,
        "account_held": None,
        "app_held": None,
        "budget": None,
        "campaigns_wanting": 0,
    }
    return NumberState(number=number, vendor_uid=vendor_uid, **(facts | more))


def campaign(uid: str, waits: str | None = None, waits_s: float = 0.0) -> CampaignWork:
    """A campaign that is to be sent."""
    return CampaignWork(uid, "v", True, None, waits, None, None, 0, 0, 0, waits_s=waits_s)
