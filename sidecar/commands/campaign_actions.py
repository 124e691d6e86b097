"""Pausing, resuming and cancelling campaigns from the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from contracts.backend import ErrorCode
from contracts.campaigns import CampaignAction, CampaignState
from sidecar.commands.context import Context
from sidecar.php.vendors import make_vendors
from sidecar.sending.campaign_control import CampaignControl, CampaignRefused, PhpNotTold


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
    if reason is not None and len(reason) > 500:
        raise click.BadParameter("at most 500 characters", param_hint="--reason")
    failed_of = 0
    async with _control(context) as control:
        for uid in dict.fromkeys(uids):
            trouble = await _act_on(control, uid, action, reason, as_json)
            if trouble is not None:
                click.echo(f"campaign {uid}: {trouble}", err=True)
                failed_of += 1
    if failed_of:
        raise click.exceptions.Exit(1)


async def _act_on(
    control: CampaignControl, uid: str, action: CampaignAction, reason: str | None, as_json: bool
) -> str | None:
    """Return what went wrong."""
    try:
        answer = await control.act(uid, action, reason)
    except CampaignRefused as error:
        if error.code == ErrorCode.CAMPAIGN_CANCELLED:
            return "it was cancelled, and stays so; PHP's admin can start it again"
        return str(error)
    except PhpNotTold as error:
        return f"stopped; PHP does not know it yet, and a worker tells it when it answers: {error}"
    if as_json:
        click.echo(answer.model_dump_json())
    else:
        counts = answer.counts
        why = f": {answer.reason}" if answer.reason else ""
        click.echo(
            f"campaign {uid} is {answer.state}{why}; "
            f"{counts.queued:,} queued, {counts.processing:,} claimed, {counts.unknown:,} unknown"
        )
    if action is CampaignAction.RESUME and answer.state is not CampaignState.RUNNING:
        return "somebody has stopped it meanwhile"
    if answer.warning and action is not CampaignAction.RESUME:
        return (
            "PHP gives out no more messages, but Redis could not be told: what workers have in "
            f"hand may still go out. Repeat the command when Redis is back ({answer.warning})"
        )
    return answer.warning
