"""``python -m simulator chaos-hosts``."""

import sys
import tempfile
from pathlib import Path

import click
import orjson

from simulator.chaos.hosts import wire
from simulator.chaos.hosts.run import LEAST_SHARE, Trouble, run_trouble
from simulator.chaos.hosts.stage import SHIPPED, HostsStage
from simulator.stack.packages import require_stack
from simulator.stack.rounds import histories_option


@click.command("chaos-hosts")
@click.option(
    "--trouble",
    "troubles",
    type=click.Choice([one.value for one in Trouble]),
    multiple=True,
    help="What happens to a host; may be repeated. Default: each.",
)
@click.option("--rtt-ms", default=1.0, show_default=True, help="There and back, from each host.")
@click.option("--messages", default=3000, show_default=True, help="Of each campaign.")
@click.option("--seconds", default=15.0, show_default=True, help="How long the trouble lasts.")
@click.option(
    "--short",
    is_flag=True,
    help="With chaos's settings, such as leases of 1.5 s, instead of those that are shipped.",
)
@click.option("--rate", default=80.0, show_default=True, help="Messages a second.")
@click.option(
    "--least-share",
    default=LEAST_SHARE,
    show_default=True,
    help="Of this rate, but for the takeover; less on a busy machine.",
)
@click.option("--seed", default=1, show_default=True)
@histories_option("chaos-hosts")
def command(
    troubles: tuple[str, ...],
    rtt_ms: float,
    messages: int,
    seconds: float,
    short: bool,
    rate: float,
    least_share: float,
    seed: int,
    histories: Path,
) -> None:
    """Kill a host, or cut it off from Redis, PHP or nginx, while it sends a campaign.

    Two hosts, each with `sidecar serve` and a worker, in network namespaces of their own, on cables
    of the given length; a third machine has the rest. Prints a line of JSON for each trouble. Exits
    1 if something was lost, doubled or left, if a webhook or a call of PHP's failed, or if the rate
    was not kept.
    """
    require_stack()
    failed = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="hosts-") as folder,
            HostsStage(Path(folder), rtt_ms, {} if short else SHIPPED) as stage,
        ):
            for number, name in enumerate(troubles or [one.value for one in Trouble]):
                line, kept = run_trouble(
                    stage,
                    Trouble(name),
                    seed=seed + number,
                    messages=messages,
                    for_s=seconds,
                    histories=histories,
                    rate=rate,
                    least_share=least_share,
                )
                click.echo(orjson.dumps({"rtt_ms": rtt_ms, **line}))
                sys.stdout.flush()
                failed += [] if kept else [name]
    except wire.CannotMake as error:
        raise click.ClickException(str(error)) from None
    if failed:
        raise click.ClickException(f"promises were broken: {', '.join(failed)}")
