"""Users with a password."""

import asyncio

import pytest

from contracts.console import Role
from sidecar.console import users as module
from sidecar.console.users import (
    MAX_NAME,
    MAX_PASSWORD,
    LocalUser,
    TooManyAtOnce,
    Users,
    wrong_name,
    wrong_password,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import HASHER

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def weak_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about how long a hash takes."""
    monkeypatch.setattr(module, "_HASHER", HASHER)
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)


def test_hashes_are_as_slow_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    kind = module._HASHER
    assert (kind.time_cost, kind.memory_cost, kind.type.name) == (2, 19 * 1024, "ID")


async def test_a_user_is_added_changed_and_removed(redis: Redis) -> None:
    users = Users(redis)
    assert await users.put("grace", Role.LOOK, PASSWORD)
    assert await users.put("ada", Role.OPERATE, PASSWORD)
    assert [(user.name, user.role) for user in await users.all()] == [
        ("ada", Role.OPERATE),
        ("grace", Role.LOOK),
    ]
    before = await users.find("ada")
    assert not await users.put("ada", Role.OPERATE, PASSWORD)
    after = await users.find("ada")
    assert before is not None
    assert after is not None
    assert before.stamp != after.stamp
    assert await users.remove("ada")
    assert not await users.remove("ada")
    assert await users.find("ada") is None


async def test_no_password_is_in_redis(redis: Redis) -> None:
    await Users(redis).put("ada", Role.LOOK, PASSWORD)
    stored = await redis.hget(keys.CONSOLE_USERS, "ada")
    assert stored is not None
    assert PASSWORD.encode() not in stored
    assert b"$argon2id$" in stored


async def test_a_password_is_checked(redis: Redis) -> None:
    users = Users(redis)
    await users.put("ada", Role.OPERATE, PASSWORD)
    user = await users.check("ada", PASSWORD)
    assert user is not None
    assert user.role is Role.OPERATE
    for name, password in (
        ("ada", PASSWORD + " "),
        ("ada", ""),
        ("Ada", PASSWORD),
        ("", PASSWORD),
        ("ada", "x" * (MAX_PASSWORD + 1)),
        ("x" * (MAX_NAME + 1), PASSWORD),
    ):
        assert await users.check(name, password) is None


async def test_a_hash_that_is_none(redis: Redis) -> None:
    user = LocalUser(name="ada", role=Role.LOOK, password_hash="none", stamp="")
    await redis.hset(keys.CONSOLE_USERS, "ada", user.model_dump_json())
    assert await Users(redis).check("ada", "none") is None


async def test_a_name_that_is_not_there_costs_a_hash_too(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = module._is_right

    def note(password_hash: str, password: str) -> bool:
        asked.append(password_hash)
        return real(password_hash, password)

    monkeypatch.setattr(module, "_is_right", note)
    users = Users(redis)
    for _ in range(2):
        assert await users.check("nobody", PASSWORD) is None
    assert len(asked) == 2
    assert len(set(asked)) == 1
    assert asked[0].startswith("$argon2id$")


async def test_one_after_the_other_with_a_pause(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    users = Users(redis)
    running, most = 0, 0
    real = module._is_right

    def count(*arguments: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return real(*arguments)
        finally:
            running -= 1

    monkeypatch.setattr(module, "_is_right", count)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(users.check("nobody", PASSWORD) for _ in range(5)))
    assert most == 1
    assert loop.time() - began >= 4 * 0.01


async def test_too_many_at_once_are_refused(redis: Redis) -> None:
    users = Users(redis)
    ends = await asyncio.gather(
        *(users.check("nobody", PASSWORD) for _ in range(40)), return_exceptions=True
    )
    assert any(isinstance(end, TooManyAtOnce) for end in ends)
    assert await users.check("nobody", PASSWORD) is None


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a\nb", "x" * (MAX_NAME + 1), "a\x00"])
def test_what_is_no_name(name: str) -> None:
    assert wrong_name(name)


@pytest.mark.parametrize("name", ["ada", "Ada Lovelace", "ada@example.com", "آدا"])
def test_names(name: str) -> None:
    assert wrong_name(name) is None


def test_passwords() -> None:
    assert wrong_password("x" * 11)
    assert wrong_password("x" * (MAX_PASSWORD + 1))
    assert wrong_password("x" * 12) is None
