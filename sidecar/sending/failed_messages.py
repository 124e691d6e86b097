"""Failed rows of a campaign, which PHP keeps: counting them by their error, and putting those back
into the queue that were certainly not sent."""

from collections.abc import AsyncIterator, Sequence

from contracts import backend as contract
from sidecar.php.client import Backend
from sidecar.php.package import call_if_there


class FailedMessages:
    """Raises :class:`sidecar.php.client.BackendError` where PHP does not answer as it should."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def retry(
        self,
        campaign: contract.DueCampaign,
        codes: Sequence[str] = (),
        *,
        dry_run: bool = False,
    ) -> AsyncIterator[contract.RetryMessagesAnswer]:
        """Put failed rows back, a page at a time, and yield what PHP says of each page. ``codes``:
        only those with these errors (``RetryMessagesRequest``); empty: with any. With ``dry_run``
        they are only counted. May be broken off between pages, and repeated."""
        after: str | None = None
        while True:
            request = contract.RetryMessagesRequest(
                vendor_uid=campaign.vendor_uid,
                campaign_uid=campaign.campaign_uid,
                codes=list(codes) or None,
                after=after,
                dry_run=dry_run,
            )
            page = await call_if_there(
                self._backend, contract.RETRY_MESSAGES, request, contract.RetryMessagesAnswer
            )
            yield page
            after = page.next
            if after is None:
                return
