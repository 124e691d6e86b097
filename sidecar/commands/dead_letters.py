"""``sidecar dead-letters``: listing, saving, replaying and discarding what PHP refused and effects
that failed."""

import base64
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any, BinaryIO

import click
import msgspec

from sidecar.clock import now_ms, utc_text
from sidecar.commands.context import Context, json_option, whoami, with_context
from sidecar.commands.durations import Duration, DurationType
from sidecar.commands.tables import TableWriter, progress
from sidecar.ops.dead_letter import ALL, KINDS, Choice, DeadLetter, LetterRef, kind_of
from sidecar.ops.dead_letters import DeadLetters, batched
from sidecar.ops.letter_actions import Carried, LetterAction, carry_out
from sidecar.redis.letter_bounds import Bounds

#: Letters that are in memory at once.
BATCH = 500


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which letters are meant. The command gets them as ``choice``, which
    is None where none of them was given."""

    @wraps(command)
    def chosen(
        *args: Any,
        vendor: str | None,
        reason: str | None,
        older_than: Duration | None,
        kind: str | None,
        **options: Any,
    ) -> None:
        before = None if older_than is None else now_ms() - 1000 * older_than.seconds
        choice = Choice(vendor, reason, before, kind=kind)
        command(*args, choice=None if choice == ALL else choice, **options)

    for option in (
        click.option(
            "--kind",
            metavar="KIND",
            type=click.Choice(KINDS),
            help="updates, effects, or one of these: message, status, forward, fetch_media ...",
        ),
        click.option(
            "--older-than", metavar="AGE", type=DurationType(), help="Given up so long ago: 7d."
        ),
        click.option("--reason", metavar="TEXT", help="With this text in the reason."),
        click.option("--vendor", help="Only this vendor's."),
    ):
        chosen = option(chosen)
    return chosen


@click.group(name="dead-letters")
def dead_letters() -> None:
    """List, save, replay or discard dead letters.

    They are updates that PHP refused, and effects that failed. The settings dead_letters_limit,
    dead_letters_limit_bytes and dead_letters_limit_days say how many are kept of each vendor.
    Beyond that the oldest are deleted, effects before updates; sidecar status warns before it
    happens.
    """


@dead_letters.command(name="list")
@choosing
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@with_context("dead-letters")
async def list_dead_letters(context: Context, choice: Choice | None, as_json: bool) -> None:
    """List them, the oldest first.

    Without what they hold; show and export have that.
    """
    table = TableWriter("GIVEN UP", "ID", "KIND", "VENDOR", "WAMID", "TRIES", "REASON")
    rows: list[tuple[str, ...]] = []
    async for letter in DeadLetters(context.redis()).all(choice or ALL):
        if as_json:
            click.echo(msgspec.json.encode(letter.summary).decode())
            continue
        rows.append(_row(letter))
        if len(rows) == BATCH:
            table.write(rows)
            rows = []
    table.write(rows)
    if not as_json and not table.count:
        click.echo("no dead letters")


def _row(letter: DeadLetter) -> tuple[str, ...]:
    known = letter.summary
    return (
        utc_text(letter.given_up_at),
        letter.id,
        known["kind"],
        letter.vendor_uid,
        known["wamid"] or "-",
        str(known["attempts"] or 0),
        known["reason"] or "-",
    )


@dead_letters.command(name="show")
@click.argument("letter_id", metavar="ID")
@with_context("dead-letters")
async def show_dead_letter(context: Context, letter_id: str) -> None:
    """Print one in full. It contains a customer's data."""
    [letter] = await _named(DeadLetters(context.redis()), (letter_id,))
    click.echo(msgspec.json.format(msgspec.json.encode(_readable(letter)), indent=2).decode())


def _readable(letter: DeadLetter) -> dict[str, Any]:
    """Return what it holds, for people: of what could not be read the bytes as text."""
    update = letter.update
    shown = {**update, "kind": kind_of(update.get("kind"))}
    if body := update.get("body"):
        shown["body"] = base64.b64decode(body).decode(errors="backslashreplace")
    return shown


@dead_letters.command(name="export")
@click.argument("file", metavar="FILE")
@choosing
@with_context("dead-letters")
async def export_dead_letters(context: Context, file: str, choice: Choice | None) -> None:
    """Write them to FILE, a line of JSON each, in full.

    The oldest first; - is the standard output. They contain customers' data: only you may read a
    new FILE, and an existing one is never overwritten.
    """
    count = 0
    with _output(file) as output:
        async for letter in DeadLetters(context.redis()).all(choice or ALL):
            output.write(letter.export() + b"\n")
            count += 1
        output.flush()
        if file != "-":
            os.fsync(output.fileno())
    click.echo(f"{count:,} exported", err=file == "-")


@contextmanager
def _output(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdout.buffer
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            yield output
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror or error}") from None


@dead_letters.command(name="import")
@click.argument("file", metavar="FILE", type=click.File("rb"))
@json_option
@with_context("dead-letters")
async def import_dead_letters(context: Context, file: BinaryIO, as_json: bool) -> None:
    """Put back what export wrote to FILE.

    To be replayed; - is the standard input. Skips what is there already. Deletes a vendor's oldest
    where there are more than are kept.
    """
    found = list(_read(file))
    letters, imported = DeadLetters(context.redis()), 0
    async with context.audit.doing(whoami(), "dead_letters.import", file.name) as doing:
        for some in batched(found, BATCH):
            imported += await letters.put_back(some, Bounds.of(context.settings))
            doing.details = {"imported": imported}
    there = len(found) - imported
    _tell(
        as_json,
        f"{imported:,} imported, {there:,} were there already",
        imported=imported,
        there_already=there,
    )


def _tell(as_json: bool, words: str, **counts: int | dict[str, int]) -> None:
    """Say what was done: in words, or in numbers."""
    click.echo(msgspec.json.encode(counts).decode() if as_json else words)


def _read(file: BinaryIO) -> Iterator[DeadLetter]:
    for number, line in enumerate(file, 1):
        try:
            yield DeadLetter.read(line)
        except (ValueError, KeyError, TypeError) as error:
            raise click.ClickException(
                f"line {number} is not a dead letter as export writes it; nothing was imported: "
                f"{type(error).__name__} {error}"
            ) from None


@dead_letters.command(name="replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@choosing
@json_option
@with_context("dead-letters")
async def replay_dead_letters(
    context: Context,
    letter_ids: tuple[str, ...],
    everything: bool,
    choice: Choice | None,
    as_json: bool,
) -> None:
    """Process them again, as if for the first time. With --all, the other options say which."""
    if bool(letter_ids) == everything or (letter_ids and choice):
        raise click.UsageError("name the letters, or say --all")
    refs, carried = await _meant(context, letter_ids, choice), Carried()
    async with _audited(context, LetterAction.REPLAY, letter_ids, choice, carried):
        await _carry_out(context, LetterAction.REPLAY, refs, carried)
    words = f"{carried.done:,} replayed; workers pick them up within a second"
    _tell(as_json, words, replayed=carried.done)
    if carried.text:
        click.echo(carried.text, err=True)


@dead_letters.command(name="discard")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@choosing
@click.option("--yes", is_flag=True, help="Discard them. Without it, only count them.")
@json_option
@with_context("dead-letters")
async def discard_dead_letters(
    context: Context,
    letter_ids: tuple[str, ...],
    everything: bool,
    choice: Choice | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete letters for good.

    Those named, or those that the options select. Without --yes, only count them for each vendor
    and delete nothing.
    """
    if bool(letter_ids) == bool(everything or choice):
        raise click.UsageError(
            "name the letters, or say which: --vendor, --reason, --older-than, --all"
        )
    refs, carried = await _meant(context, letter_ids, choice), Carried()
    counts = Counter(ref.vendor_uid for ref in refs)
    for vendor_uid, count in () if as_json else sorted(counts.items()):
        click.echo(f"{count:,} of vendor {vendor_uid}")
    words = f"{counts.total():,} would be discarded; nothing was done: say --yes"
    if yes:
        async with _audited(context, LetterAction.DISCARD, letter_ids, choice, carried):
            await _carry_out(context, LetterAction.DISCARD, refs, carried)
        words = f"{carried.done:,} discarded"
    _tell(as_json, words, found=counts.total(), discarded=carried.done, vendors=dict(counts))


async def _meant(
    context: Context, letter_ids: tuple[str, ...], choice: Choice | None
) -> list[LetterRef]:
    """Return the letters that are named, or else those chosen."""
    letters = DeadLetters(context.redis())
    if letter_ids:
        return [letter.ref for letter in await _named(letters, letter_ids)]
    return await letters.meant(choice or ALL)


async def _carry_out(
    context: Context, action: LetterAction, refs: list[LetterRef], carried: Carried
) -> None:
    """Do it, and say how far it came if it fails."""
    letters = DeadLetters(context.redis())
    try:
        with progress(f"{action} dead letters", len(refs)) as done:
            for some in batched(refs, BATCH):
                await carry_out(letters, action, some, carried)
                done(len(some))
    except BaseException:
        click.echo(f"{carried.done:,} of {len(refs):,} were done before that", err=True)
        raise


@asynccontextmanager
async def _audited(
    context: Context,
    action: LetterAction,
    letter_ids: tuple[str, ...],
    choice: Choice | None,
    carried: Carried,
) -> AsyncIterator[None]:
    """Record the action, with how far it came."""
    which = ", ".join(letter_ids) or (choice or ALL).text
    async with context.audit.doing(whoami(), f"dead_letters.{action}", which) as doing:
        try:
            yield
        finally:
            doing.details |= carried.counts


async def _named(letters: DeadLetters, letter_ids: tuple[str, ...]) -> list[DeadLetter]:
    found = [(letter_id, await letters.get(letter_id)) for letter_id in dict.fromkeys(letter_ids)]
    if missing := [letter_id for letter_id, letter in found if letter is None]:
        raise click.ClickException(f"no dead letter {', '.join(missing)}")
    return [letter for _, letter in found if letter is not None]
