"""Writes that count only when replicas have them too (``redis_replicas_in_sync``).

Such a write ends with WAIT, which answers when so many replicas have it in memory, and WAITAOF,
which does when it is on their disks, in the same round trip. Only its own connection waits. A
replica has what its primary wrote up to some moment, and nothing of what came after that, whoever
wrote it. So when one write is on a replica, all before it are, and few have to wait:
docs/decisions/0008-replicas-in-sync.md says which, and why the others need not.

https://valkey.io/commands/wait/ and https://valkey.io/commands/waitaof/
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.metrics import METRICS, REDIS_NOT_IN_SYNC
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, RedisRefuses, ResponseError, script
from sidecar.settings import MissingReplicas, Settings
from sidecar.tasks import cancel

log = structlog.get_logger()

#: How often it is tried whether replicas are back.
TRY_S = 0.2
#: For how long a Redis is not asked for WAITAOF that has none, or no append-only file.
NO_DISK_S = 60.0

Word = str | bytes | int | float


class ReplicasMissing(RedisTimeoutError):
    """A write is not known to be on enough replicas; it may have been made all the same, as with
    any answer that is lost."""


@dataclass(frozen=True, slots=True)
class Policy:
    """So many replicas must have a write within ``timeout_ms``. ``refuse``: or it does not
    count."""

    count: int
    timeout_ms: int
    refuse: bool


class Replicas:
    """What is known of them to whoever writes by the connections of a pool. ``missing``: why writes
    are not in sync now, if they are not.

    Once a write was not, none waits any more: with ``refuse`` none is made either, else they go on
    as if no replica were asked for. Meanwhile it is tried over and over with a write that does not
    matter.
    """

    def __init__(
        self, pool: Any, policy: Policy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._clock = clock
        self._no_disk_until = 0.0
        self._trying: asyncio.Task[None] | None = None
        self.missing: str | None = None

    @property
    def refusal(self) -> str | None:
        """Return why a write that must be in sync is refused now."""
        return self.missing if self._policy.refuse else None

    def expects_them(self) -> bool:
        """Return whether a write is to wait for them. Raises :class:`ReplicasMissing` if it is
        not to be made."""
        if self.missing is not None:
            self._count()
        if self.refusal is not None:
            raise ReplicasMissing(self.refusal)
        return self.missing is None

    async def write(self, *command: Word) -> tuple[Any, asyncio.Task[None]]:
        """Run a command. Return its answer as soon as the primary gives it, and what ends when
        enough replicas have it: another may be run until then."""
        connection, answer, waits = await self._run(command)
        return answer, asyncio.create_task(self._settle(connection, waits))

    async def look(self) -> str | None:
        """Write what does not matter, and return why too few have it, if so."""
        connection, _, waits = await self._run(("SET", keys.PROBE, 1, "EX", 60))
        return await self._ask(connection, waits)

    @property
    def know_disks(self) -> bool:
        """Whether Redis says what replicas have on disk, as far as it was asked."""
        return self._clock() >= self._no_disk_until

    async def close(self) -> None:
        await cancel([self._trying])

    async def _run(self, command: Sequence[Word]) -> tuple[Any, Any, int]:
        count, timeout_ms = self._policy.count, self._policy.timeout_ms
        commands = [command, ("WAIT", count, timeout_ms)]
        if self.know_disks:
            # After WAIT. What a replica is asked for together with a write it answers before it
            # has synced that, and again only when it reports by itself, a second later.
            commands.append(("WAITAOF", 1, count, timeout_ms))
        connection = await self._pool.get_connection()
        try:
            await connection.send_packed_command(connection.pack_commands(commands))
            return connection, await connection.read_response(), len(commands) - 1
        except BaseException:
            await connection.disconnect(nowait=True)  # nobody reads the other answers
            await self._pool.release(connection)
            raise

    async def _settle(self, connection: Any, waits: int) -> None:
        if (reason := await self._ask(connection, waits)) is None:
            return
        self._count()
        if self.missing is None:
            log.error("redis.replicas_missing", reason=reason, refuse=self._policy.refuse)
            self.missing = reason
            self._trying = asyncio.create_task(self._try(), name="replicas")
        if self._policy.refuse:
            raise ReplicasMissing(reason)

    async def _ask(self, connection: Any, waits: int) -> str | None:
        """Return why too few replicas have what this connection has written, if so."""
        count, within = self._policy.count, f"within {self._policy.timeout_ms} ms"
        left = waits
        try:
            in_memory = await connection.read_response()
            left -= 1
            if in_memory < count:
                return f"{in_memory} of {count} replicas had a write {within}"
            if not left:
                return None
            left -= 1
            on_disk = await self._on_disk(connection)
            if on_disk is not None and on_disk < count:
                return f"{on_disk} of {count} replicas had a write on disk {within}"
            return None
        finally:
            if left:
                await connection.disconnect(nowait=True)  # it would hold up who is next
            await self._pool.release(connection)

    async def _on_disk(self, connection: Any) -> int | None:
        """Return how many replicas have it on disk; None: Redis cannot tell."""
        try:
            _, replicas = await connection.read_response()
        except RedisRefuses:
            raise
        except ResponseError as error:
            log.warning("redis.waitaof_unavailable", reason=str(error))
            self._no_disk_until = self._clock() + NO_DISK_S
            return None
        return int(replicas)

    async def _try(self) -> None:
        while self.missing is not None:
            await asyncio.sleep(TRY_S)
            try:
                self.missing = await self.look()
            except AnyRedisError:
                continue
            except Exception:
                log.exception("redis.replicas_not_tried")
        log.warning("redis.replicas_back")

    def _count(self) -> None:
        METRICS.counter(REDIS_NOT_IN_SYNC, "refused" if self._policy.refuse else "went_on").add()


_REPLICAS: WeakKeyDictionary[Redis, Replicas] = WeakKeyDictionary()


def with_replicas(client: Redis, settings: Settings) -> Replicas | None:
    """Have a client's :class:`InSync` scripts wait for replicas, if the settings say so. Call it
    before any of them is made, and close what it returns before the client."""
    if not settings.redis_replicas_in_sync:
        return None
    policy = Policy(
        settings.redis_replicas_in_sync,
        settings.redis_replicas_timeout_ms,
        settings.redis_replicas_missing is MissingReplicas.REFUSE,
    )
    replicas = _REPLICAS[client] = Replicas(client.connection_pool, policy)
    return replicas


class InSync:
    """A script whose effect counts only when replicas have it too."""

    def __init__(self, client: Redis, name: str) -> None:
        self._client = client
        self._script = script(client, name)
        self._replicas = _REPLICAS.get(client)

    async def __call__(self, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """Return its answer. Raises :class:`ReplicasMissing`."""
        answer, replicating = await self.begin(keys, args)
        if replicating is not None:
            await replicating
        return answer

    async def begin(
        self, keys: Sequence[str], args: Sequence[Word]
    ) -> tuple[Any, asyncio.Task[None] | None]:
        """Return its answer as soon as the primary gives it, and what ends when replicas have it;
        None: nobody waits for them."""
        if self._replicas is None or not self._replicas.expects_them():
            return await self._script(keys=keys, args=args), None
        command = ("EVALSHA", self._script.sha, len(keys), *keys, *args)
        try:
            return await self._replicas.write(*command)
        except NoScriptError:
            await self._client.script_load(self._script.script)
            return await self._replicas.write(*command)
