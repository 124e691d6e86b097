"""``sidecar campaigns``: how campaigns stand, stopping and starting them, and sending again what
failed."""

from typing import Any

import click
import orjson

from contracts import backend as contract
from contracts.campaigns import CampaignAction, CampaignState
from sidecar.commands.campaign_actions import act
from sidecar.commands.campaigns_text import (
    NAMES,
    described,
    failed,
    failed_later,
    planned,
    row,
)
from sidecar.commands.context import Context, confirm, with_context
from sidecar.commands.moving import me
from sidecar.commands.retry_failed import RetryFailed
from sidecar.commands.tables import print_table
from sidecar.ops.campaigns import Campaign, read_all, read_one
from sidecar.ops.dry_run import dry_run as look
from sidecar.ops.numbers import lines_of, state_text
from sidecar.ops.retrying import failures_of
from sidecar.php.client import Backend
from sidecar.redis.client import Redis, RedisUnavailable, reason_of
from sidecar.sending.numbers import NumberState
from sidecar.sending.suppression import Suppressed

_uids = click.argument("uids", metavar="CAMPAIGN...", nargs=-1, required=True)
_reason = click.option("--reason", metavar="TEXT", help="Shown to people, also in PHP's admin.")
_json = click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")


@click.group()
def campaigns() -> None:
    """Show, stop and start campaigns, and send again.

    The same as in PHP's admin, and works while Redis or PHP is away as far as that is possible.
    """


@campaigns.command(name="list")
@click.option("--vendor", metavar="UID", help="Only this vendor's.")
@click.option(
    "--state",
    type=click.Choice([one.value for one in CampaignState]),
    help="Only those in this state.",
)
@_json
@with_context("campaigns", log_level="error")
async def list_campaigns(
    context: Context, vendor: str | None, state: str | None, as_json: bool
) -> None:
    """List campaigns that are not over.

    With how far each is, and why it does not send: those that are sent, due later, waiting, paused,
    or have messages of unknown outcome. Cancelled ones stand here only with --state cancelled. One
    that is over is not listed; show knows it.
    """
    redis, lost = await _redis(context)
    found = [
        one
        for one in await read_all(redis, context.backend())
        if vendor in (None, one.vendor_uid)
        and (one.state == state if state else one.state != CampaignState.CANCELLED)
    ]
    if as_json:
        for one in found:
            click.echo(orjson.dumps(one.json).decode())
    elif not print_table(NAMES, map(row, found)):
        click.echo("every campaign is over, or was cancelled")
    _fail_without_redis(lost)


@campaigns.command()
@click.argument("uid", metavar="CAMPAIGN")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_context("campaigns", log_level="error")
async def show(context: Context, uid: str, as_json: bool) -> None:
    """Show a campaign, its errors, and what to do.

    How far it is, why it waits, which worker has it, how its number stands, and what its messages
    have failed of.
    """
    redis, lost = await _redis(context)
    backend = context.backend()
    one = await read_one(redis, backend, uid, errors=True)
    if one.php is None and one.work is None:
        raise click.ClickException(f"PHP knows no campaign {uid}")
    states = await _numbers(redis, backend, one)
    failures, trouble = await failures_of(backend, one.php)
    if as_json:
        known = {
            "numbers": [number.number for number, _ in states],
            "failures": [failure.json for failure in failures.all],
            "failures_complete": failures.complete,
        }
        click.echo(orjson.dumps(one.json | known, option=orjson.OPT_INDENT_2).decode())
    else:
        for words in described(one, states):
            click.echo(words)
        if failures.all:
            click.echo("failed:")
        now = failed(failures.all, complete=failures.complete or trouble is not None)
        for words in (*now, *failed_later(one)):
            click.echo(words)
    if trouble:
        click.echo(f"errors by code are not known: {trouble}", err=True)
    _fail_without_redis(lost)


async def _redis(context: Context) -> tuple[Redis | None, str | None]:
    """Return a client, or why there is none to be had."""
    redis = context.redis(timeout_s=2.0)
    try:
        await redis.ping()
    except RedisUnavailable as error:
        return None, reason_of(error)
    return redis, None


def _fail_without_redis(lost: str | None) -> None:
    if lost is not None:
        raise click.ClickException(
            f"this is only what PHP knows: Redis is unavailable: {lost}; sidecar check tries it"
        )


async def _numbers(
    redis: Redis | None, backend: Backend, one: Campaign
) -> list[tuple[NumberState, str]]:
    """Return the lines that a campaign's vendor sends from, and how they stand."""
    if redis is None or one.vendor_uid is None:
        return []
    request = contract.VendorConfigRequest(vendor_uids=[one.vendor_uid])
    answer = await backend.call(contract.VENDOR_CONFIG, request, contract.VendorConfigAnswer)
    lines = [line for config in answer.vendors for line in await lines_of(redis, config)]
    return [(state, state_text(state)) for _, state in lines if state is not None]


@campaigns.command(name="dry-run")
@click.argument("uid", metavar="CAMPAIGN")
@click.option(
    "--show",
    "shown",
    type=click.IntRange(0, 1000),
    default=3,
    show_default=True,
    help="Requests that are printed, the first ones.",
)
@click.option(
    "--most",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Queued messages that are looked at, the first ones.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_context("campaigns", log_level="error")
async def dry_run(context: Context, uid: str, shown: int, most: int, as_json: bool) -> None:
    """Show what a campaign would send.

    The first requests to the Cloud API, how many messages go from which number and how long that
    takes, and what is skipped and why. Claims and sends nothing, and works for vendors whose
    campaigns PHP sends, too.
    """
    redis, lost = await _redis(context)
    backend = context.backend()
    one = await read_one(redis, backend, uid)
    if one.php is None:
        raise click.ClickException(f"PHP knows no campaign {uid}")
    suppressed = Suppressed(redis, context.settings.suppress_s) if redis else None
    found = await look(backend, suppressed, context.settings, one.php, shown=shown, most=most)
    if as_json:
        known = {"campaign_uid": uid, "vendor_uid": one.vendor_uid, "state": one.state}
        click.echo(orjson.dumps(known | found.json, option=orjson.OPT_INDENT_2).decode())
    else:
        for words in planned(one, found):
            click.echo(words)
    _fail_without_redis(lost)


# -- stopping and starting --


@campaigns.command()
@_uids
@_reason
@_json
@with_context("campaigns")
async def pause(context: Context, uids: tuple[str, ...], reason: str | None, as_json: bool) -> None:
    """Stop sending. What was claimed and not sent goes back to the queue."""
    await act(context, uids, CampaignAction.PAUSE, reason or f"by {me()}", as_json)


@campaigns.command()
@_uids
@_reason
@_json
@with_context("campaigns")
async def resume(
    context: Context, uids: tuple[str, ...], reason: str | None, as_json: bool
) -> None:
    """Go on with paused campaigns. Pauses of the vendor's numbers, accounts and access token are
    tried again too; if the fault stands, the first message pauses them once more."""
    await act(context, uids, CampaignAction.RESUME, reason, as_json)


@campaigns.command()
@_uids
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
@with_context("campaigns")
async def cancel(
    context: Context, uids: tuple[str, ...], reason: str | None, yes: bool, as_json: bool
) -> None:
    """Stop campaigns for good: they cannot be resumed. Only PHP's admin can start them again."""
    if not yes:
        confirm(f"Cancel {', '.join(uids)}? This cannot be resumed")
    await act(context, uids, CampaignAction.CANCEL, reason or f"by {me()}", as_json)


# -- again --


@campaigns.command(name="retry-failed")
@click.argument("uid", metavar="CAMPAIGN")
@click.option(
    "--code",
    "codes",
    metavar="N",
    multiple=True,
    help="Only those that failed with this error, as show names it; may be repeated.",
)
@click.option("--start", is_flag=True, help="Resume the campaign afterwards, if it is paused.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: what was done.")
@with_context("campaigns", log_level="error")
async def retry_failed(context: Context, /, uid: str, **wanted: Any) -> None:
    """Send failed messages again.

    Only those that were certainly not sent go back into the queue; others are counted with the
    reason. A paused campaign stays paused, unless you say --start or yes to the question. May be
    interrupted and repeated: what is in the queue again is not failed any more.
    """
    backend = context.backend()
    found = (await read_one(None, backend, uid)).php
    if found is None:
        raise click.ClickException(f"PHP knows no campaign {uid}")
    await RetryFailed(context, backend, found, **wanted).run()
