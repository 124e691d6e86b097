"""The sidecar's own endpoints, beside the webhook routes.

``/internal`` and ``/match-bot`` are called by PHP, signed as :mod:`contracts.signing` says, and
never reachable from outside. A refusal carries the same error body as PHP's
(:class:`contracts.backend.ErrorAnswer`).
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from contracts.backend import CampaignCounts
from contracts.bots import BotMatch
from contracts.campaigns import CampaignState
from contracts.lenient import LenientModel, StrictModel
from contracts.modes import Mode, Modes

WEBHOOK_PATHS = ("/webhook/{vendor_uid}", "/whatsapp-webhook/{vendor_uid}")
SHADOW_WEBHOOK = "/shadow/webhook/{vendor_uid}"
CAMPAIGN = "/internal/campaigns/{campaign_uid}"
CAMPAIGN_SEND = "/internal/campaigns/{campaign_uid}/send"
CAMPAIGN_PAUSE = "/internal/campaigns/{campaign_uid}/pause"
CAMPAIGN_RESUME = "/internal/campaigns/{campaign_uid}/resume"
CAMPAIGN_CANCEL = "/internal/campaigns/{campaign_uid}/cancel"
MATCH_BOT = "/match-bot"
INVALIDATE = "/internal/invalidate"
EFFECTS = "/internal/effects"
MODES = "/internal/modes"
PING = "/internal/ping"
HEALTHZ = "/healthz"
READYZ = "/readyz"
METRICS = "/metrics"


class CampaignAnswer(StrictModel):
    """Answer to send, pause, resume, cancel and GET: the campaign as it stands now.

    ``active``: a worker holds the campaign or has been asked to take it. ``waits_for``: why it
    sends nothing for longer although it runs (a limit, a budget, an error that passes); it goes on
    by itself. ``counts`` come from PHP's tables at the time of the call. ``warning``: what was
    asked is done, but for this.
    """

    campaign_uid: str
    vendor_uid: str
    state: CampaignState
    reason: str | None = None
    active: bool
    waits_for: str | None = None
    warning: str | None = None
    due: int
    next_due_at: int | None = None
    counts: CampaignCounts


class CampaignChange(LenientModel):
    """Body of send, pause, resume and cancel. May be empty. ``reason`` is shown to people; ``by``,
    who says so, is for the audit."""

    reason: str | None = Field(default=None, max_length=500)
    by: str | None = Field(default=None, max_length=100)


class ContactFacts(LenientModel):
    """What the contact's state decides. ``incoming_24h``: its messages of the last 24 hours, this
    one included; null: not known, and then no welcome bot matches. ``quick_reply``: the message
    answers a button, which is matched although the contact has disabled replies."""

    incoming_24h: int | None = None
    disable_reply_bot: bool = False
    quick_reply: bool = False


class MatchBotRequest(LenientModel):
    """``vendor_uid`` or, as the analysis has it, ``vendorId`` (``vendors._id``). The first question
    about a vendor has the sidecar ask PHP for its bots; later ones are answered from memory, also
    while PHP is down. 404 ``vendor_unknown``; 503 ``backend_unavailable`` where PHP has never told
    of the vendor and cannot be asked."""

    message: str
    vendor_uid: str | None = None
    vendor_id: int | None = Field(default=None, alias="vendorId")
    contact: ContactFacts = ContactFacts()


class MatchBotAnswer(StrictModel):
    """``bot`` is the first of ``matches``, which stand in order of priority."""

    bot: BotMatch | None
    matches: list[BotMatch]


class InvalidateScope(StrEnum):
    """- ``settings``: what ``vendor-config`` tells;
    - ``bots``: what ``bots`` tells, the bot hours among it.
    """

    SETTINGS = "settings"
    BOTS = "bots"


class InvalidateRequest(StrictModel):
    """What PHP changed. ``vendor_uids`` null means every vendor. Every process asks PHP again
    within a second, so PHP calls after its transaction is committed. Where the call fails, the
    change is found when what is kept has become old."""

    vendor_uids: list[str] | None = None
    scopes: list[InvalidateScope] = [InvalidateScope.SETTINGS, InvalidateScope.BOTS]


class InvalidateAnswer(StrictModel):
    result: Literal["done"] = "done"


class ModesChange(StrictModel):
    """Move vendors' work, the same for each of them; null stays as it is. The call answers when it
    is done or ``timeout_s`` have passed: what was claimed is returned or ended by then, so that
    nothing is done twice. Campaigns on their way to the sidecar rest for ``cron_settle_s`` in any
    case. The call may be repeated, also after one that was broken off. An empty list of vendors
    means every vendor."""

    vendor_uids: list[str]
    webhooks: Mode | None = None
    campaigns: Mode | None = None
    bots: Mode | None = None
    by: str = Field(max_length=100)
    reason: str | None = Field(default=None, max_length=500)
    timeout_s: float = Field(default=30.0, gt=0, le=300)


class MovedVendor(StrictModel):
    """``modes`` as they are now. ``waits_for``: what keeps the change from being complete; it goes
    on by itself where it can, and the call may be repeated."""

    vendor_uid: str
    modes: Modes
    waits_for: str | None = None


class ModesChanged(StrictModel):
    version: int
    vendors: list[MovedVendor]


class PingRequest(LenientModel):
    """Changes nothing: PHP tries the way to the sidecar, and its signature. ``token`` is one that
    ``sidecar check --deep`` has left in the sidecar's Redis."""

    token: str | None = Field(default=None, max_length=64)


class PingAnswer(StrictModel):
    """``now``: the sidecar's clock, unix ms. ``known``: the token is in its Redis, so this sidecar
    is the one that was meant."""

    version: str
    now: int
    known: bool


class Health(StrictModel):
    status: Literal["ok", "unavailable"]
    checks: dict[str, str] = {}
