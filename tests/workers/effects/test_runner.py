"""Doing effects: how often, when again, and what follows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from contracts.backend import VendorConfig
from contracts.effects import Broadcast, Effect, EffectKind, Forward
from sidecar.clock import now_ms
from sidecar.effects.outbox import Outbox, Queued, effects_lease, id_of, make_outbox
from sidecar.ops.accounting import Counters
from sidecar.php.client import BackendError
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.eventually import eventually
from workers.effects.handler import Again, Done, End, GivenUp
from workers.effects.runner import EffectRun

KIND = EffectKind.FORWARD


@dataclass
class Doer:
    """A handler that ends effects as ``ends`` says, and else at once; ``gate`` holds it up."""

    kind: EffectKind = KIND
    batch: int = 1
    at_once: int = 3
    ends: dict[str, list[End | Exception]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    came: list[str] = field(default_factory=list)
    most: int = 0
    now: int = 0
    batches: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def arrived(self, queued: Queued) -> None:
        self.came.append(queued.id)

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.batches.append(len(batch))
        self.tokens.append(config.access_token)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            return [self._end(queued) for queued in batch]
        finally:
            self.now -= 1

    def _end(self, queued: Queued) -> End:
        self.done.append(queued.id)
        left = self.ends.get(queued.id)
        end = left.pop(0) if left else Done()
        if isinstance(end, Exception):
            raise end
        return end

    async def close(self) -> None:
        pass


@dataclass
class Stand:
    """What a run needs."""

    settings: Settings
    redis: Redis
    outbox: Outbox
    doer: Doer = field(default_factory=Doer)
    woken: list[tuple[EffectKind, str]] = field(default_factory=list)
    stopping: bool = False
    latest: VendorConfig | BackendError | None = None
    asked: int = 0

    async def config_since(self, vendor_uid: str, since: float) -> VendorConfig | None:
        self.asked += 1
        if isinstance(self.latest, BackendError):
            raise self.latest
        return self.latest

    async def ask(self, *ids: str) -> None:
        await self.outbox.put("v", [Forward(id=one, body={}) for one in ids])

    def make(self, lease: Lease) -> EffectRun:
        return EffectRun(
            self.settings,
            self.outbox,
            self.doer,
            VendorConfig(vendor_uid="v"),
            lease,
            owner=self,
        )

    def wake(self, kind: EffectKind, vendor_uid: str) -> None:
        self.woken.append((kind, vendor_uid))

    async def run(self, before: Callable[[Lease], Any] = lambda lease: None) -> None:
        async with Leases(self.redis, 10_000).hold(effects_lease(self.doer.kind, "v")) as lease:
            assert lease is not None
            before(lease)
            await asyncio.wait_for(self.make(lease).run(), 20)

    async def waiting(self) -> dict[str, int]:
        """Return when what waits is due."""
        found = cast(
            "list[tuple[bytes, float]]",
            await self.redis.zrange(keys.outbox_of(self.doer.kind, "v"), 0, -1, withscores=True),
        )
        return {name.decode(): int(score) for name, score in found}


@pytest.fixture
async def stand(redis: Redis, make_settings: MakeSettings) -> AsyncIterator[Stand]:
    settings = make_settings(effect_max_attempts=3, update_retry_first_ms=10_000)
    stand = Stand(settings, redis, make_outbox(settings, redis))
    yield stand
    for accounting in await Counters(redis).read():
        assert accounting.balanced, accounting


async def test_each_is_done_once(stand: Stand) -> None:
    ids = [f"e{number}" for number in range(40)]
    await stand.ask(*ids)
    await stand.run()
    assert sorted(stand.doer.done) == sorted(ids)
    assert stand.doer.came == ids
    assert stand.doer.most == 3
    assert await stand.waiting() == {}


async def test_it_has_few_bytes_in_hand(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.effects.runner.MAX_IN_HAND_BYTES", 2500)
    ids = [f"e{number}" for number in range(6)]
    await stand.outbox.put("v", [Forward(id=one, raw="x" * 1000) for one in ids])
    in_hand = []
    came = stand.doer.arrived

    def arrived(queued: Queued) -> None:
        came(queued)
        in_hand.append(len(stand.doer.came) - len(stand.doer.done))

    monkeypatch.setattr(stand.doer, "arrived", arrived)
    await stand.run()
    assert sorted(stand.doer.done) == ids
    assert max(in_hand) == 2


async def test_several_share_a_call(stand: Stand) -> None:
    stand.doer.batch = 10
    await stand.ask(*(f"e{number}" for number in range(25)))
    await stand.run()
    assert sorted(stand.doer.batches) == [5, 10, 10]


async def test_a_failure_waits_longer_every_time_and_ends_among_the_dead(stand: Stand) -> None:
    stand.doer.ends["a"] = [Again("one"), Again("two"), Again("three")]
    await stand.ask("a", "b")
    for pause_ms in (10_000, 20_000):
        before = now_ms()
        await stand.run()
        [(name, due_at)] = (await stand.waiting()).items()
        assert name == "a"
        assert before + pause_ms <= due_at <= now_ms() + pause_ms
        await stand.redis.zadd(keys.outbox_of(KIND, "v"), {"a": now_ms()})
    await stand.run()
    assert await stand.waiting() == {}
    assert await stand.redis.hkeys(keys.dead_letters("v")) == [b"v/forward/a"]


async def test_it_says_itself_when_and_whether_that_counts(stand: Stand) -> None:
    stand.doer.ends["a"] = [Again("busy", after_s=5, counts=False)] * 4
    await stand.ask("a")
    for _ in range(4):
        before = now_ms()
        await stand.run()
        [due_at] = (await stand.waiting()).values()
        assert before + 5000 <= due_at <= now_ms() + 5000
        await stand.redis.zadd(keys.outbox_of(KIND, "v"), {"a": now_ms()})
    await stand.run()
    assert await stand.waiting() == {}
    assert len(stand.doer.done) == 5


async def test_what_cannot_happen_goes_to_the_dead_letters(stand: Stand) -> None:
    stand.doer.ends["a"] = [GivenUp("410 gone")]
    await stand.ask("a", "b")
    await stand.run()
    assert await stand.redis.hkeys(keys.dead_letters("v")) == [b"v/forward/a"]
    assert b"410 gone" in (await stand.redis.hget(keys.dead_letters("v"), "v/forward/a") or b"")


async def test_an_exception_is_a_failure(stand: Stand) -> None:
    stand.doer.ends["a"] = [ZeroDivisionError("oops")]
    await stand.ask("a")
    await stand.run()
    assert list(await stand.waiting()) == ["a"]


async def test_what_follows_is_put_on_disk_and_woken(stand: Stand) -> None:
    follow = {"kind": "send_message", "id": "s", "to": "49", "message": {"type": "text"}}
    stand.doer.ends["a"] = [Done(effects=[follow, {"kind": "unheard of"}])]
    await stand.ask("a")
    await stand.run()
    kind = EffectKind.SEND_MESSAGE
    assert stand.woken == [(kind, "v")]
    [queued] = await stand.outbox.due(kind, "v", now_ms(), 10)
    assert queued.id == "s"


async def test_old_broadcasts_are_left_out(redis: Redis, make_settings: MakeSettings) -> None:
    settings = make_settings(broadcast_expiry_s=1)
    stand = Stand(settings, redis, make_outbox(settings, redis), Doer(EffectKind.BROADCAST))
    effects: list[Effect] = [Broadcast(channels=["c"], event=event) for event in "ab"]
    await stand.outbox.put("v", effects)
    name = keys.effects(EffectKind.BROADCAST, "v")
    old = id_of(effects[0])
    queued = Queued(old, "v", effects[0], now_ms() - 2000)
    await redis.hset(name, old, queued.dump())
    await stand.run()
    assert stand.doer.done == [id_of(effects[1])]
    assert await stand.waiting() == {}


async def test_when_all_fails_it_is_asked_less_often(stand: Stand) -> None:
    ids = [f"e{number}" for number in range(30)]
    stand.doer.ends = {one: [Again("down")] for one in ids}
    await stand.ask(*ids)
    running = asyncio.create_task(stand.run())
    await eventually(lambda: len(stand.doer.done) >= 1)
    await asyncio.sleep(0.3)
    assert len(stand.doer.done) <= stand.doer.at_once, "the rest waits, and counts no attempt"
    stand.stopping = True
    await running
    assert len(await stand.waiting()) == 30


async def test_what_comes_meanwhile_is_done_by_the_same_run(stand: Stand) -> None:
    stand.doer.gate.clear()
    await stand.ask("a")
    running = asyncio.create_task(stand.run())
    await eventually(lambda: stand.doer.now == 1)
    await stand.ask("b")
    await eventually(lambda: stand.doer.now == 2)
    stand.doer.gate.set()
    await running
    assert sorted(stand.doer.done) == ["a", "b"]


async def test_a_run_that_has_lost_its_lease_writes_nothing_down(stand: Stand) -> None:
    stand.doer.gate.clear()
    await stand.ask("a")
    leases: list[Lease] = []
    running = asyncio.create_task(stand.run(leases.append))
    await eventually(lambda: stand.doer.now == 1)
    await stand.redis.set(leases[0].key, leases[0].token + 1)
    stand.doer.gate.set()
    await eventually(lambda: stand.doer.done == ["a"])
    leases[0].lost.set()
    await running
    assert list(await stand.waiting()) == ["a"], "the new holder does it again"


async def test_it_stops(stand: Stand) -> None:
    stand.doer.gate.clear()
    await stand.ask("a", "b", "c", "d")
    running = asyncio.create_task(stand.run())
    await eventually(lambda: stand.doer.now == 3)
    stand.stopping = True
    await asyncio.sleep(0.1)
    stand.doer.gate.set()
    await running
    assert len(stand.doer.done) == 3
    assert len(await stand.waiting()) == 1


# -- a setting of the vendor's that has changed --

REFUSALS: list[End] = [
    Again("no such token", after_s=1000.0, refused=True),
    GivenUp("no such URL", refused=True),
]


@pytest.mark.parametrize("end", REFUSALS, ids=["tried again", "given up"])
async def test_a_refusal_that_a_changed_setting_explains_counts_for_nothing(
    stand: Stand, end: End
) -> None:
    stand.latest = VendorConfig(vendor_uid="v", access_token="new")
    stand.doer.ends["a"] = [end]
    await stand.ask("a")
    await stand.run()
    assert stand.doer.tokens == [None, "new"]
    assert stand.asked == 1
    assert await stand.waiting() == {}


@pytest.mark.parametrize(
    "latest",
    [VendorConfig(vendor_uid="v"), None, BackendError("away")],
    ids=["nothing has changed", "there is no such vendor", "PHP does not answer"],
)
async def test_any_other_refusal_stands(stand: Stand, latest: Any) -> None:
    stand.latest = latest
    stand.doer.ends = {"a": [REFUSALS[0]], "b": [REFUSALS[1]]}
    await stand.ask("a", "b")
    before = now_ms()
    await stand.run()
    assert stand.doer.tokens == [None, None]
    [(name, due)] = (await stand.waiting()).items()
    assert name == "a"
    assert due >= before + 1_000_000


async def test_what_was_announced_meanwhile_is_not_asked_for(stand: Stand) -> None:
    stand.doer.ends["a"] = [REFUSALS[1]]
    stand.doer.gate.clear()
    await stand.ask("a")
    async with Leases(stand.redis, 10_000).hold(effects_lease(KIND, "v")) as lease:
        assert lease is not None
        run = stand.make(lease)
        running = asyncio.create_task(run.run())
        await eventually(lambda: stand.doer.now)
        run.follow(VendorConfig(vendor_uid="v", access_token="announced"))
        stand.doer.gate.set()
        await asyncio.wait_for(running, 20)
    assert stand.doer.tokens == [None, "announced"]
    assert stand.asked == 0
