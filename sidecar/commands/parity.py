"""``sidecar parity``: what shadow has found, and whether vendors are ready for the sidecar."""

import click
import orjson

from sidecar.commands import parity_text
from sidecar.commands.context import Context, whoami, with_context
from sidecar.commands.tables import print_table
from sidecar.shadow.parity import ParityReader


@click.command()
@click.argument("vendor", required=False)
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.option(
    "--days",
    type=click.IntRange(1, 14),
    default=14,
    show_default=True,
    help="How many days to include (UTC), today among them.",
)
@click.option("--reset", is_flag=True, help="Delete the vendor's results and start over.")
@with_context("parity")
async def parity(
    context: Context, vendor: str | None, as_json: bool, days: int, reset: bool
) -> None:
    """Compare what shadow found with what PHP did.

    For VENDOR, or for all vendors that are or were in shadow. Exits 1 if one of them is not ready
    for the sidecar.
    """
    if reset and vendor is None:
        raise click.UsageError("--reset needs a vendor")
    settings, reader = context.settings, ParityReader(context.redis())
    if reset and vendor is not None:
        async with context.audit.doing(whoami(), "parity.reset", vendor):
            await reader.forget(vendor)
        click.echo(f"{vendor}: results deleted; comparison starts over")
        return
    vendors = await reader.vendors() if vendor is None else [vendor]
    found = [await reader.read(vendor_uid, days) for vendor_uid in vendors]
    ready = bool(found) and not any(one.obstacles(settings) for one in found)
    if as_json:
        page = {"ready": ready, "vendors": [parity_text.as_json(p, settings) for p in found]}
        click.echo(orjson.dumps(page, option=orjson.OPT_INDENT_2).decode())
    elif found:
        if len(found) > 1:
            print_table(parity_text.NAMES, (parity_text.row(one, settings) for one in found))
            click.echo()
        click.echo("\n\n".join(parity_text.render(one, settings) for one in found))
    else:
        click.echo(
            "no vendor has results from shadow; sidecar cutover VENDOR --webhooks shadow begins it"
        )
    if found and not ready:
        raise click.exceptions.Exit(1)
