"""What ``cutover``, ``rollout`` and ``rollback`` have in common: moving vendors' work."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click

from contracts.modes import Capability, Mode
from contracts.sidecar_api import ModesChange
from sidecar.commands.context import Context, whoami
from sidecar.commands.modes_text import outcome
from sidecar.commands.tables import progress
from sidecar.migration import moving
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.php.client import BackendError
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis.client import RedisUnavailable

CUTOVER_S = 60.0

#: What may be asked for; ``held`` is for the moment of a change.
_MODE = click.Choice([mode.value for mode in (Mode.PHP, Mode.SHADOW, Mode.SIDECAR)])
_HELP = {
    Capability.WEBHOOKS: "Who takes webhooks.",
    Capability.CAMPAIGNS: "Who sends campaigns.",
    Capability.BOTS: "Who matches bots.",
}

with_reason = click.option("--reason", help="Kept with the change; see sidecar modes history.")


def with_modes(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each capability. The command gets what was asked for as ``modes``."""

    @wraps(command)
    def collected(*args: Any, **options: Any) -> None:
        asked = {capability: options.pop(capability.value) for capability in Capability}
        modes = {capability: Mode(mode) for capability, mode in asked.items() if mode}
        if not modes:
            raise click.UsageError(
                f"say what to move: {', '.join(f'--{capability}' for capability in Capability)}"
            )
        command(*args, modes=modes, **options)

    for capability in reversed(Capability):
        option = click.option(f"--{capability}", type=_MODE, help=_HELP[capability])
        collected = option(collected)
    return collected


def cutover_of(context: Context) -> Cutover:
    return Cutover(
        context.settings, redis := context.redis(), context.backend(), ConfigChanges(redis, {})
    )


def me() -> str:
    """Return who runs the command."""
    return whoami().name


def change(
    vendor_uids: list[str],
    modes: Mapping[Capability, Mode],
    reason: str | None,
    timeout_s: float = CUTOVER_S,
) -> ModesChange:
    """Return the change to ask for, in the name of whoever runs the command."""
    return ModesChange(
        vendor_uids=vendor_uids,
        by=me(),
        reason=None if reason is None else reason[:500],
        timeout_s=timeout_s,
        **{capability.value: mode for capability, mode in modes.items()},
    )


async def move(context: Context, asked: ModesChange, *, brief: bool, as_json: bool) -> None:
    """Make the change and print how vendors stand. Ends the command with 1 if another run is
    needed."""
    try:
        with progress(f"moving {len(asked.vendor_uids) or 'all'} vendors"):
            changed = await moving.move(cutover_of(context), asked, context.audit, whoami())
    except (VendorUnknown, BackendError, *RedisUnavailable) as error:
        raise click.ClickException(moving.why_not(error)) from None
    if as_json:
        click.echo(changed.model_dump_json())
    else:
        click.echo(outcome(changed, asked, brief=brief))
    if problem := moving.unfinished(changed, asked):
        raise click.ClickException(problem)
