"""What PHP's tables know of a message, a person, a campaign or a vendor, for ``sidecar find``."""

from pydantic import Field

from contracts.backend import Count, Reason, Retries
from contracts.lenient import LenientModel, StrictModel

#: Most things of one kind in an answer.
MAX_FOUND = 100

#: Rows of a table, the newest, whose titles or names are looked at: no index leads to those.
NEWEST = 10_000


class FindRequest(StrictModel):
    """Tell what the tables hold of whatever ``query`` names: a message (its wamid, the ``_uid`` of
    its row in the log or in the queue), a person (phone number, in any of its forms; ``_uid`` or
    part of the name of a contact), a campaign or a vendor (``_uid``, or part of the title).

    Changes nothing. A constant number of statements, each by an index; titles and names, to which
    no index leads, of the 10,000 newest rows of a table only. Of people the newest messages and
    rows are returned. With ``vendor_uid`` nothing of another vendor's.
    """

    query: str = Field(min_length=2, max_length=300)
    vendor_uid: str | None = None
    limit: int = Field(default=20, ge=1, le=MAX_FOUND, description="Most things of one kind.")


class FoundVendor(LenientModel):
    uid: str
    title: str | None = None


class FoundCampaign(LenientModel):
    uid: str
    vendor_uid: str
    title: str | None = None
    created_at: int | None = None


class FoundContact(LenientModel):
    """``wa_id`` is digits; null of people whose number is not known."""

    uid: str
    vendor_uid: str
    wa_id: str | None = None
    name: str | None = None
    opted_out: bool = False
    blocked: bool = False


class FoundRow(LenientModel):
    """A row of the queue that is still there. ``status``: :class:`contracts.backend.QueueStatus`.
    ``claimed_at``: since when a claim holds it. ``results`` are the results that were applied to
    it, as ``outcome:at``. ``superseded``: wamids of sends that failed later and were put back."""

    uid: str
    vendor_uid: str
    campaign_uid: str | None = None
    to: str | None = None
    recipient: str | None = None
    status: int
    retries: Retries = 0
    created_at: int | None = None
    scheduled_at: int | None = None
    updated_at: int | None = None
    claimed_at: int | None = None
    results: list[str] = []
    superseded: list[str] = []
    error_status: str | None = None
    error_message: Reason | None = None


class FoundEffect(LenientModel):
    """What an update has asked the sidecar to do. The id of a ``send_message`` is the ``_uid`` of
    its row in the log."""

    kind: str
    id: str | None = None


class FoundMessage(LenientModel):
    """A row of the log. Times that PHP has not kept are null: older packages, and the
    application's own crons, keep fewer.

    ``received_at``: when the sidecar took the webhook that brought it. ``statuses``: when each
    status was set, as Meta says, by its name. ``claimed_at``, ``accepted_at`` and ``results`` are
    what is known of a campaign's send, whose row in the queue was ``queue_row_uid``.
    ``source``: what wrote a reply. ``unanswered``: why nobody answers it.
    """

    uid: str
    vendor_uid: str
    campaign_uid: str | None = None
    wamid: str | None = None
    incoming: bool
    status: str | None = None
    wa_id: str | None = None
    phone_number_id: str | None = None
    created_at: int | None = None
    updated_at: int | None = None
    messaged_at: int | None = None
    received_at: int | None = None
    statuses: dict[str, int] = {}
    queue_row_uid: str | None = None
    claimed_at: int | None = None
    accepted_at: int | None = None
    results: list[str] = []
    error_code: int | None = None
    error_message: Reason | None = None
    reply_to: str | None = Field(
        default=None, description="The `_uid` of the message that it answers or quotes."
    )
    source: str | None = None
    unanswered: str | None = None
    effects: list[FoundEffect] = []


class FindAnswer(LenientModel):
    """The newest first. ``messages`` include those that a found message has asked for, and the one
    that it answers. ``more``: lists of which there is more than ``limit``. ``looked_at``: how many
    rows' titles or names were looked at, where there are more."""

    vendors: list[FoundVendor] = []
    campaigns: list[FoundCampaign] = []
    contacts: list[FoundContact] = []
    rows: list[FoundRow] = []
    messages: list[FoundMessage] = []
    more: list[str] = []
    looked_at: dict[str, Count] = {}
