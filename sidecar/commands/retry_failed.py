"""``sidecar campaigns retry-failed``: counting, asking, putting back, and starting again."""

from typing import Any

import click
import orjson

from contracts import backend as contract
from contracts.campaigns import CampaignAction, CampaignState
from sidecar.commands.campaign_actions import act
from sidecar.commands.campaigns_text import failed, stays
from sidecar.commands.context import Context, confirm, whoami
from sidecar.commands.tables import progress
from sidecar.format import messages
from sidecar.ops.failures import Failures
from sidecar.ops.retrying import RetryRefused, retry_failed
from sidecar.php.client import Backend


class RetryFailed:
    """One run. ``wanted``: the options by their names."""

    def __init__(
        self, context: Context, backend: Backend, campaign: contract.DueCampaign, **wanted: Any
    ) -> None:
        self._context = context
        self._backend = backend
        self._campaign = campaign
        self._codes: tuple[str, ...] = wanted["codes"]
        self._start: bool = wanted["start"]
        self._dry_run: bool = wanted["dry_run"]
        self._ask: bool = not wanted["yes"]
        #: How many there are, once they are counted.
        self._total: int | None = None
        self._as_json: bool = wanted["as_json"]

    async def run(self) -> None:
        counted = Failures()
        await self._pages(counted, dry_run=True)
        self._total = counted.retried
        if not self._as_json:
            self._show(counted)
        if self._dry_run or not counted.retried:
            self._tell(counted, 0)
            return
        if self._ask:
            confirm(f"Send {messages(counted.retried)} again?")
        done = Failures()
        try:
            await self._put_back(done)
        finally:  # also when PHP fails half way, or somebody has had enough
            self._tell(counted, done.retried, complete=done.complete)
        await self._start_again()

    async def _put_back(self, done: Failures) -> None:
        uid, codes = self._campaign.campaign_uid, list(self._codes)
        async with self._context.audit.doing(whoami(), "campaign.retry_failed", uid) as doing:
            doing.details |= {"codes": codes} if codes else {}
            try:
                await self._pages(done, dry_run=False)
            finally:
                doing.details["messages"] = done.retried

    async def _pages(self, into: Failures, *, dry_run: bool) -> None:
        try:
            pages = retry_failed(self._backend, self._campaign, self._codes, dry_run=dry_run)
            what = "counting failed messages" if dry_run else "failed messages back to the queue"
            with progress(what, self._total) as done:
                async for page in pages:
                    into.add(page)
                    done(page.retried)
        except RetryRefused as error:
            raise click.ClickException(str(error)) from None

    def _show(self, counted: Failures) -> None:
        for words in failed([one for one in counted.all if one.again], complete=True):
            click.echo(words, err=True)
        for words in stays(counted.all, self._campaign):
            click.echo(words, err=True)

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
            click.echo(f"{messages(counted.retried)} can be sent again; nothing was done")
        elif done or complete:
            click.echo(f"{messages(done)} in the queue again")
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
