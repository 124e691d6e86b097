"""Who may sign in to the console with a password.

Users are kept in Redis, where every ``sidecar serve`` finds them and ``sidecar console`` changes
them for all at once: a file on each machine would let somebody in on one who was removed on
another. Where Redis is emptied they are gone, and nobody can sign in until they are added again;
that errs on the right side.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict

from contracts.console import Role
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis

#: Longest name and password, in characters. What is longer is not even hashed.
MAX_NAME = 64
MIN_PASSWORD = 12
MAX_PASSWORD = 256

#: OWASP's choice for argon2id: 19 MiB and two passes, about 20 ms of one core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

#: Passwords are checked one after the other, with a pause after each, so that whoever tries many
#: takes a small part of one core, and of no webhook's time.
_PAUSE_S = 0.1
#: Those that may wait for that.
_MAX_WAITING = 20


class LocalUser(BaseModel):
    """``stamp`` changes with the password and the role, and ends the sessions that have the one
    before."""

    model_config = ConfigDict(frozen=True)

    name: str
    role: Role
    password_hash: str
    stamp: str


class TooManyAtOnce(Exception):
    """So many sign in at this moment that one more is not looked at."""


class Users:
    """Raises redis-py's errors if Redis is unavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._hashing = asyncio.Lock()
        self._waiting = 0
        self._nobody: str | None = None

    async def all(self) -> list[LocalUser]:
        """Return all users, by name."""
        found = cast(Hash, await self._redis.hgetall(keys.CONSOLE_USERS))
        users = [LocalUser.model_validate_json(value) for value in found.values()]
        return sorted(users, key=lambda user: user.name)

    async def find(self, name: str) -> LocalUser | None:
        found = await self._redis.hget(keys.CONSOLE_USERS, name)
        return None if found is None else LocalUser.model_validate_json(cast(bytes, found))

    async def put(self, name: str, role: Role, password: str) -> bool:
        """Add a user, or change one; then the sessions of before end. Returns whether it is a new
        one."""
        user = LocalUser(
            name=name,
            role=role,
            password_hash=await asyncio.to_thread(_HASHER.hash, password),
            stamp=secrets.token_hex(8),
        )
        return bool(await self._redis.hset(keys.CONSOLE_USERS, name, user.model_dump_json()))

    async def remove(self, name: str) -> bool:
        """Remove a user, whose sessions end. Returns whether there was one."""
        return bool(await self._redis.hdel(keys.CONSOLE_USERS, name))

    async def check(self, name: str, password: str) -> LocalUser | None:
        """Return the user if name and password are right. A name that is not there takes as long.
        Raises :class:`TooManyAtOnce`."""
        if len(name) > MAX_NAME or len(password) > MAX_PASSWORD:
            return None
        async with self._turn():
            user = await self.find(name)
            if self._nobody is None:
                secret = secrets.token_hex(16)
                self._nobody = await asyncio.to_thread(_HASHER.hash, secret)
            known = user.password_hash if user else self._nobody
            is_right = await asyncio.to_thread(_is_right, known, password)
        return user if is_right else None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= _MAX_WAITING:
            raise TooManyAtOnce
        self._waiting += 1
        try:
            await self._hashing.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(_PAUSE_S, self._hashing.release)


def _is_right(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def wrong_name(name: str) -> str | None:
    """Return why this can be no user's name."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        return f"a name has 1 to {MAX_NAME} printable characters, and no blank around it"
    return None


def wrong_password(password: str) -> str | None:
    """Return why this can be no password."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters"
    return None
