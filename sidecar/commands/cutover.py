"""``sidecar cutover``, ``rollback`` and ``rollout``: moving vendors' work."""

import getpass
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from contracts.modes import Mode, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.clock import utc_text
from sidecar.commands.modes_text import HEAD, line, outcome, unfinished

if TYPE_CHECKING:
    from sidecar.migration.cutover import Cutover
    from sidecar.migration.rollout import Plan
    from sidecar.php.client import Backend

#: What may be asked for; ``held`` is for the moment of a change.
_MODE = click.Choice([mode.value for mode in (Mode.PHP, Mode.SHADOW, Mode.SIDECAR)])
#: A rollback of everything takes no longer where PHP and the workers answer.
ROLLBACK_S = 9.0
CUTOVER_S = 60.0
#: Vendors of a rollout that are shown and do not change.
MAX_SHOWN = 20

_REASON = click.option("--reason", help="Kept with the change; see sidecar modes history.")
_WEBHOOKS = click.option("--webhooks", type=_MODE, help="Who takes webhooks.")
_CAMPAIGNS = click.option("--campaigns", type=_MODE, help="Who sends campaigns.")
_BOTS = click.option("--bots", type=_MODE, help="Who matches bots.")


@click.command()
@click.argument("vendor_uids", metavar="VENDOR...", nargs=-1, required=True)
@_WEBHOOKS
@_CAMPAIGNS
@_BOTS
@_REASON
def cutover(
    vendor_uids: tuple[str, ...],
    webhooks: str | None,
    campaigns: str | None,
    bots: str | None,
    reason: str | None,
) -> None:
    """Move vendors' work, to the sidecar or wherever it is to be done.

    Campaigns rest for a moment on their way, so that what one side has begun ends before the other
    begins. The command may be repeated, also after it was broken off. Ends with 1 if it has to be.
    """
    asked = _asked(list(vendor_uids), webhooks, campaigns, bots, reason)

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        await _move(cutover, asked, brief=False)

    _run(run)


@click.command()
@click.argument("vendor_uids", metavar="VENDOR...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All vendors.")
@_REASON
def rollback(vendor_uids: tuple[str, ...], everything: bool, reason: str | None) -> None:
    """Give vendors' work back to PHP: webhooks, campaigns and bots.

    Nothing more is claimed; what was claimed and not sent returns to the queue; what is under way
    ends. What the inbox still holds is handed to PHP as ever. The command may be repeated. Ends
    with 1 if it has to be.
    """
    from sidecar.migration.rollout import ROLLBACK_ALL

    if bool(vendor_uids) == everything:
        raise click.UsageError("name the vendors, or say --all")
    php = Mode.PHP.value
    why = _why(ROLLBACK_ALL, reason) if everything else reason or "rollback"
    asked = _asked(list(vendor_uids), php, php, php, why, ROLLBACK_S)

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        await _move(cutover, asked, brief=everything)

    _run(run)


@click.command()
@_WEBHOOKS
@_CAMPAIGNS
@_BOTS
@click.option("--percent", type=click.FloatRange(0, 100), required=True)
@click.option("--except", "excepted", metavar="VENDOR", multiple=True, help="Leave this one out.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@_REASON
def rollout(
    webhooks: str | None,
    campaigns: str | None,
    bots: str | None,
    percent: float,
    excepted: tuple[str, ...],
    dry_run: bool,
    reason: str | None,
) -> None:
    """Move a percentage of all vendors.

    The hash of a vendor's uid decides, so larger percentages contain the smaller ones. Vendors
    outside of it stay as they are. Those in it that were changed by hand before are shown, and move
    with the others unless --except names them.
    """
    from sidecar.migration.rollout import ROLLOUT, make_plan

    why = _why(f"{ROLLOUT}{percent:g} percent", reason)
    asked = _asked([], webhooks, campaigns, bots, why)

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        vendors = (await cutover.read(history=True)).vendors
        known = {vendor.vendor_uid for vendor in vendors}
        if missing := [uid for uid in excepted if uid not in known]:
            raise click.ClickException(f"PHP knows no vendor {missing[0]}; nothing was changed")
        plan = make_plan(vendors, asked, percent, excepted)
        click.echo(
            f"{len(plan.chosen):,} of {len(vendors):,} vendors are in {percent:g} percent; "
            f"{len(plan.moving):,} of them change"
        )
        _show(plan, asked, everything=dry_run)
        if plan.moving and not dry_run:
            uids = [vendor.vendor_uid for vendor in plan.moving]
            await _move(cutover, asked.model_copy(update={"vendor_uids": uids}), brief=True)

    _run(run)


def _show(plan: "Plan", asked: ModesChange, *, everything: bool) -> None:
    from sidecar.migration.rollout import changed_by_hand

    hands = [(vendor, changed_by_hand(vendor, asked)) for vendor in plan.moving]
    if everything and plan.moving:
        click.echo(HEAD)
        for vendor in plan.moving:
            click.echo(line(vendor.vendor_uid, vendor.modes, vendor.title))
    if any(hand for _, hand in hands):
        click.echo("Changed by hand before; --except leaves one out:")
    for vendor, hand in hands:
        if hand:
            why = f": {hand.reason}" if hand.reason else ""
            words = f"{hand.by or 'somebody'} on {utc_text(hand.at)}{why}"
            click.echo(line(vendor.vendor_uid, vendor.modes, words))
    if plan.ahead:
        click.echo(f"{len(plan.ahead):,} vendors outside of it are so already, and stay so:")
    _list(plan.ahead)


def _list(vendors: list[VendorModes]) -> None:
    for vendor in vendors[:MAX_SHOWN]:
        click.echo(line(vendor.vendor_uid, vendor.modes, vendor.title))
    if len(vendors) > MAX_SHOWN:
        click.echo(f"and {len(vendors) - MAX_SHOWN:,} more; see sidecar modes list")


def _asked(
    vendor_uids: list[str],
    webhooks: str | None,
    campaigns: str | None,
    bots: str | None,
    reason: str | None,
    timeout_s: float = CUTOVER_S,
) -> ModesChange:
    if not (webhooks or campaigns or bots):
        raise click.UsageError("say what to move: --webhooks, --campaigns or --bots")
    return ModesChange(
        vendor_uids=vendor_uids,
        webhooks=webhooks and Mode(webhooks),
        campaigns=campaigns and Mode(campaigns),
        bots=bots and Mode(bots),
        by=f"{getpass.getuser()}@{socket.gethostname()}"[:100],
        reason=None if reason is None else reason[:500],
        timeout_s=timeout_s,
    )


def _why(what: str, reason: str | None) -> str:
    return f"{what}: {reason}" if reason else what


async def _move(cutover: "Cutover", asked: ModesChange, *, brief: bool) -> None:
    from sidecar.php.client import BackendError
    from sidecar.redis.client import UNAVAILABLE, RedisError

    try:
        changed = await cutover.move(asked)
    except (BackendError, *UNAVAILABLE, RedisError) as error:
        whose = "PHP" if isinstance(error, BackendError) else "Redis"
        raise click.ClickException(
            f"{whose} cannot be used: {error}. What was changed before that holds, and campaigns "
            "may be held: repeat the command"
        ) from None
    for words in outcome(changed, asked, brief=brief):
        click.echo(words)
    if problem := unfinished(changed, asked):
        raise click.ClickException(problem)


def _run(run: "Callable[[Cutover, Backend], Awaitable[None]]") -> None:
    # Only here: every command imports this module, and would begin the later.
    from sidecar.commands.start import load_settings
    from sidecar.commands.with_php import run_with_cutover

    run_with_cutover(load_settings("modes"), run)
