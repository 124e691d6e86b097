"""``sidecar find``: where something is, and what happened to it."""

from collections.abc import Iterator

import click
import orjson

from sidecar.clock import utc_text
from sidecar.commands.context import Context, json_option, with_context
from sidecar.commands.tables import clean, print_table
from sidecar.ops.event import Event, Found, Named
from sidecar.ops.timeline import find as search


@click.command()
@click.argument("query", metavar="WAMID|PHONE|CAMPAIGN|VENDOR|NAME")
@click.option("--vendor", metavar="UID", help="Only this vendor's.")
@json_option
@with_context("find", log_level="error")
async def find(context: Context, query: str, vendor: str | None, as_json: bool) -> None:
    """Show where something is, and what happened to it.

    A message's wamid or uid, a phone number, the uid or part of the title of a campaign or vendor,
    or part of a contact's name. One timeline out of Redis and PHP: webhook received, handed to PHP,
    claimed, sent, each status, retries, failures and what to do. Exits 1 if nothing was found, or
    Redis or PHP could not be asked.
    """
    try:
        found = await search(context.redis(timeout_s=5.0), context.backend(), query, vendor)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="the search") from None
    if as_json:
        click.echo(orjson.dumps(found.json, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(found)
    for words in found.lost:
        click.echo(words, err=True)
    if found.nothing and not found.lost:
        click.echo(f"nothing was found for {clean(query)}", err=True)
    if found.nothing or found.lost:
        raise click.exceptions.Exit(1)


def _show(found: Found) -> None:
    for thing in found.things:
        click.echo(_thing_text(thing))
    if found.where:
        click.echo("\nNOW")
    for where in found.where:
        click.echo(f"  {clean(where)}")
    if found.events:
        click.echo("\nWHAT HAPPENED")
    of_one = len({event.of for event in found.events}) < 2
    names = ("AT", "SAYS", *(() if of_one else ("OF",)), "WHAT")
    print_table(names, _rows(found.events, of_one=of_one))
    for note in found.notes:
        click.echo(f"NOTE: {note}", err=True)


def _thing_text(thing: Named) -> str:
    title = f'  "{clean(thing.title)}"' if thing.title else ""
    phone = f"  {thing.phone}" if thing.phone else ""
    whose = f"  of vendor {thing.vendor_uid}" if thing.vendor_uid not in (None, thing.uid) else ""
    return f"{thing.kind:<8}  {clean(thing.uid)}{title}{phone}{whose}"


def _rows(events: list[Event], *, of_one: bool) -> Iterator[tuple[str, ...]]:
    for event in events:
        of = () if of_one else (event.of or "-",)
        yield (time_text(event.at_ms), event.source.value, *of, event.text)


def time_text(at_ms: int) -> str:
    """Return a time, with its milliseconds where they are known."""
    text, rest = utc_text(at_ms), at_ms % 1000
    return f"{text[:-1]}.{rest:03}Z" if rest else text
