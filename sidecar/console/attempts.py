"""How often somebody may try to sign in, and how much of it the audit gets."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import cast

from redis.exceptions import OutOfMemoryError

from sidecar.redis import keys
from sidecar.redis.client import Redis, script

#: Tries within :data:`WINDOW_S`, by what is counted: the name, and where they come from.
LIMITS = {"name": 10, "address": 30}
WINDOW_S = 900
#: For how long somebody's tries from where they signed in count by themselves: else whoever knows
#: a name could keep its owner out.
KNOWN_S = 30 * 86_400
#: Refusals that the audit gets within this time: of all who are not signed in together, and of
#: each user who is, however often. They could else push everything out of it. The log has all of
#: them.
MAX_STRANGERS = 20
MAX_OF_USER = 200


@dataclass(frozen=True, slots=True)
class TooManyTries(Exception):
    """``scope`` is what was tried too often; it may be tried again in ``wait_s``."""

    scope: str
    wait_s: int


class Attempts:
    """Counts tries before they are looked at, so that many at once are counted too. Raises
    redis-py's errors if Redis is unavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = script(redis, "console/count_tries")

    async def begin(self, name: str, address: str) -> None:
        """Count a try, or raise :class:`TooManyTries`."""
        counted = await self._counted(name, address)
        answers = await self._count(list(counted.values()))
        for scope, count, ttl in zip(counted, answers[::2], answers[1::2], strict=True):
            if count > LIMITS[scope]:
                raise TooManyTries(scope, ttl)

    async def succeeded(self, name: str, address: str) -> None:
        """Forget the tries at this name, and this one of this address, from which the name is
        known."""
        counted = await self._counted(name, address)
        await self._redis.delete(counted["name"])
        await self._count([counted["address"]], -1)
        # While Redis is full this waits for another sign-in: somebody wants to see why it is.
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.sadd(_known(name), _digest(_network(address)))
        pipeline.expire(_known(name), KNOWN_S)
        with suppress(OutOfMemoryError):
            await pipeline.execute()

    async def _counted(self, name: str, address: str) -> dict[str, str]:
        """Return the keys of what is counted: of a name that is known from there, the tries from
        there alone."""
        network = _digest(_network(address))
        is_known = await self._redis.sismember(_known(name), network)
        counted = _keys(name, address)
        return counted | {"name": _from_there(name, network)} if is_known else counted

    async def forget(self, name: str) -> None:
        """Let a name be tried again at once."""
        known = cast("set[bytes]", await self._redis.smembers(_known(name)))
        from_there = (_from_there(name, network.decode()) for network in known)
        await self._redis.delete(_key("name", name), *from_there)

    async def is_recorded(self, user: str = "") -> bool:
        """Tell whether one more refusal is for the audit: of this user, who is signed in, or of a
        stranger."""
        counted = _key("recorded", user) if user else keys.console_tries("recorded", "strangers")
        count, _ = await self._count([counted])
        return count <= (MAX_OF_USER if user else MAX_STRANGERS)

    async def _count(self, counted: list[str], by: int = 1) -> list[int]:
        return cast("list[int]", await self._script(keys=counted, args=[WINDOW_S, by]))


def _keys(name: str, address: str) -> dict[str, str]:
    texts = {"name": name, "address": _network(address)}
    return {scope: _key(scope, text) for scope, text in texts.items()}


def _known(name: str) -> str:
    return keys.console_known(_digest(name))


def _from_there(name: str, network: str) -> str:
    return _key("known-name", f"{name}\n{network}")


def _key(scope: str, text: str) -> str:
    return keys.console_tries(scope, _digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _network(address: str) -> str:
    """Return an IPv4 address, or half of an IPv6 address: whoever has one has all of those."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ip_network((found, 64), strict=False))
