"""A lane of the inbox under test, with its drain and its accounting."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.outbox import make_outbox
from sidecar.inbox.store import WEBHOOK_BYTES, Inbox, InboxEntry, InboxReader
from sidecar.ops.accounting import Counters
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.settings import Settings
from tests.eventually import eventually
from tests.workers.payloads import VENDOR
from workers.inbox.delivery import Delivery
from workers.inbox.drain import Drain, Host
from workers.inbox.effects import UpdateEffects
from workers.inbox.processor import Processor
from workers.inbox.reader import LanePolicy
from workers.inbox.status_errors import StatusErrors
from workers.inbox.update import Update
from workers.sending.limiter import Limiter

#: Counters that go down as well: what a vendor has in Redis.
MEASURED = (
    keys.STORED_BYTES.encode(),
    *(keys.deferred_count(lane).encode() for lane in Lane),
    *(keys.deferred_bytes(lane).encode() for lane in Lane),
)


@dataclass
class LaneUnderTest:
    lane: Lane
    settings: Settings
    redis: Redis
    leases: Leases
    backend: Backend
    stopping: bool = False
    configs: dict[str, VendorConfig] = field(default_factory=dict)
    woken: list[tuple[EffectKind, str]] = field(default_factory=list)
    wake: Callable[[Lane], None] = lambda lane: None
    linger_s: float = 0.0
    delivery: Delivery = field(init=False)
    status_errors: StatusErrors = field(init=False)

    def __post_init__(self) -> None:
        self.status_errors = StatusErrors(
            self.settings, self.redis, Limiter(self.redis), self._find_config
        )
        self.delivery = Delivery(self.backend, Breaker("php.failing", first_s=0.02, longest_s=0.05))

    async def _find_config(self, vendor_uid: str) -> VendorConfig | None:
        return self.configs.get(vendor_uid)

    async def receive(self, *bodies: bytes, vendor: str = VENDOR) -> None:
        """Put webhooks into the inbox, each in a group commit of its own."""
        await put(self.redis, self.lane, *bodies, vendor=vendor)

    async def receive_long_ago(self, body: bytes, age_ms: int, vendor: str = VENDOR) -> None:
        """Put a webhook into the inbox that has been there for a while."""
        await self.redis.sadd(keys.ready(self.lane), vendor)
        stream, entry_id = keys.inbox(self.lane, vendor), f"{now_ms() - age_ms}-0"
        await _execute(self.redis, "XADD", stream, entry_id, b"sha256=", body)
        await self.redis.hincrby(keys.counters(vendor), "webhooks_received", 1)
        await self.redis.hincrby(
            keys.counters(vendor), keys.STORED_BYTES, len(body) + WEBHOOK_BYTES
        )
        await self.redis.hincrby(keys.waiting(self.lane), vendor, 1)
        await self.redis.sadd(keys.VENDORS, vendor)

    def _wake(self, kind: EffectKind, vendor_uid: str) -> None:
        self.woken.append((kind, vendor_uid))

    def make(self, stopping: Callable[[], bool] | None = None) -> Drain:
        """Make what drains the lane."""
        return Drain(
            LanePolicy.of(self.lane, self.settings),
            self.settings,
            self.redis,
            self.delivery,
            Processor(
                self.lane,
                self.settings,
                self.redis,
                UpdateEffects(make_outbox(self.settings, self.redis), self._wake),
                self.status_errors if self.lane is Lane.STATUSES else None,
            ),
            Host(self.leases, stopping or (lambda: self.stopping), self.wake, self.linger_s),
        )

    async def drain(self) -> bool:
        return await self.make().run()

    async def drain_when_it_may(self) -> None:
        """Drain as the reconciler would have it done: again and again, until nothing is left."""

        async def empty() -> bool:
            await self.make_due()
            await self.drain()
            ready = await self.redis.exists(keys.ready(self.lane))
            return not ready and not await self.deferred()

        await eventually(empty)

    async def waiting(self, vendor: str = VENDOR) -> int:
        """Return how many webhooks are in a vendor's stream."""
        return sum(len(entry.webhooks) for entry in await self._entries(self.lane, vendor))

    async def _entries(self, lane: Lane, vendor: str) -> list[InboxEntry]:
        return (await InboxReader(self.redis).read(lane, {vendor: "0"}, 100_000))[vendor]

    async def deferred(self) -> dict[str, list[Update]]:
        """Return what waits, by order key; the index must fit."""
        found = {}
        for name in await self._order_keys():
            updates = await _execute(
                self.redis, "LRANGE", keys.deferred_updates(self.lane, name), 0, -1
            )
            found[name] = [Update.load(update) for update in updates]
            assert found[name], f"{name} is in the index, and nothing waits there"
        lists = await self.redis.keys(keys.deferred_updates(self.lane, "*"))
        assert len(lists) == len(found), "something waits that is not in the index"
        return found

    async def next_due_at(self) -> int:
        """Return when what waits is due, which must be under one order key."""
        [name] = await self._order_keys()
        return int(await self.redis.zscore(keys.deferred(self.lane), name) or 0)

    async def make_due(self) -> None:
        """Let the time pass until everything that waits is due."""
        for name in await self._order_keys():
            await self.redis.zadd(keys.deferred(self.lane), {name: 1})

    async def _order_keys(self) -> list[str]:
        names = await _execute(self.redis, "ZRANGE", keys.deferred(self.lane), 0, -1)
        return [name.decode() for name in names]

    async def counters(self, vendor: str = VENDOR) -> dict[str, int]:
        """Return what was counted of a vendor, but for what is measured of it."""
        found = await _execute(self.redis, "HGETALL", keys.counters(vendor))
        return {name.decode(): int(count) for name, count in found.items() if name not in MEASURED}

    async def measured(self, vendor: str) -> dict[str, int]:
        """Return what is counted of what a vendor has in Redis, as far as it is not 0."""
        found = await _execute(self.redis, "HMGET", keys.counters(vendor), *MEASURED)
        counts = zip(MEASURED, found, strict=True)
        return {name.decode(): int(count) for name, count in counts if int(count or 0)}

    async def _stored(self, vendor: str) -> dict[str, int]:
        """Return the same as it is."""
        counts: Counter[str] = Counter()
        for lane in Lane:
            for entry in await self._entries(lane, vendor):
                counts[keys.STORED_BYTES] += entry.size
            for name in await _execute(self.redis, "ZRANGE", keys.deferred(lane), 0, -1):
                key = keys.deferred_updates(lane, name.decode())
                for update in await _execute(self.redis, "LRANGE", key, 0, -1):
                    if Update.load(update).vendor_uid == vendor:
                        counts[keys.STORED_BYTES] += len(update)
                        counts[keys.deferred_bytes(lane)] += len(update)
                        counts[keys.deferred_count(lane)] += 1
        for kind in EffectKind:
            effects = await _execute(self.redis, "HVALS", keys.effects(kind, vendor))
            counts[keys.STORED_BYTES] += sum(map(len, effects))
        return {name: count for name, count in counts.items() if count}

    async def assert_balanced(self) -> None:
        """What came in is done, or waits, or is dead: for every vendor."""
        waiting: dict[str, int] = {}
        for updates in (await self.deferred()).values():
            for update in updates:
                waiting[update.vendor_uid] = waiting.get(update.vendor_uid, 0) + 1
        for key in await _execute(self.redis, "KEYS", keys.COUNTERS_PREFIX + "*"):
            vendor = key.decode().removeprefix(keys.COUNTERS_PREFIX)
            counts = await self.counters(vendor)
            in_stream = await self.waiting(vendor)
            assert counts.get("webhooks_received", 0) == counts.get("webhooks_done", 0) + in_stream
            ends = ("duplicates", "coalesced", "done", "ignored", "dead")
            ended = sum(counts.get(name, 0) for name in ends)
            assert counts.get("updates", 0) == ended + waiting.get(vendor, 0), counts
            ready = await self.redis.sismember(keys.ready(self.lane), vendor)
            assert bool(ready) == bool(in_stream)
            assert await self.measured(vendor) == await self._stored(vendor)
        for accounting in await Counters(self.redis).read():
            assert accounting.balanced, accounting
            assert accounting.updates.parts["waiting"] == waiting.get(accounting.vendor_uid, 0)
            assert accounting.waiting[self.lane] == await self.waiting(accounting.vendor_uid)


async def _execute(redis: Redis, *words: str | bytes | int) -> Any:
    """Give Redis a command, and return what it answers as it comes."""
    return await cast(Any, redis).execute_command(*words)


async def put(redis: Redis, lane: Lane, *bodies: bytes, vendor: str = VENDOR) -> None:
    """Put webhooks into the inbox, an entry each."""
    inbox = Inbox(redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda _lane: None)
    for body in bodies:
        await inbox.put(lane, vendor, b"sha256=", body)
    await inbox.close()
