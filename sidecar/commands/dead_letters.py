"""``sidecar dead-letters``: looking at what PHP would not take and what could not be done, saving
it, having it tried again, and discarding it."""

import os
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from sidecar.clock import now_ms
from sidecar.commands.with_redis import run_with_redis

if TYPE_CHECKING:
    from sidecar.ops.dead_letters import Choice, DeadLetter, DeadLetters
    from sidecar.redis.client import Redis

#: Letters that are in memory at once.
BATCH = 500

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Age(click.ParamType[int]):
    """A duration, in milliseconds."""

    name = "age"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age: write it as 90s, 30m, 12h or 7d", parameter, context)
        return int(found[1]) * _UNITS[found[2]] * 1000


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which letters are meant."""
    age = click.option("--older-than", metavar="AGE", type=Age(), help="Given up so long ago: 7d.")
    reason = click.option("--reason", metavar="TEXT", help="With this text in the reason.")
    vendor = click.option("--vendor", help="Only this vendor's.")
    return vendor(reason(age(command)))


def _choice(vendor: str | None, reason: str | None, older_than: int | None) -> "Choice":
    from sidecar.ops.dead_letters import Choice

    return Choice(vendor, reason, None if older_than is None else now_ms() - older_than)


@click.group(name="dead-letters")
def dead_letters() -> None:
    """Look at updates that PHP would not take and at effects that could not be done; save them,
    have them tried again, or discard them.

    Of each vendor so many are kept as the settings dead_letters_limit, _bytes and _days say. Beyond
    that the oldest are deleted, effects before updates; `sidecar status` says so before it happens.
    """


@dead_letters.command(name="list")
@choosing
def list_dead_letters(vendor: str | None, reason: str | None, older_than: int | None) -> None:
    """Print one line of JSON for each, the oldest first, without its payload."""

    async def run(letters: "DeadLetters") -> None:
        async for letter in letters.all(_choice(vendor, reason, older_than)):
            click.echo(msgspec.json.encode(letter.summary).decode())

    _with_dead_letters(run)


@dead_letters.command(name="show")
@click.argument("letter_id", metavar="ID")
def show_dead_letter(letter_id: str) -> None:
    """Print one of them whole. This is a customer's data."""

    async def run(letters: "DeadLetters") -> None:
        [letter] = await _named(letters, (letter_id,))
        click.echo(msgspec.json.format(msgspec.json.encode(letter.update), indent=2).decode())

    _with_dead_letters(run)


@dead_letters.command(name="export")
@click.argument("file", metavar="FILE")
@choosing
def export_dead_letters(
    file: str, vendor: str | None, reason: str | None, older_than: int | None
) -> None:
    """Write them to FILE, or to standard output for -: one line of JSON for each, the oldest first,
    with everything that there is of it. This is customers' data: only you may read a new FILE, and
    one that exists is left alone."""

    async def run(letters: "DeadLetters") -> None:
        count = 0
        with _output(file) as output:
            async for letter in letters.all(_choice(vendor, reason, older_than)):
                output.write(letter.export() + b"\n")
                count += 1
            output.flush()
            if file != "-":
                os.fsync(output.fileno())
        click.echo(f"{count:,} exported", err=file == "-")

    _with_dead_letters(run)


@contextmanager
def _output(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdout.buffer
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as output:
        yield output


@dead_letters.command(name="import")
@click.argument("file", metavar="FILE", type=click.File("rb"))
def import_dead_letters(file: BinaryIO) -> None:
    """Put back what export has written to FILE, or to standard input for -, to be replayed. What is
    there already is left alone. A vendor's oldest leave where it is more than what is kept."""
    from sidecar.commands.start import load_settings
    from sidecar.ops.dead_letters import DeadLetters
    from sidecar.redis.letter_bounds import Bounds

    settings = load_settings("dead-letters")
    found = list(_read(file))

    async def run(redis: "Redis") -> None:
        letters, imported = DeadLetters(redis), 0
        for start in range(0, len(found), BATCH):
            some = found[start : start + BATCH]
            imported += await letters.put_back(some, Bounds.of(settings))
        click.echo(f"{imported:,} imported, {len(found) - imported:,} were there")

    run_with_redis(settings, run)


def _read(file: BinaryIO) -> "Iterator[DeadLetter]":
    from sidecar.ops.dead_letters import DeadLetter

    for number, line in enumerate(file, 1):
        try:
            yield DeadLetter.read(line)
        except (ValueError, KeyError, TypeError) as error:
            raise click.ClickException(
                f"line {number} is no dead letter as export writes them; nothing was imported: "
                f"{type(error).__name__} {error}"
            ) from None


@dead_letters.command(name="replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@choosing
def replay_dead_letters(
    letter_ids: tuple[str, ...],
    everything: bool,
    vendor: str | None,
    reason: str | None,
    older_than: int | None,
) -> None:
    """Have them handed to PHP again, as if for the first time. With --all, the other options say
    which."""
    if bool(letter_ids) == everything or (letter_ids and (vendor or reason or older_than)):
        raise click.UsageError("name the letters, or say --all")

    async def run(letters: "DeadLetters") -> None:
        replayed = await _do(
            letters,
            letter_ids,
            _choice(vendor, reason, older_than),
            lambda some: _replay(letters, some),
        )
        click.echo(f"{replayed:,} replayed; workers take them up within a second")

    _with_dead_letters(run)


async def _replay(letters: "DeadLetters", some: "list[DeadLetter]") -> int:
    return sum([await letters.replay(letter) for letter in some])


@dead_letters.command(name="discard")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@choosing
@click.option("--yes", is_flag=True, help="Discard them. Without it, they are only counted.")
def discard_dead_letters(
    letter_ids: tuple[str, ...],
    everything: bool,
    vendor: str | None,
    reason: str | None,
    older_than: int | None,
    yes: bool,
) -> None:
    """Delete them for good: those that are named, or those that the options mean. Without --yes it
    only says how many, of which vendor, and deletes nothing."""
    chosen = everything or vendor or reason or older_than
    if bool(letter_ids) == bool(chosen):
        raise click.UsageError(
            "name the letters, or say which: --vendor, --reason, --older-than, --all"
        )

    async def run(letters: "DeadLetters") -> None:
        counts: Counter[str] = Counter()

        async def discard(some: "list[DeadLetter]") -> int:
            counts.update(letter.vendor_uid for letter in some)
            return await letters.discard(some) if yes else 0

        discarded = await _do(letters, letter_ids, _choice(vendor, reason, older_than), discard)
        for vendor_uid, count in sorted(counts.items()):
            click.echo(f"{count:,} of vendor {vendor_uid}")
        if yes:
            click.echo(f"{discarded:,} discarded")
        else:
            click.echo(f"{counts.total():,} would be discarded; nothing was done: say --yes")

    _with_dead_letters(run)


async def _do(
    letters: "DeadLetters",
    letter_ids: tuple[str, ...],
    choice: "Choice",
    do: "Callable[[list[DeadLetter]], Awaitable[int]]",
) -> int:
    """Do it with the letters that are named, or else with those that are meant, some at a time.
    Return what it says altogether."""
    if letter_ids:
        return await do(await _named(letters, letter_ids))
    done, some = 0, []
    async for letter in letters.all(choice):
        some.append(letter)
        if len(some) == BATCH:
            done, some = done + await do(some), []
    return done + await do(some)


async def _named(letters: "DeadLetters", letter_ids: tuple[str, ...]) -> "list[DeadLetter]":
    found = [(letter_id, await letters.get(letter_id)) for letter_id in dict.fromkeys(letter_ids)]
    if missing := [letter_id for letter_id, letter in found if letter is None]:
        raise click.ClickException(f"there is no dead letter {', '.join(missing)}")
    return [letter for _, letter in found if letter is not None]


def _with_dead_letters(run: "Callable[[DeadLetters], Awaitable[None]]") -> None:
    from sidecar.commands.start import load_settings
    from sidecar.ops.dead_letters import DeadLetters

    run_with_redis(load_settings("dead-letters"), lambda redis: run(DeadLetters(redis)))
