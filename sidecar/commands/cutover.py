"""``sidecar cutover``: moving vendors' work."""

import click

from contracts.modes import Capability, Mode
from sidecar.commands.context import Context, json_option, with_context
from sidecar.commands.dry_run import show, with_dry_run
from sidecar.commands.moving import change, move, with_modes, with_reason


@click.command()
@click.argument("vendor_uids", metavar="VENDOR...", nargs=-1, required=True)
@with_modes
@with_reason
@with_dry_run
@json_option
@with_context("modes", log_level="error")
async def cutover(
    context: Context,
    vendor_uids: tuple[str, ...],
    modes: dict[Capability, Mode],
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move vendors' work to the sidecar, shadow or PHP.

    Campaigns pause for a moment on the way, so that one side finishes before the other begins.
    The command can be repeated, also after an interruption. Exits 1 if another run is needed.
    """
    asked = change(list(vendor_uids), modes, reason)
    if dry_run:
        await show(context, asked, as_json=as_json)
        return
    await move(context, asked, brief=False, as_json=as_json)
