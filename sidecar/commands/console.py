"""``sidecar console``: who may sign in to the web console with a password, and who is signed in."""

import sys
from typing import Any

import click
import orjson

from contracts.console import Role
from sidecar.commands.context import Context, json_option, whoami, with_context
from sidecar.console.attempts import Attempts
from sidecar.console.sessions import Sessions
from sidecar.console.users import Users, wrong_name, wrong_password
from sidecar.format import many
from sidecar.ops.audit import DONE, NOTHING


@click.group()
def console() -> None:
    """Add, remove and list users of the web console."""


@console.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.LOOK.value,
    show_default=True,
    help="look: sees all but phone numbers and texts. operate: acts, too.",
)
@json_option
@with_context("console", log_level="error")
async def add_user(context: Context, /, name: str, role: str, as_json: bool) -> None:
    """Add a user, or give one another role and password.

    The password is asked for, or read from standard input. Whoever is signed in by that name is
    signed out, and may try again at once if there were too many tries.
    """
    if why := wrong_name(name):
        raise click.UsageError(why)
    password = _read_password()
    if why := wrong_password(password):
        raise click.UsageError(why)
    redis = context.redis()
    async with context.audit.doing(whoami(), "console.add_user", name, role=role):
        is_new = await Users(redis).put(name, Role(role), password)
    await Attempts(redis).forget(name)
    done = "added" if is_new else "changed"
    _say({"name": name, "role": role, "done": done}, f"user {name} ({role}) {done}", as_json)


@console.command()
@click.argument("name")
@json_option
@with_context("console", log_level="error")
async def remove_user(context: Context, /, name: str, as_json: bool) -> None:
    """Remove a user, who is signed out at once."""
    redis = context.redis()
    async with context.audit.doing(whoami(), "console.remove_user", name) as doing:
        was_there = await Users(redis).remove(name)
        doing.outcome = DONE if was_there else NOTHING
    text = f"user {name} removed" if was_there else f"there is no user {name}"
    _say({"name": name, "removed": was_there}, text, as_json)
    if not was_there:
        raise click.exceptions.Exit(1)


@console.command()
@json_option
@with_context("console", log_level="error")
async def users(context: Context, /, as_json: bool) -> None:
    """List the users, and who is signed in."""
    redis = context.redis()
    found = await Users(redis).all()
    signed_in = await _sessions(context).all()
    lines = [f"{user.name}  {user.role}" for user in found] or ["no users"]
    lines += [f"signed in: {u.name}  {u.role}  by {u.origin}" for u in signed_in]
    values = {
        "users": [{"name": user.name, "role": user.role} for user in found],
        "signed_in": [{"name": u.name, "role": u.role, "by": u.origin} for u in signed_in],
    }
    _say(values, "\n".join(lines), as_json)


@console.command()
@click.argument("name")
@json_option
@with_context("console", log_level="error")
async def sign_out(context: Context, /, name: str, as_json: bool) -> None:
    """Sign somebody out everywhere, also who came from PHP."""
    async with context.audit.doing(whoami(), "console.sign_out", name) as doing:
        doing.details["sessions"] = count = await _sessions(context).close_all(name)
    _say(
        {"name": name, "sessions": count}, f"{name} signed out of {many(count, 'session')}", as_json
    )


def _sessions(context: Context) -> Sessions:
    settings = context.settings
    return Sessions(
        context.redis(), longest_s=settings.console_session_s, idle_s=settings.console_idle_s
    )


def _read_password() -> str:
    if sys.stdin.isatty():
        prompted: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return prompted
    return sys.stdin.readline().rstrip("\r\n")


def _say(values: dict[str, Any], text: str, as_json: bool) -> None:
    click.echo(orjson.dumps(values).decode() if as_json else text)
