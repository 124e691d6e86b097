"""Sending failed messages of a campaign again: counting them, and putting them back."""

from collections.abc import AsyncIterator, Iterator, Sequence

from contracts import backend as contract
from contracts.backend import ErrorCode
from sidecar.ops.failures import Failures
from sidecar.php.client import Backend, BackendRefused
from sidecar.php.package import PackageTooOld
from sidecar.sending.failed_messages import FailedMessages

#: Pages that are looked at where a person waits for it, of a thousand rows each.
MAX_PAGES = 20


class RetryRefused(Exception):
    """PHP does not do it; the message says why, for a person."""


async def retry_failed(
    backend: Backend,
    campaign: contract.DueCampaign,
    codes: Sequence[str] = (),
    *,
    dry_run: bool,
) -> AsyncIterator[contract.RetryMessagesAnswer]:
    """As :meth:`sidecar.sending.failed_messages.FailedMessages.retry`. Raises
    :class:`RetryRefused` and ``BackendError``."""
    try:
        async for page in FailedMessages(backend).retry(campaign, codes, dry_run=dry_run):
            yield page
    except PackageTooOld as error:
        raise RetryRefused(str(error)) from None
    except BackendRefused as error:
        raise RetryRefused(_refused(campaign, error)) from None


async def add_pages(
    into: Failures, pages: AsyncIterator[contract.RetryMessagesAnswer], most: int = MAX_PAGES
) -> None:
    """Add up the first pages: ``into.complete`` tells whether these were all."""
    seen = 0
    async for page in pages:
        into.add(page)
        seen += 1
        if seen == most:
            return


def _refused(campaign: contract.DueCampaign, error: BackendRefused) -> str:
    if error.code == ErrorCode.CAMPAIGN_CANCELLED:
        return f"campaign {campaign.campaign_uid} was cancelled, so nothing of it is sent again"
    if error.code == ErrorCode.VENDOR_NOT_ON_SIDECAR:
        return (
            f"campaigns of vendor {campaign.vendor_uid} are sent by PHP's own crons; move the "
            "vendor first: sidecar cutover"
        )
    return f"PHP refused the call: {error}"


async def failures_of(
    backend: Backend, campaign: contract.DueCampaign | None
) -> tuple[Failures, str | None]:
    """Return what a campaign's rows have failed of, and why that is not known."""
    failures = Failures()
    if campaign is None or not campaign.counts.error:
        failures.complete = True
        return failures, None
    try:
        await add_pages(failures, retry_failed(backend, campaign, dry_run=True))
    except RetryRefused as error:  # it is cancelled, say: then none goes again
        return failures, str(error)
    return failures, None


def left_elsewhere(counts: contract.CampaignCounts) -> Iterator[tuple[str, int]]:
    """Return how many others have not reached anybody, of which no row has failed, and why they
    are not sent again."""
    if counts.failed:
        yield "Meta accepted them, and they failed later", counts.failed
    if counts.unknown:
        yield "nobody knows whether they were sent", counts.unknown
