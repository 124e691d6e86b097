"""``sidecar modes``, ``cutover``, ``rollback``, ``rollout`` and ``adopt-webhooks``: who does a
vendor's work."""

import asyncio
import getpass
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from contracts.modes import Capability, Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange, ModesChanged
from sidecar import logs
from sidecar.clock import utc_text
from sidecar.redis_command import run_with_redis

if TYPE_CHECKING:
    from sidecar.backend import Backend
    from sidecar.cutover import Cutover
    from sidecar.redis_client import Redis

#: What may be asked for; ``held`` is for the moment of a change.
_MODE = click.Choice([mode.value for mode in (Mode.PHP, Mode.SHADOW, Mode.SIDECAR)])
#: A rollback of everything takes no longer where PHP and the workers answer.
ROLLBACK_S = 9.0
CUTOVER_S = 60.0

_REASON = click.option("--reason", help="Kept with the change; see sidecar modes history.")
_WEBHOOKS = click.option("--webhooks", type=_MODE, help="Who takes webhooks.")
_CAMPAIGNS = click.option("--campaigns", type=_MODE, help="Who sends campaigns.")
_BOTS = click.option("--bots", type=_MODE, help="Who matches bots.")


@click.group()
def modes() -> None:
    """See who does which vendor's work: PHP or the sidecar."""


@modes.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each vendor.")
def list_modes(as_json: bool) -> None:
    """Print how many vendors are in which mode, and then every vendor's."""

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        answer = await cutover.read()
        if as_json:
            for vendor in answer.vendors:
                click.echo(vendor.model_dump_json(exclude={"history"}))
            return
        _print_totals(answer.vendors)
        for vendor in answer.vendors:
            click.echo(_line(vendor.vendor_uid, _words(vendor.modes), vendor.title or ""))

    _run(run)


def _print_totals(vendors: list[VendorModes]) -> None:
    for capability in Capability:
        counts = Counter(str(getattr(vendor.modes, capability)) for vendor in vendors)
        words = ", ".join(f"{counts[mode]:,} {mode}" for mode in Mode if counts[mode])
        click.echo(f"{capability:<10} {words or 'no vendors'}")
    click.echo(_line("VENDOR", ["WEBHOOKS", "CAMPAIGNS", "BOTS"], ""))


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
            moved = [
                f"{name} {getattr(change.before, name)} -> {getattr(change.after, name)}"
                for name in Capability
                if getattr(change.before, name) is not getattr(change.after, name)
            ]
            why = f" ({change.reason})" if change.reason else ""
            click.echo(f"{utc_text(change.at)}  {', '.join(moved)}  by {change.by or '?'}{why}")
        if not found[0].history:
            click.echo("its modes were never changed: PHP's configuration says them")

    _run(run)


@click.command()
@click.argument("vendor_uids", metavar="VENDOR...", nargs=-1, required=True)
@_WEBHOOKS
@_CAMPAIGNS
@_BOTS
@_REASON
def cutover(
    vendor_uids: tuple[str, ...],
    webhooks: str | None,
    campaigns: str | None,
    bots: str | None,
    reason: str | None,
) -> None:
    """Move vendors' work, to the sidecar or wherever it is to be done.

    Campaigns rest for a moment on their way, so that what one side has begun ends before the other
    begins. The command may be repeated, also after it was broken off.
    """
    _move(_change(list(vendor_uids), webhooks, campaigns, bots, reason, CUTOVER_S))


@click.command()
@click.argument("vendor_uids", metavar="VENDOR...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All vendors.")
@_REASON
def rollback(vendor_uids: tuple[str, ...], everything: bool, reason: str | None) -> None:
    """Give vendors' work back to PHP: webhooks, campaigns and bots.

    Nothing more is claimed; what was claimed and not sent returns to the queue; what is under way
    ends. What the inbox still holds is handed to PHP as ever.
    """
    if bool(vendor_uids) == everything:
        raise click.UsageError("name the vendors, or say --all")
    php = str(Mode.PHP)
    _move(_change(list(vendor_uids), php, php, php, reason or "rollback", ROLLBACK_S))


@click.command()
@_WEBHOOKS
@_CAMPAIGNS
@_BOTS
@click.option("--percent", type=click.FloatRange(0, 100), required=True)
@click.option("--except", "excepted", metavar="VENDOR", multiple=True, help="Leave this one out.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@_REASON
def rollout(
    webhooks: str | None,
    campaigns: str | None,
    bots: str | None,
    percent: float,
    excepted: tuple[str, ...],
    dry_run: bool,
    reason: str | None,
) -> None:
    """Move a percentage of all vendors. The hash of a vendor's uid decides, so larger percentages
    contain the smaller ones. Vendors outside of it stay as they are."""
    why = reason or f"rollout to {percent:g} percent"
    asked = _change([], webhooks, campaigns, bots, why, CUTOVER_S)

    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        from sidecar.rollout import percentile

        vendors = (await cutover.read()).vendors
        chosen = [
            vendor
            for vendor in vendors
            if percentile(vendor.vendor_uid) < percent and vendor.vendor_uid not in excepted
        ]
        moving = [vendor for vendor in chosen if _differs(vendor, asked)]
        click.echo(
            f"{len(chosen):,} of {len(vendors):,} vendors are in {percent:g} percent; "
            f"{len(moving):,} of them change"
        )
        if dry_run:
            for vendor in moving:
                click.echo(_line(vendor.vendor_uid, _words(vendor.modes), vendor.title or ""))
        elif moving:
            uids = [vendor.vendor_uid for vendor in moving]
            _say(await cutover.move(asked.model_copy(update={"vendor_uids": uids})), brief=True)

    _run(run)


@click.command(name="adopt-webhooks")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait.")
def adopt_webhooks(timeout_s: float) -> None:
    """Wait until what PHP's own webhook table holds for vendors on the sidecar is taken over.

    The workers take it over by themselves, within due_campaigns_interval_s. This tells how many
    there were, and when they are all with the sidecar.
    """

    async def run(_cutover: "Cutover", backend: "Backend") -> None:
        from contracts import backend as contract

        async def pending() -> int:
            request = contract.PendingWebhooksRequest(limit=0)
            answer = await backend.call(
                contract.PENDING_WEBHOOKS, request, contract.PendingWebhooksAnswer
            )
            return answer.pending

        before = left = await pending()
        end = time.monotonic() + timeout_s
        while left and time.monotonic() < end:
            await asyncio.sleep(0.2)
            left = await pending()
        if left:
            raise click.ClickException(
                f"{left:,} webhooks are still in PHP's table; does a worker run?"
            )
        click.echo(f"{before:,} webhooks waited in PHP's table; none does now")

    _run(run)


# -- what they have in common --


def _change(
    vendor_uids: list[str],
    webhooks: str | None,
    campaigns: str | None,
    bots: str | None,
    reason: str | None,
    timeout_s: float,
) -> ModesChange:
    if not (webhooks or campaigns or bots):
        raise click.UsageError("say what to move: --webhooks, --campaigns or --bots")
    return ModesChange(
        vendor_uids=vendor_uids,
        webhooks=webhooks and Mode(webhooks),
        campaigns=campaigns and Mode(campaigns),
        bots=bots and Mode(bots),
        by=f"{getpass.getuser()}@{socket.gethostname()}"[:100],
        reason=reason,
        timeout_s=timeout_s,
    )


def _move(asked: ModesChange) -> None:
    async def run(cutover: "Cutover", _backend: "Backend") -> None:
        from sidecar.cutover import VendorUnknown

        try:
            _say(await cutover.move(asked), brief=not asked.vendor_uids)
        except VendorUnknown as error:
            raise click.ClickException(f"PHP knows no vendor {error}") from None

    _run(run)


def _say(changed: ModesChanged, *, brief: bool) -> None:
    """Print how vendors stand now; with ``brief`` only those for whom something is left to do."""
    waiting = [vendor for vendor in changed.vendors if vendor.waits_for]
    for vendor in waiting if brief else changed.vendors:
        click.echo(_line(vendor.vendor_uid, _words(vendor.modes), vendor.waits_for or ""))
    held = [vendor for vendor in waiting if vendor.modes.campaigns is Mode.HELD]
    click.echo(f"{len(changed.vendors) - len(waiting):,} of {len(changed.vendors):,} vendors moved")
    if held:
        raise click.ClickException(
            f"the campaigns of {len(held):,} vendors are held, and nobody sends for them: repeat "
            "the command when what they wait for has ended"
        )
    if waiting:
        click.echo("What is left goes on by itself.")


def _differs(vendor: VendorModes, asked: ModesChange) -> bool:
    return any(
        getattr(asked, name) not in (None, getattr(vendor.modes, name)) for name in Capability
    )


def _words(modes: Modes) -> list[str]:
    return [str(getattr(modes, name)) for name in Capability]


def _line(vendor_uid: str, words: list[str], more: str) -> str:
    webhooks, campaigns, bots = words
    return f"{vendor_uid:<36}  {webhooks:<8}  {campaigns:<9}  {bots:<7}  {more}".rstrip()


def _run(run: "Callable[[Cutover, Backend], Awaitable[None]]") -> None:
    """Run a command's work. Ends it with one line where PHP or Redis cannot be used."""
    from sidecar.app import make_backend
    from sidecar.backend import BackendError
    from sidecar.cli import load_settings
    from sidecar.config_changes import ConfigChanges
    from sidecar.cutover import Cutover

    settings = load_settings("modes")
    logs.configure("error", "console", "modes")  # what happens is said by the command

    async def connected(redis: "Redis") -> None:
        backend = make_backend(settings)
        try:
            await run(Cutover(settings, redis, backend, ConfigChanges(redis, {})), backend)
        except BackendError as error:
            raise click.ClickException(f"PHP cannot be used: {error}") from None
        finally:
            await backend.close()

    run_with_redis(settings, connected)
