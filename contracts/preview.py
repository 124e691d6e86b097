"""Rows of campaigns as a claim would give them out, for looking at what would be sent, and for
comparing it with what PHP's own cron has sent."""

from typing import Any, Self

from pydantic import Field, model_validator

from contracts.backend import MAX_CLAIM, ClaimedRow
from contracts.lenient import LenientModel, StrictModel


class PreviewMessagesRequest(StrictModel):
    """Tell what a claim would make of rows. Changes nothing, whoever sends for the vendor.

    With ``campaign_uid``: the campaign's queued rows (1), due or not, in the order of ``_id``.
    With ``ended_since`` (unix ms): rows of vendors whose campaigns are in shadow that PHP's cron
    has ended since (2, 4, 5), the earliest first; a row that has had its status is gone. ``limit``
    is how many rows are looked at, those of other vendors too. ``after`` is ``next`` of the page
    before. 404 ``campaign_unknown`` where there is no such campaign.
    """

    campaign_uid: str | None = None
    ended_since: int | None = None
    limit: int = Field(default=100, ge=1, le=MAX_CLAIM)
    after: str | None = Field(default=None, max_length=100)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.campaign_uid is None) == (self.ended_since is None):
            raise ValueError("campaign_uid, ended_since: one of them is needed")
        return self


class SentByPhp(LenientModel):
    """What PHP's log says of the message that its cron has sent. ``to`` is what the API was given,
    as it answered, or else the number that it has corrected that to. ``components`` are null where
    the log does not have them."""

    wamid: str | None = None
    phone_number_id: str | None = None
    to: str | None = None
    template_name: str | None = None
    template_language: str | None = None
    components: list[Any] | None = None


class PreviewedMessage(LenientModel):
    """``skipped``: why a claim would not give the row out (``campaign_expired_error``,
    ``contact_opted_out_error`` and so on, as ``error_status`` has it): of a row that has ended,
    whether it was too old then, and what its contact is now. ``error_status`` is the row's, of its
    last attempt. Times are unix ms. ``sent``: of a row in 4; null where the log does not have
    it."""

    vendor_uid: str
    campaign_uid: str
    row: ClaimedRow
    skipped: str | None = None
    status: int
    due_at: int | None = None
    ended_at: int | None = None
    error_status: str | None = None
    sent: SentByPhp | None = None


class PreviewMessagesAnswer(LenientModel):
    """``next`` is where the next page begins, also after one without a message; null where this is
    the last one. ``looked_until`` (unix ms): when the last row that was looked at ended, whoever's
    it is; null where there was none, and of a campaign."""

    messages: list[PreviewedMessage]
    next: str | None = None
    looked_until: int | None = None
