"""What the commands have in common that read or change modes."""

from collections.abc import Awaitable, Callable

import click

from sidecar import logs
from sidecar.app import make_backend
from sidecar.backend import Backend, BackendError
from sidecar.config_changes import ConfigChanges
from sidecar.modes.cutover import Cutover, VendorUnknown
from sidecar.redis_client import Redis
from sidecar.redis_command import run_with_redis
from sidecar.settings import Settings


def run_with_cutover(
    settings: Settings, run: Callable[[Cutover, Backend], Awaitable[None]]
) -> None:
    """Run a command's work. Ends the command with one line that says why, where PHP or Redis
    cannot be used."""
    logs.configure("error", "console", "modes")  # what happens is said by the command

    async def connected(redis: Redis) -> None:
        backend = make_backend(settings)
        try:
            await run(Cutover(settings, redis, backend, ConfigChanges(redis, {})), backend)
        except VendorUnknown as error:
            raise click.ClickException(f"PHP knows no vendor {error}") from None
        except BackendError as error:
            raise click.ClickException(f"PHP cannot be used: {error}") from None
        finally:
            await backend.close()

    run_with_redis(settings, connected)
