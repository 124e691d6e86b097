"""What the commands have in common that read or change modes."""

from collections.abc import Awaitable, Callable

import click

from sidecar import logs
from sidecar.commands.with_redis import run_with_redis
from sidecar.http.app import make_backend
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.php.client import Backend, BackendError
from sidecar.php.config_feed import ConfigChanges
from sidecar.redis.client import Redis
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
