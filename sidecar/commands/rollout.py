"""``sidecar rollout``: moving a percentage of all vendors."""

import click
import orjson

from contracts.modes import Capability, Mode, PastChange, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.clock import utc_text
from sidecar.commands.context import Context, json_option, with_context
from sidecar.commands.modes_text import NAMES, row
from sidecar.commands.moving import change, cutover_of, move, with_modes, with_reason
from sidecar.commands.tables import print_table
from sidecar.format import many
from sidecar.migration.cutover import VendorUnknown
from sidecar.migration.moving import why_not
from sidecar.migration.rollout import Plan, changed_by_hand, make_plan, rollout_reason

#: Vendors that are shown and do not change.
MAX_SHOWN = 20


@click.command()
@with_modes
@click.option("--percent", type=click.FloatRange(0, 100), required=True)
@click.option("--except", "excepted", metavar="VENDOR", multiple=True, help="Leave this one out.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@with_reason
@json_option
@with_context("modes", log_level="error")
async def rollout(
    context: Context,
    modes: dict[Capability, Mode],
    percent: float,
    excepted: tuple[str, ...],
    dry_run: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """Move a percentage of all vendors.

    The hash of a vendor's uid decides, so larger percentages contain the smaller ones. Vendors
    outside the percentage do not change. Vendors in it that were changed by hand are listed, and
    move with the others unless --except names them.
    """
    asked = change([], modes, rollout_reason(percent, reason))
    vendors = (await cutover_of(context).read(history=True)).vendors
    try:
        plan = make_plan(vendors, asked, percent, excepted)
    except VendorUnknown as error:
        raise click.ClickException(f"{why_not(error)}; nothing was changed") from None
    if not as_json:
        click.echo(
            f"{len(plan.chosen):,} of {plan.total:,} vendors are in {percent:g} percent; "
            f"{len(plan.moving):,} of them change{'s' if len(plan.moving) == 1 else ''}"
        )
        _show(plan, asked, everything=dry_run)
    uids = [vendor.vendor_uid for vendor in plan.moving]
    if uids and not dry_run:
        moving = asked.model_copy(update={"vendor_uids": uids})
        await move(context, moving, brief=True, as_json=as_json)
    elif as_json:
        click.echo(orjson.dumps({"would_move": uids, "vendors": []}).decode())


def _show(plan: Plan, asked: ModesChange, *, everything: bool) -> None:
    hands = [(vendor, changed_by_hand(vendor, asked)) for vendor in plan.moving]
    if everything:
        print_table(NAMES, map(_row, plan.moving))
    if any(hand for _, hand in hands):
        click.echo("Changed by hand before; --except leaves one out:")
        print_table(NAMES, (_by_hand(vendor, hand) for vendor, hand in hands if hand))
    if plan.ahead:
        click.echo(
            many(
                len(plan.ahead),
                "vendor outside it has these modes already and keeps them:",
                "vendors outside it have these modes already and keep them:",
            )
        )
    print_table(NAMES, map(_row, plan.ahead[:MAX_SHOWN]))
    if len(plan.ahead) > MAX_SHOWN:
        click.echo(f"and {len(plan.ahead) - MAX_SHOWN:,} more; see sidecar modes list")


def _row(vendor: VendorModes) -> tuple[str, ...]:
    return row(vendor.vendor_uid, vendor.modes, vendor.title)


def _by_hand(vendor: VendorModes, hand: PastChange) -> tuple[str, ...]:
    reason = f": {hand.reason}" if hand.reason else ""
    words = f"{hand.by or 'somebody'} on {utc_text(hand.at)}{reason}"
    return row(vendor.vendor_uid, vendor.modes, words)
