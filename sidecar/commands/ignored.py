"""``sidecar ignored``: with which updates nothing was done, and why."""

from dataclasses import asdict

import click
import msgspec

from sidecar.clock import now_ms, utc_text
from sidecar.commands.context import Context, with_context
from sidecar.commands.tables import print_table
from sidecar.inbox.ignored import name_of
from sidecar.ops.ignored import IgnoredCount, last_ignored, read_ignored
from sidecar.redis.client import Redis


@click.command()
@click.option("--vendor", help="Only this vendor's.")
@click.option("--reason", help="Only this reason, and the last update of each vendor, in full.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("ignored")
async def ignored(context: Context, vendor: str | None, reason: str | None, as_json: bool) -> None:
    """Show how many updates were ignored, by vendor and reason.

    PHP ignores what it has no use for: messages to a number that is not the vendor's, statuses of
    unknown messages, fields that nothing is done with. With --reason, the last one is shown for
    some days, with a customer's data.
    """
    redis = context.redis()
    found = await read_ignored(redis, vendor)
    if reason is not None:
        found = [one for one in found if one.reason == name_of(reason)]
    if as_json:
        for one in found:
            last = None if reason is None else await last_ignored(redis, one, now_ms())
            click.echo(msgspec.json.encode({**asdict(one), "last": last}).decode())
        return
    if not found:
        click.echo("nothing was ignored" + (f" for the reason {reason}" if reason else ""))
    print_table(("VENDOR", "REASON", "COUNT", "LAST AT"), map(_row, found))
    if reason is not None:
        for one in found:
            click.echo(await _last(redis, one))


def _row(one: IgnoredCount) -> tuple[str, ...]:
    return (one.vendor_uid, one.reason, f"{one.count:,}", utc_text(one.last_at))


async def _last(redis: Redis, count: IgnoredCount) -> str:
    last = await last_ignored(redis, count, now_ms())
    if last is None:
        return f"the last one of vendor {count.vendor_uid} is not kept any more"
    return msgspec.json.format(msgspec.json.encode(last), indent=2).decode()
