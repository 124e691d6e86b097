"""``sidecar rollback``: giving vendors' work back to PHP."""

import click

from contracts.modes import Capability, Mode
from sidecar.commands.context import Context, json_option, with_context
from sidecar.commands.dry_run import show, with_dry_run
from sidecar.commands.moving import change, move, with_reason
from sidecar.migration.rollout import ROLLBACK_S, rollback_all_reason


@click.command()
@click.argument("vendor_uids", metavar="VENDOR...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All vendors.")
@with_reason
@with_dry_run
@json_option
@with_context("modes", log_level="error")
async def rollback(
    context: Context,
    vendor_uids: tuple[str, ...],
    everything: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give vendors' work back to PHP.

    Webhooks, campaigns and bots, all at once. Nothing more is claimed, claimed but unsent messages
    return to the queue, and sends under way finish. What is in the inbox is still handed to PHP.
    The command can be repeated. Exits 1 if another run is needed.
    """
    if bool(vendor_uids) == everything:
        raise click.UsageError("name the vendors, or say --all")
    modes = dict.fromkeys(Capability, Mode.PHP)
    reason = rollback_all_reason(reason) if everything else reason or "rollback"
    asked = change(list(vendor_uids), modes, reason, ROLLBACK_S)
    if dry_run:
        await show(context, asked, as_json=as_json)
        return
    await move(context, asked, brief=everything, as_json=as_json)
