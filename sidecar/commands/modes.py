"""``sidecar modes``: who does which vendor's work."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from contracts.modes import Capability, PastChange
from sidecar.clock import utc_text
from sidecar.commands.modes_text import HEAD, line, totals
from sidecar.php.modes import held

if TYPE_CHECKING:
    from sidecar.migration.cutover import Cutover
    from sidecar.php.client import Backend


@click.group()
def modes() -> None:
    """See who does which vendor's work: PHP or the sidecar."""


@modes.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each vendor.")
def list_modes(as_json: bool) -> None:
    """Print how many vendors are in which mode, and then every vendor's."""

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        vendors = (await cutover.read()).vendors
        if as_json:
            for vendor in vendors:
                click.echo(vendor.model_dump_json(exclude={"history"}))
            return
        for total in totals(vendors):
            click.echo(total)
        if waiting := held(vendors):
            click.echo(
                f"The campaigns of {len(waiting):,} vendors are held, and nobody sends them. If no "
                "change is under way, end it: repeat it, or sidecar rollback VENDOR"
            )
        click.echo(HEAD)
        for vendor in vendors:
            click.echo(line(vendor.vendor_uid, vendor.modes, vendor.title))

    _run(run)


@modes.command()
@click.argument("vendor_uid", metavar="VENDOR")
def history(vendor_uid: str) -> None:
    """Print who has changed a vendor's modes, when and why; the newest last."""

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        answer = await cutover.read(history=True)
        found = [vendor for vendor in answer.vendors if vendor.vendor_uid == vendor_uid]
        if not found:
            raise click.ClickException(f"PHP knows no vendor {vendor_uid}")
        for change in found[0].history:
            click.echo(_change(change))
        if not found[0].history:
            click.echo("its modes were never changed: PHP's configuration says them")

    _run(run)


def _change(change: PastChange) -> str:
    moved = [
        f"{name} {getattr(change.before, name)} -> {getattr(change.after, name)}"
        for name in Capability
        if getattr(change.before, name) is not getattr(change.after, name)
    ]
    what = ", ".join(moved) or "kept as PHP's configuration had them"
    why = f" ({change.reason})" if change.reason else ""
    return f"{utc_text(change.at)}  {what}  by {change.by or '?'}{why}"


def _run(run: "Callable[[Cutover, Backend], Awaitable[None]]") -> None:
    # Only here: every command imports this module, and would begin the later.
    from sidecar.commands.start import load_settings
    from sidecar.commands.with_php import run_with_cutover

    run_with_cutover(load_settings("modes"), run)
