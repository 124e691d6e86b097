"""``sidecar notify``: whether people are told of what is wrong, and of what they were told."""

import asyncio
import secrets
import time
from dataclasses import asdict

import click
import msgspec
import orjson

from contracts.notifications import Item, News, Notification
from sidecar.clock import utc_text
from sidecar.commands.context import Context, with_context
from sidecar.notify.target import NotTaken, Target
from sidecar.notify.targets import make_targets
from sidecar.ops.notifications import Event, Notifications, TargetState, configured

_NOBODY = "nobody is told: none of notify_webhook_url, notify_slack_url, notify_email_to is set"

_json = click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")


@click.group(short_help="Test notifications, and list what people were told.")
def notify() -> None:
    """Notifications: a signed webhook, Slack, e-mail.

    Who is told is in the settings notify_*. People are told of each problem that sidecar status
    names and that somebody has to act on, once; and once when it is over.
    """


@notify.command()
@_json
@with_context("notify")
async def test(context: Context, as_json: bool) -> None:
    """Send a test to each target, and say what came of it.

    Exits 1 if one of them did not take it.
    """
    targets = make_targets(context.settings)
    if not targets:
        raise click.ClickException(_NOBODY)
    notification = _test(context.settings.notify_name)
    found = await asyncio.gather(*(_try(target, notification) for target in targets.values()))
    for name, reason in zip(targets, found, strict=True):
        if as_json:
            click.echo(orjson.dumps({"target": name, "taken": not reason, "reason": reason}))
        else:
            click.echo(f"{name}: " + (f"FAILED: {reason}" if reason else "taken"))
    if any(found):
        raise click.exceptions.Exit(1)


def _test(installation: str) -> Notification:
    now = int(time.time() * 1000)
    item = Item(
        news=News.TEST,
        event="test",
        code="test",
        what="Somebody tests whether notifications arrive (sidecar notify test)",
        do="Nothing.",
        since=now,
        runbook="docs/operations.md#notifications",
    )
    return Notification(id=secrets.token_hex(8), at=now, installation=installation, items=[item])


async def _try(target: Target, notification: Notification) -> str:
    """Return why it was not taken; nothing if it was."""
    try:
        await target.send(notification)
    except NotTaken as error:
        return str(error)
    finally:
        await target.close()
    return ""


@notify.command(name="list")
@_json
@with_context("notify")
async def list_events(context: Context, as_json: bool) -> None:
    """List what people were told of, and how targets stand.

    What is over is not listed."""
    stored = Notifications(context.redis())
    names = configured(context.settings)
    events = {
        id_: event
        for id_, event in (await stored.events()).items()
        if event.told_at and not event.over
    }
    targets = [one for one in await stored.targets(names) if one.name in names]
    if as_json:
        for id_, event in events.items():
            told = {"event": id_, **msgspec.structs.asdict(event)}
            click.echo(orjson.dumps(told))
        for target in targets:
            click.echo(orjson.dumps({"target": target.name, **asdict(target)}))
        return
    for event in sorted(events.values(), key=lambda one: one.told_at):
        click.echo(_line(event))
    if not events:
        click.echo("nothing that people were told of is left")
    for target in targets:
        click.echo(_target_line(target))
    if not names:
        click.echo(_NOBODY)


def _line(event: Event) -> str:
    gone = f", gone since {utc_text(event.gone_at)}" if event.gone_at else ""
    return f"told {utc_text(event.told_at)}{gone}: [{event.code}] {event.what}"


def _target_line(target: TargetState) -> str:
    failing = (
        f"; it fails since {utc_text(target.since)}: {target.reason}" if target.failures else ""
    )
    dropped = f"; {target.dropped:,} were given up" if target.dropped else ""
    return f"{target.name}: {target.waiting:,} wait{failing}{dropped}"
