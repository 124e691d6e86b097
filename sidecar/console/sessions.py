"""Who is signed in.

A session is a random token in a cookie, of which Redis has the digest: whoever reads Redis cannot
sign in with it. It ends when it was not used for ``console_idle_s``, after ``console_session_s`` in
any case, when somebody signs out, and when the user is removed or gets another role or password.
"""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from pydantic import BaseModel

from sidecar.clock import now_ms
from sidecar.console.users import LocalUser, Role
from sidecar.redis import keys
from sidecar.redis.client import Redis


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
        self.longest_s = longest_s
        self._idle_s = idle_s

    async def open(
        self, name: str, role: Role, origin: Origin, local: LocalUser | None = None
    ) -> str:
        """Open a session, and return the token for its cookie. ``local`` is the user whose change
        ends it."""
        token = secrets.token_urlsafe(32)
        stored = _Stored(
            name=name,
            role=role,
            origin=origin,
            csrf=secrets.token_urlsafe(24),
            stamp=local.stamp if local else None,
            ends_at=now_ms() + self.longest_s * 1000,
        )
        ttl_s = min(self._idle_s, self.longest_s)
        key = keys.console_session(_digest(token))
        await self._redis.set(key, stored.model_dump_json(), ex=ttl_s)
        return token

    async def find(self, token: str, *, renew: bool = True) -> User | None:
        """Return who has this session, unless it has ended. ``renew``: it is in use, so the time
        until it ends for being idle starts again."""
        return await self.look(_digest(token), renew=renew)

    async def look(self, session: str, *, renew: bool = False) -> User | None:
        """The same, by the session's name."""
        key = keys.console_session(session)
        value = await (self._redis.getex(key, ex=self._idle_s) if renew else self._redis.get(key))
        if value is None:
            return None
        stored = _Stored.model_validate_json(cast(bytes, value))
        if stored.ends_at <= now_ms() or not await self._still(stored):
            await self.close(session)
            return None
        return User(stored.name, stored.role, stored.origin, stored.csrf, session)

    async def close(self, session: str) -> None:
        await self._redis.delete(keys.console_session(session))

    async def _still(self, stored: _Stored) -> bool:
        if stored.origin is not Origin.PASSWORD:
            return True
        found = await self._redis.hget(keys.CONSOLE_USERS, stored.name)
        if found is None:
            return False
        return LocalUser.model_validate_json(cast(bytes, found)).stamp == stored.stamp


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
