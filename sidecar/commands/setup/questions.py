"""Asking for what ``sidecar init`` was not told, and trying what can be tried at once."""

import asyncio
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from sidecar.commands.checks.line import Level, Line
from sidecar.commands.context import CANNOT_TELL
from sidecar.commands.setup import probes
from sidecar.commands.setup.answers import (
    has_application,
    has_password,
    read_path,
    with_password,
)
from sidecar.commands.setup.probes import Php

Answer = TypeVar("Answer")


class WrongAnswer(click.ClickException):
    """An option that cannot be: nothing was done."""

    exit_code = CANNOT_TELL


def say(line: Line) -> Line:
    click.echo(f"  {line.text}", err=True)
    return line


class Questions:
    """``asks``: a person is there. Without one, options and defaults count."""

    def __init__(self, asks: bool) -> None:
        self.asks = asks

    def ask(
        self, text: str, option: str, given: str | None, default: str, read: Callable[[str], Answer]
    ) -> Answer:
        """Return what was given, or the answer to a question, as ``read`` makes it. ``option`` is
        where it can be given."""
        if given is not None or not self.asks:
            try:
                return read(default if given is None else given)
            except ValueError as error:
                raise WrongAnswer(f"{option}: {error}") from None
        while True:
            answer: str = click.prompt(text, default=default, err=True)
            try:
                return read(answer.strip())
            except ValueError as error:
                click.echo(f"  {error}", err=True)

    def ask_secret(
        self, text: str, option: str, given: str | None, read: Callable[[str], Answer]
    ) -> Answer | None:
        """The same for what nobody may see; empty: None."""
        if given is not None or not self.asks:
            return self.ask(text, option, given, "", read) if given else None
        while True:
            answer = _hidden(text)
            if not answer:
                return None
            try:
                return read(answer)
            except ValueError as error:
                click.echo(f"  {error}", err=True)

    def php(self, url: str) -> Php:
        """Try PHP's address."""
        return asyncio.run(_php(url))

    def application(self, given: str | None, *, elsewhere: bool) -> Path:
        """Return the folder of the Laravel application, which must be there unless it is
        ``elsewhere``, on another machine."""
        while True:
            text, default = "The folder of the Laravel application", "/var/www/whatsapp"
            path = self.ask(text, "--app", given, default, read_path)
            if elsewhere or has_application(path):
                return path
            missing = f"there is no Laravel application in {path}, no public/index.php"
            if given is not None:
                raise WrongAnswer(
                    f"--app: {missing}; name its folder, or add --app-elsewhere if it is on "
                    "another machine"
                )
            click.echo(f"  {missing}{'' if self.asks else '; --app names its folder'}", err=True)
            if not self.asks or click.confirm("Is it on another machine?", err=True):
                return path

    def redis(
        self, url: str | None, another: Callable[[], str | None]
    ) -> tuple[str | None, tuple[str, ...]]:
        """Try a Redis. Where it does not do, ask for its password, or for another one. Return the
        address, None for the embedded Valkey, and what is wrong with it."""
        while url is not None:
            failed = _failed(url)
            if not failed or not self.asks:
                return url, failed
            if _wants_password(url, failed) and (password := _hidden("Redis's password")):
                url = with_password(url, password)
            elif click.confirm("Keep this Redis and fix that later?", err=True):
                return url, failed
            else:
                url = another()
        return None, ()


def _failed(url: str) -> tuple[str, ...]:
    return asyncio.run(_redis(url))


async def _redis(url: str) -> tuple[str, ...]:
    lines = [say(line) async for line in probes.probe_redis(url)]
    return tuple(line.text[6:] for line in lines if line.level is Level.FAIL)


def _wants_password(url: str, failed: tuple[str, ...]) -> bool:
    return not has_password(url) and any("Authentication required" in text for text in failed)


async def _php(url: str) -> Php:
    found, line = await probes.probe_php(url)
    say(line)
    return found


def _hidden(text: str) -> str:
    answer: str = click.prompt(
        f"{text} (not shown)", default="", hide_input=True, show_default=False, err=True
    )
    return answer.strip()


def read_file(path: Path | None) -> str | None:
    """Return the secret that is in a file; ``-`` is standard input."""
    if path is None:
        return None
    if str(path) == "-":
        return _hidden("The app secret") if sys.stdin.isatty() else sys.stdin.readline().strip()
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongAnswer(f"--app-secret-file: {error}") from None
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        click.echo(f"  {path} can be read by others: chmod 600 it, or delete it", err=True)
    return text
