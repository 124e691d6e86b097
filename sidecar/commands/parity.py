"""``sidecar parity``: what shadow has found, and whether vendors are ready for the sidecar."""

from typing import TYPE_CHECKING

import click
import orjson

if TYPE_CHECKING:
    from sidecar.redis.client import Redis


@click.command()
@click.argument("vendor", required=False)
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.option(
    "--days",
    type=click.IntRange(1, 14),
    default=14,
    show_default=True,
    help="The last so many days (UTC), today included.",
)
@click.option("--reset", is_flag=True, help="Forget the vendor's results, and begin anew.")
def parity(vendor: str | None, as_json: bool, days: int, reset: bool) -> None:
    """Show how what the sidecar would have done compares with what PHP has done.

    Of VENDOR, or of all vendors that are or were in shadow. Ends with 0 if all of them are ready
    for the sidecar, and with 1 if not.
    """
    # Only here: every command imports this module, and would begin the later.
    from sidecar.commands import parity_text as parity_text
    from sidecar.commands.start import load_settings
    from sidecar.commands.with_redis import run_with_redis
    from sidecar.shadow.parity import ParityReader

    settings = load_settings("parity")
    if reset and vendor is None:
        raise click.UsageError("--reset wants a vendor")

    async def run(redis: "Redis") -> None:
        reader = ParityReader(redis)
        if reset and vendor is not None:
            await reader.forget(vendor)
            click.echo(f"{vendor}: forgotten; what comes from now on is compared")
            return
        vendors = await reader.vendors() if vendor is None else [vendor]
        found = [await reader.read(vendor_uid, days) for vendor_uid in vendors]
        ready = bool(found) and not any(one.obstacles(settings) for one in found)
        if as_json:
            page = {"ready": ready, "vendors": [parity_text.as_json(p, settings) for p in found]}
            click.echo(orjson.dumps(page, option=orjson.OPT_INDENT_2).decode())
        elif found:
            click.echo("\n\n".join(parity_text.render(one, settings) for one in found))
        else:
            click.echo("no vendor was in shadow, or its results are forgotten")
        if not ready:
            raise click.exceptions.Exit(1)

    run_with_redis(settings, run)
