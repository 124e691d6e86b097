"""``sidecar campaigns retry-failed``: counting, asking, putting back, and starting again."""

from collections.abc import Iterator
from typing import Any

import click
import orjson

from contracts import backend as contract
from contracts.backend import ErrorCode
from contracts.campaigns import CampaignAction, CampaignState
from sidecar.commands.campaign_actions import act
from sidecar.commands.campaigns_text import failed, stays
from sidecar.commands.context import Context
from sidecar.ops.failures import Failures
from sidecar.php.client import Backend, BackendRefused
from sidecar.sending.failed_messages import FailedMessages


class RetryFailed:
    """One run. ``wanted``: the options by their names."""

    def __init__(
        self, context: Context, backend: Backend, campaign: contract.DueCampaign, **wanted: Any
    ) -> None:
        self._context = context
        self._messages = FailedMessages(backend)
        self._campaign = campaign
        self._codes: tuple[str, ...] = wanted["codes"]
        self._start: bool = wanted["start"]
        self._dry_run: bool = wanted["dry_run"]
        self._ask: bool = not wanted["yes"]
        self._as_json: bool = wanted["as_json"]

    async def run(self) -> None:
        counted = Failures()
        await self._pages(counted, dry_run=True)
        if not self._as_json:
            self._show(counted)
        if self._dry_run or not counted.retried:
            self._tell(counted, 0)
            return
        if self._ask:
            click.confirm(f"Send {_messages(counted.retried)} again?", abort=True, err=True)
        done = Failures()
        try:
            await self._pages(done, dry_run=False)
        finally:  # also when PHP fails half way, or somebody has had enough
            self._tell(counted, done.retried, complete=done.complete)
        await self._start_again()

    async def _pages(self, into: Failures, *, dry_run: bool) -> None:
        try:
            async for page in self._messages.retry(self._campaign, self._codes, dry_run=dry_run):
                into.add(page)
        except BackendRefused as error:
            raise click.ClickException(self._refused(error)) from None

    def _refused(self, error: BackendRefused) -> str:
        uid, vendor_uid = self._campaign.campaign_uid, self._campaign.vendor_uid
        if error.code == ErrorCode.CAMPAIGN_CANCELLED:
            return f"campaign {uid} was cancelled, so nothing of it is sent again"
        if error.code == ErrorCode.VENDOR_NOT_ON_SIDECAR:
            return (
                f"campaigns of vendor {vendor_uid} are sent by PHP's own crons; move the vendor "
                "first: sidecar cutover"
            )
        return f"PHP refused the call: {error}"

    def _show(self, counted: Failures) -> None:
        for words in failed([one for one in counted.all if one.again], complete=True):
            click.echo(words, err=True)
        for words in (*stays(counted.all), *self._elsewhere()):
            click.echo(words, err=True)

    def _elsewhere(self) -> Iterator[str]:
        """Return how many others did not reach anybody, of which no row has failed."""
        counts = self._campaign.counts
        if counts.failed:
            yield f"{counts.failed:>10,} left out: Meta accepted them, and they failed later"
        if counts.unknown:
            yield f"{counts.unknown:>10,} left out: nobody knows whether they were sent; see " + (
                f"sidecar unknown list --campaign {self._campaign.campaign_uid}"
            )

    def _tell(self, counted: Failures, done: int, *, complete: bool = True) -> None:
        if self._as_json:
            found = {
                "campaign_uid": self._campaign.campaign_uid,
                "found": counted.retried,
                "done": done,
                "complete": complete and (done > 0 or not counted.retried),
                "failures": [one.json for one in counted.all],
            }
            click.echo(orjson.dumps(found).decode())
        elif not counted.retried:
            click.echo("no failed message can be sent again")
        elif self._dry_run:
            click.echo(f"{_messages(counted.retried)} can be sent again; nothing was done")
        elif done or complete:
            click.echo(f"{_messages(done)} in the queue again")
        if not complete:
            click.echo("This is not all: repeat the command to go on.", err=True)

    async def _start_again(self) -> None:
        if self._campaign.state is not CampaignState.PAUSED:
            return
        uid = self._campaign.campaign_uid
        why = f" ({self._campaign.reason})" if self._campaign.reason else ""
        if not self._start and self._ask:
            self._start = click.confirm(f"The campaign is paused{why}. Resume it?", err=True)
        if not self._start:
            click.echo(
                f"The campaign is paused{why}. To send them: sidecar campaigns resume {uid}",
                err=True,
            )
            return
        await act(self._context, (uid,), CampaignAction.RESUME, None, self._as_json)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"
