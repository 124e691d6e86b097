"""``sidecar adopt-webhooks``: what PHP's own webhook table holds is the sidecar's."""

import asyncio
import time
from typing import TYPE_CHECKING

import click

from contracts import backend as contract

if TYPE_CHECKING:
    from sidecar.migration.cutover import Cutover
    from sidecar.php.client import Backend

POLL_S = 0.2


@click.command(name="adopt-webhooks")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait.")
def adopt_webhooks(timeout_s: float) -> None:
    """Wait until what PHP's own webhook table holds for vendors on the sidecar is taken over.

    The workers take it over by themselves, within due_campaigns_interval_s. This tells how many
    there were, and when they are all with the sidecar. Ends with 1 if some are left.
    """
    from sidecar.commands.start import load_settings
    from sidecar.commands.with_php import run_with_cutover

    async def run(_cutover: "Cutover", backend: "Backend") -> None:
        before = left = await _pending(backend)
        end = time.monotonic() + timeout_s
        while left and time.monotonic() < end:
            await asyncio.sleep(POLL_S)
            left = await _pending(backend)
        if left:
            raise click.ClickException(
                f"{_count(left)} webhooks are still in PHP's table: does a worker run? sidecar "
                "status says more; it takes them over by itself"
            )
        click.echo(f"{_count(before)} webhooks waited in PHP's table; none does now")

    run_with_cutover(load_settings("modes"), run)


async def _pending(backend: "Backend") -> int:
    request = contract.PendingWebhooksRequest(limit=0)
    answer = await backend.call(contract.PENDING_WEBHOOKS, request, contract.PendingWebhooksAnswer)
    return answer.pending


def _count(webhooks: int) -> str:
    """PHP counts no further."""
    more = " or more" if webhooks >= contract.MAX_PENDING else ""
    return f"{webhooks:,}{more}"
