"""``--dry-run`` of ``cutover`` and ``rollback``: what would be done, and what that would meet."""

import click
import orjson

from contracts.sidecar_api import ModesChange
from sidecar.commands.context import Context
from sidecar.commands.moving import cutover_of
from sidecar.migration.cutover import VendorUnknown
from sidecar.migration.moving import why_not
from sidecar.migration.preview import Preview, changes
from sidecar.php.modes import differs

#: Vendors that are shown.
MAX_SHOWN = 50

with_dry_run = click.option("--dry-run", is_flag=True, help="Only print what would be done.")


async def show(context: Context, asked: ModesChange, *, as_json: bool) -> None:
    """Print what a move would do. Ends the command with 1 if PHP knows one of the vendors not."""
    known = {one.vendor_uid: one for one in (await cutover_of(context).read()).vendors}
    if missing := [uid for uid in asked.vendor_uids if uid not in known]:
        raise click.ClickException(why_not(VendorUnknown(missing[0])))
    vendors = [known[uid] for uid in dict.fromkeys(asked.vendor_uids or known)]
    moving = [vendor for vendor in vendors if differs(vendor.modes, asked)]
    notes = await Preview(context.redis(), context.settings).read(moving, asked)
    if as_json:
        found = {"would_move": [one.vendor_uid for one in moving], "notes": notes, "vendors": []}
        click.echo(orjson.dumps(found).decode())
        return
    click.echo(f"{len(moving):,} of {len(vendors):,} vendors would change")
    for vendor in moving[:MAX_SHOWN]:
        click.echo(f"{vendor.vendor_uid}  {', '.join(changes(vendor, asked))}")
    if len(moving) > MAX_SHOWN:
        click.echo(f"and {len(moving) - MAX_SHOWN:,} more")
    for note in notes:
        click.echo(note)
