"""The internal endpoints of the PHP side, called by the sidecar and its workers.

Every call is a signed POST (:mod:`contracts.signing`) with a JSON body under ``/internal``. Every
answer is JSON. Calls may be repeated after a time-out, so each is idempotent, and says by what.
Times are integers of unix milliseconds, UTC. A ``*_uid`` is the ``_uid`` of a row.

An answer that is not 2xx carries :class:`ErrorAnswer`. 401, 404 and 409 are final for the call as
it was made; everything else (500, HTML, a time-out) says nothing about what happened.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from contracts.bots import MatchedBots
from contracts.campaigns import CampaignState as CampaignState
from contracts.effects import AiProvider, Broadcaster, EffectKind, ForwardTarget
from contracts.lenient import LenientModel, StrictModel
from contracts.modes import Mode, Modes

#: What PHP counts, how often it has tried, and how long the sidecar is to wait, ms: a number that
#: nobody can reckon with counts as the largest or smallest that makes sense. And what it says of
#: why: as much as somebody reads.
Count = Annotated[int, AfterValidator(lambda count: max(0, min(count, 2**31)))]
Retries = Annotated[int, AfterValidator(lambda retries: max(0, min(retries, 1000)))]
Reason = Annotated[str, AfterValidator(lambda reason: reason[:500])]
Pause = Annotated[int, AfterValidator(lambda pause_ms: max(0, min(pause_ms, 86_400_000)))]

#: Most updates in one ``process-webhooks`` call and most results in one
#: ``update-message-statuses`` call.
MAX_BATCH = 1000

#: Most rows that one claim may ask for.
MAX_CLAIM = 1000

#: Most webhooks that one ``pending-webhooks`` call may ask for or name, and how far those that are
#: left are counted.
MAX_PENDING = 1000

#: Most rows that one ``pending-effects`` call looks at.
MAX_PENDING_EFFECTS = 1000


class QueueStatus:
    """``whatsapp_message_queue.status``."""

    QUEUED = 1
    ERROR = 2
    PROCESSING = 3
    AWAITING_STATUS = 4
    EXPIRED = 5
    UNKNOWN = 6


class ErrorCode(StrEnum):
    """Codes of refusals that the caller acts on."""

    VENDOR_UNKNOWN = "vendor_unknown"
    CAMPAIGN_UNKNOWN = "campaign_unknown"
    CAMPAIGN_PAUSED = "campaign_paused"
    CAMPAIGN_CANCELLED = "campaign_cancelled"
    FENCE_STALE = "fence_stale"
    MODE_CHANGE_FORBIDDEN = "mode_change_forbidden"
    VENDOR_NOT_ON_SIDECAR = "vendor_not_on_sidecar"
    REQUEST_INVALID = "request_invalid"
    BODY_TOO_LARGE = "body_too_large"
    MAINTENANCE = "maintenance"


class ErrorDetail(LenientModel):
    """``code`` is one of :class:`ErrorCode` or :class:`contracts.signing.Refusal`."""

    code: str
    message: str


class ErrorAnswer(LenientModel):
    error: ErrorDetail


# -- webhooks ------------------------------------------------------------------------------------


class UpdateKind(StrEnum):
    """What an update holds.

    - ``message``: a customer's message (an element of ``value.messages``);
    - ``echo``: a message sent from the business's own phone (of ``value.message_echoes``);
    - ``status``: what became of a message (of ``value.statuses``);
    - ``change``: any other change, as Meta formed it: account, template, number, history and so on
      (:mod:`contracts.cloud_api.fields`); also what stands beside messages, and a call's status.
    """

    MESSAGE = "message"
    ECHO = "echo"
    STATUS = "status"
    CHANGE = "change"


class Update(StrictModel):
    """One single update out of a webhook.

    ``payload`` is a complete webhook envelope that holds nothing but this update (with its
    change's metadata, and the contacts that belong to it), so that a routine that was written for
    a whole webhook can take it as it is. ``lower_statuses`` are the status objects of the same
    message that were coalesced into this one because it ranks higher; oldest first. ``bots`` are
    those that match a customer's message, where the vendor's bots are matched by the sidecar
    (``VendorConfig.bots_on_sidecar``); null: PHP matches them itself.
    """

    id: str = Field(description="Stable over retries; the answer refers to it.")
    vendor_uid: str
    kind: UpdateKind
    received_at: int = Field(description="When the sidecar acknowledged the webhook, unix ms.")
    attempt: int = Field(description="1 for the first time that PHP sees this update.", ge=1)
    payload: dict[str, Any]
    lower_statuses: list[dict[str, Any]] = []
    bots: MatchedBots | None = None
    order: str | None = Field(
        default=None,
        description="What has to stay in order: of the updates of a request that have the same "
        "order, those behind one that is answered retry are not applied, and answered retry.",
    )


class ProcessWebhooksRequest(StrictModel):
    """Updates of one contact stand in the order in which they came. Idempotent by wamid, and by
    wamid and rank for statuses."""

    updates: list[Update] = Field(min_length=1, max_length=MAX_BATCH)


class UpdateResult(LenientModel):
    """What became of an update, or of something else that has an id.

    - ``done``: applied, now or before.
    - ``ignored``: nothing to do, and never will be. ``reason`` is a word (``own_number``), by which
      the sidecar counts them.
    - ``retry``: not applied, bring it again later. An unknown value counts as ``retry``.
    - ``rejected``: it can never be applied; ``reason`` says why. An update becomes a dead letter
      at once; those behind it in order are applied.

    ``reason`` holds no personal data: of an SQL error SQLSTATE, the driver's code and the table.

    ``effects`` are what the sidecar is asked to do (:mod:`contracts.effects`), with ``done`` and
    ``ignored`` only. An update that PHP has applied before brings the same effects again, with the
    same ids, but for messages whose outcome PHP knows: the answer that named them first may never
    have arrived.
    """

    id: str
    result: Literal["done", "ignored", "retry", "rejected"] | str
    reason: Reason | None = None
    retry_after_ms: Pause | None = None
    campaign_uid: str | None = Field(
        default=None,
        description="Of a status: the campaign of the message whose status it has changed. Left "
        "out where it changed nothing, so that a failure that is told twice counts once.",
    )
    effects: list[dict[str, Any]] = []


class ProcessWebhooksAnswer(LenientModel):
    """One result for every update; an update without a result counts as ``retry``."""

    results: list[UpdateResult]


class ProcessWebhookAnswer(LenientModel):
    """Answer to one raw webhook, which was posted byte for byte as Meta sent it, with its
    ``X-Hub-Signature-256`` header. Used for bodies that cannot be split. ``result`` and ``reason``
    are as in :class:`UpdateResult`. 404 with ``vendor_unknown`` where there is no such vendor."""

    result: Literal["done", "ignored", "retry", "rejected"] | str
    reason: Reason | None = None
    retry_after_ms: Pause | None = None


class StoredWebhook(StrictModel):
    """A raw webhook for PHP's own webhook table. ``body`` is the text that Meta sent; bytes that
    are not UTF-8 stand as ``body_base64`` instead."""

    id: str = Field(description="Idempotency: the same id is stored once.")
    vendor_uid: str
    received_at: int
    headers: dict[str, str]
    body: str | None = None
    body_base64: str | None = None


class StoreWebhooksRequest(StrictModel):
    webhooks: list[StoredWebhook] = Field(min_length=1, max_length=MAX_BATCH)


class StoreWebhooksAnswer(LenientModel):
    """``done`` or ``retry`` for each; ``ignored`` where the vendor does not exist."""

    results: list[UpdateResult]


class PendingWebhooksRequest(StrictModel):
    """Take over webhooks that PHP has stored in its own table while the sidecar was down.

    Two phases. First the pending rows that ``taken`` names are deleted: whoever calls has them on
    disk. Then the oldest pending webhooks (by ``_id``) are returned, and nothing else is done to
    them: a row that nobody names in ``taken`` stays pending, for the next call, the application's
    cron or a person. So a caller that dies in between gets the same page again, and PHP recognises
    what it is handed twice, by wamid, and by wamid and rank. A uid in ``taken`` that is not there,
    not pending or not a sidecar vendor's is passed over; the call may be repeated.

    Only rows of vendors that are on the sidecar are returned, counted or deleted. Others, and rows
    of vendors that do not exist, are the cron's, and stand in nobody's way. A cron that works on a
    sidecar vendor's rows all the same may handle a row that is taken over too; the one who comes
    second finds that it is done.
    """

    limit: int = Field(
        default=200, ge=0, le=MAX_PENDING, description="0 to name taken ones and get none."
    )
    max_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=1,
        description="Most bytes of headers and payloads, as they are stored. The first webhook is "
        "returned however large it is.",
    )
    taken: list[str] = Field(default=[], max_length=MAX_PENDING)


class PendingWebhook(LenientModel):
    """A stored webhook. ``body`` is the text that Meta sent, as the column gives it back: MySQL 8
    keeps the values of a JSON column and not their text (blanks go, keys change places), so Meta's
    signature, which stands among the ``headers``, need not fit any more. PHP's route has checked it
    before it stored the webhook, and is not asked again. Bytes that are not UTF-8 stand as
    ``body_base64`` instead. A row without a payload comes with an empty body, which is no webhook
    and ends as one that is ignored: no row blocks those behind it. ``received_at`` is when PHP
    stored it, to the second."""

    uid: str
    vendor_uid: str
    received_at: int
    headers: dict[str, str] = {}
    body: str | None = None
    body_base64: str | None = None


class PendingWebhooksAnswer(LenientModel):
    """``pending``: how many are left behind those returned, counted up to 1,000."""

    webhooks: list[PendingWebhook]
    deleted: Count = 0
    pending: Count = 0


# -- campaigns -----------------------------------------------------------------------------------


class ClaimMessagesRequest(StrictModel):
    """Move due rows of a campaign from 1 to 3 and return them, in the order of ``_id``.

    ``claim_uid`` names the claim. With ``recover`` no row is claimed: the rows that this claim
    still holds (status 3) are returned again, for a caller that never saw the first answer.
    ``fence`` only grows; a claim with a lower one than PHP has seen for the campaign is refused
    with 409 ``fence_stale``. 409 ``campaign_paused`` or ``campaign_cancelled`` by PHP's state. 409
    ``vendor_not_on_sidecar`` where PHP's own crons send: they and a claim would take the same rows.
    Rows whose expiry has passed become 5 in the same call. Rows whose contact has opted out, is
    blocked or was deleted become 2, where PHP's setting ``campaign_opt_outs`` says so, with
    ``error_status`` ``contact_opted_out_error``, ``contact_blocked_error`` or
    ``contact_deleted_error``. What happens to a contact after the claim stops nothing any more.
    """

    vendor_uid: str
    campaign_uid: str
    claim_uid: str
    fence: int
    limit: int = Field(ge=1, le=MAX_CLAIM)
    recover: bool = False


class ClaimedRow(LenientModel):
    """A row as it was frozen by the claim. ``to`` is digits with the country code, no plus;
    ``recipient`` is the user id of a person whose number is not known. PHP claims no row that has
    neither: such a row becomes 2. Where both stand, ``to`` is used. ``template_category`` is Meta's
    word in capitals (``MARKETING``, ``UTILITY``, ``AUTHENTICATION``), null where PHP does not know
    the template."""

    uid: str
    contact_uid: str | None = None
    to: str | None = None
    recipient: str | None = None
    retries: Retries = 0
    from_phone_number_id: str | None = None
    template_name: str
    template_language: str
    template_category: str | None = None
    components: list[Any] = []


class ClaimMessagesAnswer(LenientModel):
    """``due`` rows can be claimed now; ``queued`` counts all in status 1, the due ones included.
    ``next_due_at`` is when the first of the others falls due. ``expired`` and ``skipped`` rows have
    ended in this call: those that were too old, and those that their contact is not to get."""

    rows: list[ClaimedRow]
    expired: Count = 0
    skipped: Count = 0
    due: Count = 0
    queued: Count = 0
    next_due_at: int | None = None


class ReleaseMessagesRequest(StrictModel):
    """Return rows that were certainly not sent from 3 to 1, without counting an attempt; and, if
    ``campaign_state`` is given, keep that as the campaign's state, with its reason.
    Idempotent: a row that is not in 3 under ``claim_uid`` (any claim, if that is null) stays.

    A cancelled campaign stays cancelled (:mod:`contracts.campaigns`): 409 ``campaign_cancelled``
    for ``paused``, and for ``running`` without ``restart``; then no row is returned either."""

    vendor_uid: str
    campaign_uid: str
    row_uids: list[str] = Field(default=[], max_length=MAX_CLAIM)
    claim_uid: str | None = None
    campaign_state: CampaignState | None = None
    restart: bool = Field(
        default=False, description="Whether `running` starts a cancelled campaign again."
    )
    reason: str | None = None


class ReleaseMessagesAnswer(LenientModel):
    released: int


class SendOutcome(StrEnum):
    """What became of a send.

    - ``accepted``: the API took it: log row stored, queue row 4;
    - ``failed``: it will not be sent: queue row 2;
    - ``requeue``: it was not sent and may be later: queue row 1, due at ``due_at``, and retries + 1
      if it was ``attempted``;
    - ``unknown``: it may have been sent: queue row 6, never sent again by itself.
    """

    ACCEPTED = "accepted"
    FAILED = "failed"
    REQUEUE = "requeue"
    UNKNOWN = "unknown"


class SendError(StrictModel):
    """``code`` is the Cloud API's, or null for a fault of the connection."""

    code: int | None
    message: str
    details: str | None = None


class SendResult(StrictModel):
    """What became of one claimed row. Idempotent by row, outcome and time. ``accepted`` is a fact,
    and settles a row whatever its status is, also one that an early status has finished; nothing
    else changes a row that is not in 3.

    Without a campaign it tells of a :class:`contracts.effects.SendMessage`: ``uid`` is the row in
    ``whatsapp_message_logs``, and the outcome ``accepted``, ``failed`` or ``unknown``. ``accepted``
    gives the row its wamid and status; the others change only a row that has no wamid.
    """

    uid: str
    vendor_uid: str
    campaign_uid: str | None = None
    claim_uid: str | None = Field(
        default=None,
        description="The claim that the attempt belongs to. failed, requeue and unknown change a "
        "row only while it is in 3 under this claim, so that a late report cannot touch a row "
        "that somebody else has claimed since.",
    )
    outcome: SendOutcome
    attempted: bool = Field(
        default=True,
        description="False for a requeue of a row that was never tried: it counts no retry.",
    )
    at: int = Field(description="When the outcome was known, unix ms.")
    phone_number_id: str
    wamid: str | None = None
    message_status: str | None = None
    wa_id: str | None = Field(default=None, description="The recipient's, as the API returned it.")
    user_id: str | None = Field(
        default=None, description="The recipient's, as the API returned it."
    )
    response: dict[str, Any] | None = Field(default=None, description="The API's answer.")
    error: SendError | None = None
    due_at: int | None = None


class UpdateMessageStatusesRequest(StrictModel):
    results: list[SendResult] = Field(min_length=1, max_length=MAX_BATCH)


class UpdateMessageStatusesAnswer(LenientModel):
    """One result for every send, by the row's uid."""

    results: list[UpdateResult]


class DueCampaignsRequest(StrictModel):
    """Without ``campaign_uids``: running campaigns with rows that are due, of vendors on the
    sidecar; with ``open`` those that have rows in 1, 3 or 6, due or not and whatever their state,
    and those of other vendors that are paused, the newest first. With: those, whatever their rows,
    state and vendor (a campaign that does not exist is left out). Rows of vendors on the sidecar
    that stand in 3 for more than ``stale_after_s`` become 6 in the same call."""

    campaign_uids: list[str] | None = None
    open: bool = False
    errors: bool = Field(
        default=False,
        description="With `campaign_uids`: also tell what their messages have failed of. At most "
        "10,000 rows of the queue and 10,000 of the log are looked at, and of each the 100 most "
        "frequent errors are told.",
    )
    limit: int = Field(default=100, ge=1, le=1000)
    stale_after_s: int = Field(default=300, ge=1)


class CampaignCounts(LenientModel):
    """Rows of the queue by their status, and of the log by theirs. Outgoing messages only."""

    queued: Count = 0
    error: int = 0
    processing: int = 0
    awaiting_status: int = 0
    expired: Count = 0
    unknown: int = 0
    accepted: int = 0
    sent: int = 0
    delivered: int = 0
    read: int = 0
    failed: int = 0


class FailedRows(LenientModel):
    """So many rows with the same ``error_status``. ``message`` is one row's ``error_message``."""

    error_status: str | None = None
    message: Reason | None = None
    count: Count


class CampaignErrors(FailedRows):
    """``later``: the API had accepted these, and a status has told the failure; ``error_status`` is
    its code. Others are rows of the queue in 2."""

    later: bool = False


class DueCampaign(LenientModel):
    campaign_uid: str
    vendor_uid: str
    title: str | None = None
    state: CampaignState = CampaignState.RUNNING
    reason: str | None = None
    on_sidecar: bool = Field(
        default=True, description="False where PHP's own crons send for the vendor."
    )
    due: Count = 0
    next_due_at: int | None = None
    counts: CampaignCounts = CampaignCounts()
    errors: list[CampaignErrors] | None = Field(
        default=None, description="Null where they were not asked for."
    )


class DueCampaignsAnswer(LenientModel):
    """``pending_webhooks``: how many stored webhooks wait to be taken over
    (:class:`PendingWebhooksRequest`), counted up to 1,000; 0 where ``campaign_uids`` or ``open``
    were given. ``lists_pending_effects``: whether this PHP side has ``pending-effects``."""

    campaigns: list[DueCampaign]
    made_unknown: Count = 0
    pending_webhooks: Count = 0
    lists_pending_effects: bool = False


class UnknownMessagesRequest(StrictModel):
    """List rows that stand in 6 for longer than ``older_than_s``: nobody knows whether the message
    was sent, and no status has come that would tell. The longest-standing first, of all vendors or
    of one, of all campaigns or of one. ``after`` is ``next`` of the page before."""

    vendor_uid: str | None = None
    campaign_uid: str | None = None
    older_than_s: int = Field(default=86_400, ge=0)
    limit: int = Field(default=100, ge=1, le=MAX_CLAIM)
    after: str | None = Field(default=None, max_length=100)


class UnknownMessage(LenientModel):
    """``since``: when the row became 6, unix ms. ``to`` is digits with the country code, null
    where the row has no number; ``recipient`` is then the user id."""

    uid: str
    vendor_uid: str
    campaign_uid: str | None = None
    to: str | None = None
    recipient: str | None = None
    since: int
    reason: str | None = None
    phone_number_id: str | None = None


class UnknownMessagesAnswer(LenientModel):
    """``next`` is where the next page begins; null where this is the last one."""

    messages: list[UnknownMessage]
    next: str | None = None


class ResolveAction(StrEnum):
    """What a person decides about a row of unknown outcome.

    - ``resend``: back to 1, its retries as they are. The customer may get the message twice;
    - ``give_up``: 2, with ``error_status`` ``unknown_given_up_error``.
    """

    RESEND = "resend"
    GIVE_UP = "give_up"


class ResolveMessagesRequest(StrictModel):
    """Settle rows that stand in 6, as a person has decided. A row that is in 6 no more is
    ``ignored``, so the call may be repeated, and a status that came first wins. ``reason`` is kept
    with a row that is given up."""

    row_uids: list[str] = Field(min_length=1, max_length=MAX_CLAIM)
    action: ResolveAction
    reason: str | None = Field(default=None, max_length=500)


class ResolveMessagesAnswer(LenientModel):
    """``done`` or ``ignored`` for each row, by its uid: ``row_unknown`` where there is no such row
    (a status may have settled and removed it), ``row_not_in_unknown`` where it is not in 6."""

    results: list[UpdateResult]


class RetryMessagesRequest(StrictModel):
    """Put failed rows (2) of a campaign back into the queue (1), their retries counted anew.

    Only rows that were certainly not sent: those whose failure is a result ``failed``, or the last
    ``requeue`` of too many, and those that ended at a claim. Never one whose outcome was unknown at
    any time, nor one that PHP's own cron has ended (its connection errors include answers that did
    not come). A message that the API accepted and a status failed later has no row any more; it is
    in the log, and is never sent again by this.

    ``codes`` are values of ``process_response.error_status``: the API's codes as text, or PHP's
    words. Null: all, but rows that were skipped for their contact, which must be named.

    Rows are looked at in the order of ``_id``, ``limit`` in one call. ``after`` is ``next`` of the
    page before. May be repeated: a row that is in the queue again is not failed any more. 409
    ``campaign_cancelled``: a cancelled campaign stays cancelled, and ``vendor_not_on_sidecar``.
    ``dry_run`` counts, refuses what the call would refuse, and changes nothing.
    """

    vendor_uid: str
    campaign_uid: str
    codes: list[str] | None = Field(default=None, min_length=1, max_length=100)
    limit: int = Field(default=MAX_CLAIM, ge=1, le=MAX_CLAIM)
    after: str | None = Field(default=None, max_length=100)
    dry_run: bool = False


class LeftOut(StrEnum):
    """Why a failed row stays failed.

    - ``maybe_sent``: it may have been sent (an outcome was unknown, or the failure is not ours);
    - ``given_up``: its outcome was never known, and a person gave it up;
    - ``expired``: its expiry has passed;
    - ``contact``: it was skipped for its contact, and ``codes`` does not name that.
    """

    MAYBE_SENT = "maybe_sent"
    GIVEN_UP = "given_up"
    EXPIRED = "expired"
    CONTACT = "contact"


class LeftRows(FailedRows):
    """``reason`` is one of :class:`LeftOut`."""

    reason: str


class RetryMessagesAnswer(LenientModel):
    """Of the rows of this page: ``retried`` are in the queue again (with ``dry_run``: would be),
    ``rows`` says with which errors; ``left`` are those that stay failed. Rows that ``codes`` leaves
    out stand in neither. ``next`` is where the next page begins; null where this is the last
    one."""

    retried: Count
    rows: list[FailedRows] = []
    left: list[LeftRows] = []
    next: str | None = None


# -- effects -------------------------------------------------------------------------------------


class PendingEffectsRequest(StrictModel):
    """List effects that PHP has asked for and of which it does not know what became. Nothing is
    done to them: whoever calls knows which of them wait to be done, and by ``asked_at`` which may
    have been done before its memory begins.

    - ``send_message``: messages that stand ``pending`` in the log for longer than ``older_than_s``,
      in the order of ``_id``, each as it was asked for, with ``asked_at``.
    - ``ai_reply``: questions for an AI without an answer, of messages that were stored within
      ``newer_than_s``, the newest first. None that has expired, or whose answer would be dropped as
      stale or too late (:class:`contracts.effects.AiAnswersRequest`).

    ``limit`` rows are looked at in one call, which may hold no effect at all. ``after`` is ``next``
    of the page before.
    """

    kind: Literal[EffectKind.SEND_MESSAGE, EffectKind.AI_REPLY]
    older_than_s: int = Field(default=60, ge=0)
    newer_than_s: int = Field(default=600, ge=0)
    limit: int = Field(default=MAX_PENDING_EFFECTS, ge=1, le=MAX_PENDING_EFFECTS)
    after: str | None = Field(default=None, max_length=100)


class VendorEffects(LenientModel):
    """Effects (:mod:`contracts.effects`) of one vendor."""

    vendor_uid: str
    effects: list[dict[str, Any]]


class PendingEffectsAnswer(LenientModel):
    """``now`` is PHP's clock, unix ms. ``next`` is where the next page begins; null where this is
    the last one."""

    now: int
    results: list[VendorEffects]
    next: str | None = None


# -- the epoch of Redis ---------------------------------------------------------------------------


class EpochRequest(StrictModel):
    """Keep how far Redis has come, and tell how far it was when it had come farthest: an ``epoch``
    only goes up, so a Redis that is behind the answer has gone back in time (a replica that lagged
    was promoted, or an old snapshot restored). PHP keeps the highest, with its ``at``; the call may
    be repeated. Claims and results tell the same in their query, ``?epoch=7&at=1700000000000``, so
    that this call is made only where there are none for a while, and to ask.

    With ``settle_pending`` it has: then every message of the log that is ``pending`` may have been
    sent, and becomes ``unknown``. It brings no effect again, and its status settles it.
    """

    epoch: int = Field(ge=0, le=2**53)
    at: int = Field(ge=0, le=2**53)
    settle_pending: bool = False


class EpochAnswer(LenientModel):
    """``epoch`` is 0, and ``at`` null, where none was kept so far. ``made_unknown``: so many
    messages were pending."""

    epoch: int
    at: int | None = None
    made_unknown: Count = 0


# -- configuration -------------------------------------------------------------------------------


class VendorConfigRequest(StrictModel):
    vendor_uids: list[str] = Field(min_length=1, max_length=1000)


class Verified(LenientModel):
    """What Meta has told PHP of a number, which it asked with the vendor's own access token. An id
    that somebody has entered is not told by Meta, and does not belong here: two vendors share what
    has the same id (a number's throughput, an account's holds and pauses, a portfolio's recipients,
    an app's holds), so an id that is not checked would let one vendor stop another. It goes when
    the access token becomes another one, until Meta has confirmed it again.
    """

    account_id: str = Field(description="The WhatsApp Business account that the number is of.")
    portfolio_id: str | None = Field(default=None, description="The account's business portfolio.")
    app_id: str | None = Field(default=None, description="The app of the access token.")


class PhoneNumber(LenientModel):
    phone_number_id: str
    display_phone_number: str | None = None
    messages_per_second: float | None = Field(
        default=None, description="Throughput of the number; null for the default, 80."
    )
    coexistence: bool = Field(
        default=False,
        description="Also used in the WhatsApp Business app: Meta allows it 20 per second.",
    )
    verified: Verified | None = Field(
        default=None,
        description="Null where PHP has not asked Meta: what the vendor sends from the number is "
        "then limited, held and paused for this vendor alone.",
    )


#: How a vendor's marketing templates are sent: by ``/messages`` as any other, or by
#: ``/marketing_messages``, which falls back to the Cloud API's way where it must or does not. A
#: word that is not known counts as ``off``.
MarketingMessages = Annotated[
    Literal["off", "fallback", "strict"],
    BeforeValidator(lambda word: word if word in ("fallback", "strict") else "off"),
]


class VendorConfig(LenientModel):
    """``access_token`` and ``app_secrets`` are secrets, as are those of ``ai_providers``,
    ``forward`` and ``broadcaster``: kept in memory only, never logged.

    Meta limits how many different users a business portfolio may write to in any 24 hours, all its
    numbers together. With ``daily_recipients`` campaigns keep to so many; null: no limit is kept.

    The ids of account and portfolio may be what somebody has entered: they are shared with no other
    vendor. What vendors share is what Meta has confirmed of a number (:class:`Verified`).
    """

    vendor_uid: str
    active: bool = True
    access_token: str | None = Field(default=None, repr=False)
    app_secrets: list[str] = Field(default=[], repr=False)
    whatsapp_business_account_id: str | None = None
    portfolio_id: str | None = Field(
        default=None, description="The business portfolio; null: the account stands for it."
    )
    daily_recipients: int | None = None
    current_phone_number_id: str | None = None
    phone_numbers: list[PhoneNumber] = []
    modes: Modes = Field(
        default=Modes(webhooks=Mode.SIDECAR, campaigns=Mode.SIDECAR),
        description="Who does the vendor's work. Left out by a PHP that knows no modes: the "
        "sidecar takes webhooks and campaigns.",
    )
    bots_on_sidecar: bool = Field(
        default=False,
        description="Whether customers' messages are to come with their bots: the mode of bots is "
        "sidecar.",
    )
    marketing_messages: MarketingMessages = "off"
    ai_providers: list[AiProvider] = []
    forward: ForwardTarget | None = None
    broadcaster: Broadcaster | None = None


class VendorConfigAnswer(LenientModel):
    """Vendors that do not exist stand in ``unknown``."""

    vendors: list[VendorConfig]
    unknown: list[str] = []


# -- the endpoints -------------------------------------------------------------------------------

PROCESS_WEBHOOK = "/internal/process-webhook/{vendor_uid}"
PROCESS_WEBHOOKS = "/internal/process-webhooks"
STORE_WEBHOOKS = "/internal/store-webhooks"
PENDING_WEBHOOKS = "/internal/pending-webhooks"
CLAIM_MESSAGES = "/internal/claim-messages"
RELEASE_MESSAGES = "/internal/release-messages"
UPDATE_MESSAGE_STATUS = "/internal/update-message-status"
UPDATE_MESSAGE_STATUSES = "/internal/update-message-statuses"
DUE_CAMPAIGNS = "/internal/due-campaigns"
UNKNOWN_MESSAGES = "/internal/unknown-messages"
RESOLVE_MESSAGES = "/internal/resolve-messages"
RETRY_MESSAGES = "/internal/retry-messages"
EPOCH = "/internal/epoch"
VENDOR_CONFIG = "/internal/vendor-config"
BOTS = "/internal/bots"
AI_ANSWERS = "/internal/ai-answers"
PENDING_EFFECTS = "/internal/pending-effects"
MEDIA = "/internal/media"
MODES = "/internal/modes"
OBSERVE = "/internal/observe"
DIAGNOSIS = "/internal/diagnosis"
FIND = "/internal/find"
PREVIEW_MESSAGES = "/internal/preview-messages"

#: Calls that may carry ``epoch`` and ``at`` of :class:`EpochRequest` in their query.
CARRY_EPOCH = (CLAIM_MESSAGES, UPDATE_MESSAGE_STATUS, UPDATE_MESSAGE_STATUSES)
