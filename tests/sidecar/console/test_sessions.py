"""Sessions: when they end, and what Redis has of them."""

from collections.abc import Awaitable, Callable

import pytest

from contracts.console import Role
from sidecar.clock import now_ms
from sidecar.console import sessions as module
from sidecar.console.sessions import Origin, Sessions
from sidecar.console.users import Users
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.console.browser import USERS


@pytest.fixture
def sessions(redis: Redis) -> Sessions:
    return Sessions(redis, longest_s=1000, idle_s=100)


async def by_password(redis: Redis, sessions: Sessions, role: Role = Role.OPERATE) -> str:
    """Open a session of a user that is there."""
    user = USERS[role]
    await redis.hset(keys.CONSOLE_USERS, user.name, user.model_dump_json())
    return await sessions.open(user.name, user.role, Origin.PASSWORD, user)


async def test_whose_it_is(redis: Redis, sessions: Sessions) -> None:
    user = await sessions.find(await by_password(redis, sessions))
    assert user is not None
    assert (user.name, user.role, user.origin) == ("operate-user", Role.OPERATE, Origin.PASSWORD)
    assert user.operates
    other = await sessions.find(await by_password(redis, sessions, Role.LOOK))
    assert other is not None
    assert not other.operates
    assert len({user.csrf, other.csrf, user.session, other.session}) == 4


async def test_what_is_no_session(sessions: Sessions) -> None:
    for token in ("", "any", "x" * 5000, "ö\n"):
        assert await sessions.find(token) is None


async def test_redis_has_nothing_to_sign_in_with(redis: Redis, sessions: Sessions) -> None:
    token = await sessions.open("ada", Role.LOOK, Origin.LINK)
    user = await sessions.find(token)
    assert user is not None
    assert await sessions.find(user.session) is None
    for key in await redis.keys("*"):
        assert token.encode() not in key
    stored = await redis.get(keys.console_session(user.session))
    assert stored is not None
    assert token.encode() not in stored


async def test_it_ends_when_it_is_idle(redis: Redis, sessions: Sessions) -> None:
    token = await sessions.open("ada", Role.LOOK, Origin.LINK)
    user = await sessions.find(token)
    assert user is not None
    key = keys.console_session(user.session)
    await redis.expire(key, 5)
    await sessions.look(user.session)
    assert await redis.ttl(key) <= 5, "a look does not count as use"
    await sessions.find(token)
    assert 95 < await redis.ttl(key) <= 100


async def test_it_ends_however_much_it_is_used(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await sessions.open("ada", Role.LOOK, Origin.LINK)
    now = now_ms()
    monkeypatch.setattr(module, "now_ms", lambda: now + 999_000)
    assert await sessions.find(token)
    monkeypatch.setattr(module, "now_ms", lambda: now + 1_001_000)
    assert await sessions.find(token) is None
    monkeypatch.undo()
    assert await sessions.find(token) is None


async def test_it_ends_with_its_user(redis: Redis, sessions: Sessions) -> None:
    users = Users(redis)
    changes: list[Callable[[], Awaitable[bool]]] = [
        lambda: users.remove("operate-user"),
        lambda: users.put("operate-user", Role.LOOK, "another password"),
        lambda: users.put("operate-user", Role.OPERATE, "another password"),
    ]
    for change in changes:
        token = await by_password(redis, sessions)
        linked = await sessions.open("operate-user", Role.OPERATE, Origin.LINK)
        await change()
        assert await sessions.find(token) is None
        assert await sessions.find(linked), "who comes from PHP is not that user"


async def test_it_is_signed_out(sessions: Sessions) -> None:
    token, other = [await sessions.open("ada", Role.LOOK, Origin.LINK) for _ in range(2)]
    user = await sessions.find(token)
    assert user is not None
    await sessions.close(user.session)
    assert await sessions.find(token) is None
    assert await sessions.find(other)


async def test_somebody_is_signed_out_everywhere(redis: Redis, sessions: Sessions) -> None:
    ada = [await sessions.open("ada", Role.LOOK, Origin.LINK) for _ in range(2)]
    grace = await sessions.open("grace", Role.LOOK, Origin.LINK)
    assert [user.name for user in await sessions.all()] == ["ada", "ada", "grace"]
    assert await sessions.close_all("ada") == 2
    assert await sessions.close_all("ada") == 0
    assert [await sessions.find(token) for token in ada] == [None, None]
    assert await sessions.find(grace)
    assert await redis.zcard(keys.CONSOLE_SESSIONS) == 1


async def test_those_that_ended_are_forgotten(redis: Redis, sessions: Sessions) -> None:
    await redis.zadd(keys.CONSOLE_SESSIONS, {"ended": 1})
    await sessions.open("ada", Role.LOOK, Origin.LINK)
    assert await redis.zscore(keys.CONSOLE_SESSIONS, "ended") is None
    await redis.delete(*await redis.keys("console:session:*"))
    assert await sessions.all() == []


async def test_a_session_of_another_version(redis: Redis, sessions: Sessions) -> None:
    token = await sessions.open("ada", Role.LOOK, Origin.LINK)
    user = await sessions.find(token)
    assert user is not None
    await redis.set(keys.console_session(user.session), b'{"name": "ada"}')
    assert await sessions.find(token) is None
