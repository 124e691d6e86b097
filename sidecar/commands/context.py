"""What commands have in common: how one begins, what it opens, and the errors that end it.

Exit codes: 0, done, or all is well; 1, something is wrong, or not all of it was done; 2, it cannot
be told, or nothing was tried: wrong usage, a wrong setting, or a fault of the command's own.
"""

import asyncio
import getpass
import os
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import cached_property, wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self

import click

from sidecar import logs
from sidecar.ops.audit import Audit, Who
from sidecar.ops.trouble import TROUBLES, trouble_text
from sidecar.php.client import Backend, make_backend
from sidecar.redis import embedded
from sidecar.redis.client import Redis, connect
from sidecar.settings import InvalidSettings, Settings

P = ParamSpec("P")

#: What a command has done, for scripts.
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")

#: The exit code of what cannot be told; click's own for wrong usage.
CANNOT_TELL = 2


class WrongSettings(click.ClickException):
    exit_code = CANNOT_TELL


def load_settings(process: str, log_level: str | None = None) -> Settings:
    """Return the settings, and set up logging as they say, or at ``log_level``. Ends the command
    with one line, and 2, if a setting is wrong."""
    try:
        settings = Settings.load()
    except InvalidSettings as error:
        raise WrongSettings(str(error)) from None
    logs.configure(log_level or settings.log_level, settings.log_format, process)
    return settings


class Context:
    """A command's settings, and what it opens by them. All of it is closed at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._opened.aclose()

    @cached_property
    def redis_url(self) -> str:
        """The address of the settings' Redis. Starts the embedded Valkey if there is none; raises
        ``EmbeddedFailed``."""
        return self._opened.enter_context(embedded.redis_url(self.settings))

    def redis(self, url: str | None = None, timeout_s: float = 5.0) -> Redis:
        """Return a client of the settings' Redis, or of another one."""
        client = connect(url or self.redis_url, timeout_s=timeout_s)
        self._opened.push_async_callback(client.aclose)
        return client

    @cached_property
    def audit(self) -> Audit:
        """What records the command's actions, as those of :func:`whoami`."""
        return Audit(self.redis(), self.settings.audit_entries)

    def backend(self) -> Backend:
        """Return a client of the PHP side."""
        backend = make_backend(self.settings)
        self._opened.push_async_callback(backend.close)
        return backend


def confirm(question: str) -> None:
    """Ask, and end the command unless the answer is yes."""
    try:
        yes = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)  # the question has no end of line
        raise click.ClickException("nobody is there to answer: --yes asks nothing") from None
    if not yes:
        raise click.Abort


def whoami() -> Who:
    """Return who runs the command: the system's user, and whoever became it by sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user needs no name
        name = f"uid {os.getuid()}"
    before = os.environ.get("SUDO_USER", name)
    user = name if before == name else f"{before} as {name}"
    return Who("command", f"{user}@{socket.gethostname()}"[:100])


def with_context(
    process: str, log_level: str | None = None
) -> Callable[[Callable[Concatenate[Context, P], Awaitable[None]]], Callable[P, None]]:
    """Make a click callback of a coroutine function, which gets a :class:`Context` first. Stands
    below click's own decorators. ``process`` is the command's name in the log."""

    def decorate(
        command: Callable[Concatenate[Context, P], Awaitable[None]],
    ) -> Callable[P, None]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            settings = load_settings(process, log_level)

            async def in_context() -> None:
                async with Context(settings) as context:
                    await command(context, *args, **kwargs)

            with one_line_errors():
                asyncio.run(in_context())

        return run

    return decorate


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line that says why, where Redis or PHP does not work. A fault of the
    command's own ends it with 2, and a traceback for whoever mends it."""
    try:
        yield
    except embedded.EmbeddedFailed as error:
        raise click.ClickException(str(error)) from None
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise  # of a broken pipe: whoever reads has had enough, and click knows what to do
    except TROUBLES as error:
        raise click.ClickException(trouble_text(error)) from None
    except Exception:  # noqa: BLE001 - said in full, and told from what is wrong out there
        traceback.print_exc()
        click.echo("Error: the command itself failed; please report this", err=True)
        sys.exit(CANNOT_TELL)
