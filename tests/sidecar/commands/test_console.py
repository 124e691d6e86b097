"""``sidecar console``: users with a password, and who is signed in."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import orjson
import pytest
from click.testing import CliRunner, Result

from contracts.console import Role
from sidecar import logs
from sidecar.commands import console as module
from sidecar.commands.main import main
from sidecar.console import users as users_module
from sidecar.console.attempts import LIMITS, Attempts
from sidecar.console.sessions import Origin, Sessions
from sidecar.console.users import Users
from sidecar.ops.audit import Audit
from sidecar.redis.client import Redis
from tests.sidecar.commands.running import SETTINGS
from tests.sidecar.console.browser import HASHER

PASSWORD = "correct horse battery"

Run = Callable[..., Result]


@pytest.fixture
def run(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``sidecar console`` with these arguments and this standard input."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    monkeypatch.setattr(users_module, "_HASHER", HASHER)
    environment = {**SETTINGS, "SIDECAR_REDIS_URL": redis_url}

    def run(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, ["console", *arguments], input=typed, env=environment)

    return run


async def actions(redis: Redis) -> list[tuple[str, str, str]]:
    entries = reversed(await Audit(redis, 100).read())
    return [(entry.action, entry.target, entry.outcome) for entry in entries]


async def test_a_user_is_added_and_changed(run: Run, redis: Redis) -> None:
    result = await asyncio.to_thread(run, "add-user", "ada", typed=f"{PASSWORD}\n")
    assert (result.exit_code, result.output) == (0, "user ada (look) added\n")
    assert await Users(redis).check("ada", PASSWORD)
    result = await asyncio.to_thread(
        run, "add-user", "ada", "--role", "operate", "--json", typed="another password \n"
    )
    assert orjson.loads(result.output) == {"name": "ada", "role": "operate", "done": "changed"}
    user = await Users(redis).check("ada", "another password ")
    assert user is not None
    assert user.role is Role.OPERATE
    assert await actions(redis) == [("console.add_user", "ada", "done")] * 2
    assert PASSWORD not in str(await Audit(redis, 100).read())


async def test_who_was_locked_out_may_try_again(run: Run, redis: Redis) -> None:
    for _ in range(LIMITS["name"]):
        await Attempts(redis).begin("ada", "10.0.0.1")
    await asyncio.to_thread(run, "add-user", "ada", typed=f"{PASSWORD}\n")
    await Attempts(redis).begin("ada", "10.0.0.1")


async def test_a_password_is_asked_for_twice_on_a_terminal(
    run: Run, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(module, "sys", terminal)
    typed = f"{PASSWORD}\nwith a slip\n{PASSWORD}\n{PASSWORD}\n"
    result = await asyncio.to_thread(run, "add-user", "ada", typed=typed)
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert await Users(redis).check("ada", PASSWORD)


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("ada ", PASSWORD, "a name has 1 to 64 printable characters"),
        ("ada", "short", "a password has 12 to 256 characters"),
        ("ada", "", "a password has 12 to 256 characters"),
    ],
)
async def test_what_is_not_taken(run: Run, redis: Redis, name: str, typed: str, why: str) -> None:
    result = await asyncio.to_thread(run, "add-user", name, typed=typed)
    assert result.exit_code == 2
    assert why in result.output
    assert await Users(redis).all() == []
    assert await actions(redis) == []


async def test_a_user_is_removed(run: Run, redis: Redis) -> None:
    await Users(redis).put("ada", Role.LOOK, PASSWORD)
    result = await asyncio.to_thread(run, "remove-user", "ada")
    assert (result.exit_code, result.output) == (0, "user ada removed\n")
    result = await asyncio.to_thread(run, "remove-user", "ada", "--json")
    assert result.exit_code == 1
    assert orjson.loads(result.output) == {"name": "ada", "removed": False}
    result = await asyncio.to_thread(run, "remove-user", "ada")
    assert result.output == "there is no user ada\n"
    assert await actions(redis) == [
        ("console.remove_user", "ada", "done"),
        ("console.remove_user", "ada", "nothing to do"),
        ("console.remove_user", "ada", "nothing to do"),
    ]


async def test_who_there_is_and_who_is_signed_in(run: Run, redis: Redis) -> None:
    assert (await asyncio.to_thread(run, "users")).output == "no users\n"
    await Users(redis).put("ada", Role.OPERATE, PASSWORD)
    sessions = Sessions(redis, longest_s=100, idle_s=100)
    await sessions.open("Ben", Role.LOOK, Origin.LINK)
    result = await asyncio.to_thread(run, "users")
    assert result.output == "ada  operate\nsigned in: Ben  look  by link\n"
    result = await asyncio.to_thread(run, "users", "--json")
    assert orjson.loads(result.output) == {
        "users": [{"name": "ada", "role": "operate"}],
        "signed_in": [{"name": "Ben", "role": "look", "by": "link"}],
    }
    assert PASSWORD not in result.output
    assert "argon2" not in result.output


async def test_somebody_is_signed_out(run: Run, redis: Redis) -> None:
    sessions = Sessions(redis, longest_s=100, idle_s=100)
    token = await sessions.open("Ben", Role.LOOK, Origin.LINK)
    result = await asyncio.to_thread(run, "sign-out", "Ben")
    assert result.output == "Ben signed out of 1 session\n"
    assert await sessions.find(token) is None
    result = await asyncio.to_thread(run, "sign-out", "Ben", "--json")
    assert orjson.loads(result.output) == {"name": "Ben", "sessions": 0}
    assert [action for action, *_ in await actions(redis)] == ["console.sign_out"] * 2


def test_redis_is_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(
        main,
        ["console", "users"],
        env={**SETTINGS, "SIDECAR_REDIS_URL": "redis://127.0.0.1:9/0"},
    )
    assert result.exit_code == 1
    assert "Redis is unavailable" in result.output
