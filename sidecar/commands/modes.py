"""``sidecar modes``: who does which vendor's work."""

import click

from contracts.modes import Capability, PastChange
from sidecar.clock import utc_text
from sidecar.commands.context import Context, with_context
from sidecar.commands.modes_text import NAMES, row, totals
from sidecar.commands.moving import cutover_of
from sidecar.commands.tables import print_table
from sidecar.format import many
from sidecar.php.modes import held


@click.group()
def modes() -> None:
    """Show who does which vendor's work: PHP or the sidecar."""


@modes.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each vendor.")
@with_context("modes", log_level="error")
async def list_modes(context: Context, as_json: bool) -> None:
    """Print each vendor's modes, and how many have which."""
    vendors = (await cutover_of(context).read()).vendors
    if as_json:
        for vendor in vendors:
            click.echo(vendor.model_dump_json(exclude={"history"}))
        return
    for total in totals(vendors):
        click.echo(total)
    if waiting := held(vendors):
        click.echo(
            f"The campaigns of {many(len(waiting), 'vendor')} are held, so nobody sends them. "
            "If no cutover or rollback is under way, repeat it, or run sidecar rollback VENDOR"
        )
    print_table(NAMES, (row(one.vendor_uid, one.modes, one.title) for one in vendors))


@modes.command()
@click.argument("vendor_uid", metavar="VENDOR")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each change.")
@with_context("modes", log_level="error")
async def history(context: Context, vendor_uid: str, as_json: bool) -> None:
    """Print who changed a vendor's modes, and why.

    With the time, the newest last.
    """
    answer = await cutover_of(context).read(history=True)
    found = [vendor for vendor in answer.vendors if vendor.vendor_uid == vendor_uid]
    if not found:
        raise click.ClickException(f"PHP knows no vendor {vendor_uid}")
    if as_json:
        for change in found[0].history:
            click.echo(change.model_dump_json())
    elif not print_table(("AT", "WHAT", "BY", "WHY"), map(_change, found[0].history)):
        click.echo("never changed: its modes come from PHP's configuration")


def _change(change: PastChange) -> tuple[str, ...]:
    moved = [
        f"{name} {getattr(change.before, name)} -> {getattr(change.after, name)}"
        for name in Capability
        if getattr(change.before, name) is not getattr(change.after, name)
    ]
    what = ", ".join(moved) or "kept as PHP's configuration had them"
    return (utc_text(change.at), what, change.by or "?", change.reason or "")
