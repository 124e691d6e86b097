"""Pausing, resuming and cancelling campaigns from the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from contracts.campaigns import CampaignAction
from sidecar.commands.context import Context, whoami
from sidecar.ops import campaign_actions
from sidecar.ops.campaign_actions import MAX_REASON
from sidecar.php.vendors import make_vendors
from sidecar.sending.campaign_control import CampaignControl


@asynccontextmanager
async def _control(context: Context) -> AsyncIterator[CampaignControl]:
    backend = context.backend()
    vendors = make_vendors(context.settings, backend)
    control = CampaignControl(context.redis(), backend, vendors)
    try:
        yield control
    finally:
        await control.close()
        await vendors.close()


async def act(
    context: Context,
    uids: tuple[str, ...],
    action: CampaignAction,
    reason: str | None,
    as_json: bool,
) -> None:
    """Do it to each campaign, and say how each stands. Ends the command with 1 if one could not be
    brought to it."""
    if reason is not None and len(reason) > MAX_REASON:
        raise click.BadParameter(f"at most {MAX_REASON} characters", param_hint="--reason")
    failed_of, by = 0, (context.audit, whoami())
    async with _control(context) as control:
        for uid in dict.fromkeys(uids):
            acted = await campaign_actions.act(control, uid, action, reason, by)
            if acted.answer is not None:
                click.echo(acted.answer.model_dump_json() if as_json else str(acted))
            if acted.trouble is not None:
                click.echo(f"campaign {uid}: {acted.trouble}", err=True)
                failed_of += 1
    if failed_of:
        raise click.exceptions.Exit(1)
