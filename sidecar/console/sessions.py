"""Who is signed in.

A session is a random token in a cookie, of which Redis has the digest: whoever reads Redis cannot
sign in with it. It ends when it was not used for ``console_idle_s``, after ``console_session_s`` in
any case, when it is signed out, and when the user is removed or gets another role or password.
"""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from pydantic import BaseModel, ValidationError

from contracts.console import Role
from sidecar.clock import now_ms
from sidecar.console.users import LocalUser
from sidecar.redis import keys
from sidecar.redis.client import Redis, script


class Origin(StrEnum):
    """How somebody signed in."""

    PASSWORD = "password"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is signed in. ``csrf`` is the token that forms carry; ``session`` names the
    session, and is no secret."""

    name: str
    role: Role
    origin: Origin
    csrf: str
    session: str

    @property
    def operates(self) -> bool:
        """Whether they may act, and see phone numbers and texts."""
        return self.role is Role.OPERATE


class _Stored(BaseModel):
    """``stamp`` is the local user's of the time; ``ends_at`` is unix ms."""

    name: str
    role: Role
    origin: Origin
    csrf: str
    stamp: str | None
    ends_at: int


class Sessions:
    """Raises redis-py's errors if Redis is unavailable."""

    def __init__(self, redis: Redis, *, longest_s: int, idle_s: int) -> None:
        self._redis = redis
        self._open = script(redis, "console/open_session")
        self.longest_s = longest_s
        self._idle_s = idle_s

    async def open(
        self, name: str, role: Role, origin: Origin, local: LocalUser | None = None
    ) -> str:
        """Open a session, and return the token for its cookie. ``local`` is the user whose change
        ends it."""
        token = secrets.token_urlsafe(32)
        session = _digest(token)
        now = now_ms()
        stored = _Stored(
            name=name,
            role=role,
            origin=origin,
            csrf=secrets.token_urlsafe(24),
            stamp=local.stamp if local else None,
            ends_at=now + self.longest_s * 1000,
        )
        await self._open(
            keys=[keys.console_session(session), keys.CONSOLE_SESSIONS],
            args=[session, stored.model_dump_json(), stored.ends_at, self._idle_s, now],
        )
        return token

    async def find(self, token: str) -> User | None:
        """Return whose session this is, unless it has ended. It counts as used."""
        return await self.look(_digest(token), renew=True)

    async def look(self, session: str, *, renew: bool = False) -> User | None:
        """The same, by the session's name. ``renew``: it counts as used."""
        key = keys.console_session(session)
        value = await (self._redis.getex(key, ex=self._idle_s) if renew else self._redis.get(key))
        stored = _load(cast("bytes | None", value))
        if stored is None:
            return None
        if stored.ends_at <= now_ms() or not await self._is_valid(stored):
            await self.close(session)
            return None
        return User(stored.name, stored.role, stored.origin, stored.csrf, session)

    async def close(self, session: str) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(keys.console_session(session))
        pipeline.zrem(keys.CONSOLE_SESSIONS, session)
        await pipeline.execute()

    async def all(self) -> list[User]:
        """Return who is signed in, by name."""
        names = cast("list[bytes]", await self._redis.zrange(keys.CONSOLE_SESSIONS, 0, -1))
        found = [await self.look(name.decode()) for name in names]
        return sorted((user for user in found if user), key=lambda user: user.name)

    async def close_all(self, name: str) -> int:
        """Sign somebody out everywhere, and return of how many sessions."""
        found = [user for user in await self.all() if user.name == name]
        for user in found:
            await self.close(user.session)
        return len(found)

    async def _is_valid(self, stored: _Stored) -> bool:
        if stored.origin is not Origin.PASSWORD:
            return True
        found = await self._redis.hget(keys.CONSOLE_USERS, stored.name)
        if found is None:
            return False
        return LocalUser.model_validate_json(cast(bytes, found)).stamp == stored.stamp


def _load(value: bytes | None) -> _Stored | None:
    try:
        return None if value is None else _Stored.model_validate_json(value)
    except ValidationError:
        return None  # another version wrote it: whoever it was signs in again


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
