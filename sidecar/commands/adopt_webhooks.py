"""``sidecar adopt-webhooks``: waiting until PHP's own webhook table is empty."""

import asyncio
import time

import click
import orjson

from contracts import backend as contract
from sidecar.commands.context import Context, json_option, with_context
from sidecar.commands.tables import progress
from sidecar.php.client import Backend

POLL_S = 0.2


@click.command(name="adopt-webhooks")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait.")
@json_option
@with_context("modes", log_level="error")
async def adopt_webhooks(context: Context, timeout_s: float, as_json: bool) -> None:
    """Wait until PHP's stored webhooks are taken over.

    For vendors on the sidecar, workers take them over by themselves, every
    due_campaigns_interval_s. This prints how many there were once none is left. Exits 1 if some are
    left at the timeout.
    """
    backend = context.backend()
    before = left = await _pending(backend)
    end = time.monotonic() + timeout_s
    with progress("webhooks taken over", before) as done:
        while left and time.monotonic() < end:
            await asyncio.sleep(POLL_S)
            now = await _pending(backend)
            done(max(0, left - now))
            left = now
    if as_json:
        click.echo(orjson.dumps({"were": before, "left": left}).decode())
    if left:
        raise click.ClickException(
            f"{_count(left)} webhooks are still in PHP's table. Is a worker running? It takes them "
            "over by itself; see sidecar status"
        )
    if not as_json:
        click.echo(f"{_count(before)} webhooks were in PHP's table; none is left")


async def _pending(backend: Backend) -> int:
    request = contract.PendingWebhooksRequest(limit=0)
    answer = await backend.call(contract.PENDING_WEBHOOKS, request, contract.PendingWebhooksAnswer)
    return answer.pending


def _count(webhooks: int) -> str:
    """PHP counts no further."""
    more = " or more" if webhooks >= contract.MAX_PENDING else ""
    return f"{webhooks:,}{more}"
