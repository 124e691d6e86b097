"""The sidecar's work as a machine of states: anything may come, in any order, and any process may
die or stand still in between. At the end everything must be where it belongs.

The campaign, the drains and the reconciler are the real ones, on a real Redis and the embedded
backend, with the simulated Cloud API. A wake-up is a job on a list, which may be lost.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from contracts import jobs
from contracts.backend import QueueStatus
from contracts.cloud_api.webhook import higher_status
from contracts.jobs import Job, Lane
from sidecar.effects.outbox import make_outbox
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.store import Inbox
from sidecar.ops.accounting import Counters
from sidecar.php.breaker import Breaker
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.redis.lease import Leases
from sidecar.settings import Settings
from simulator.cloud_api.fault import FaultKind, FaultSpec
from simulator.cloud_api.server import Running
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Vendor
from tests.workers import php as php_side
from tests.workers.crashing import Process
from tests.workers.payloads import message, status, webhook
from tests.workers.php import Php
from tests.workers.stage import Stage, cloud_for
from workers.inbox.delivery import Delivery
from workers.inbox.drain import Drain, Host
from workers.inbox.effects import UpdateEffects
from workers.inbox.processor import Processor
from workers.inbox.reader import LanePolicy
from workers.reconciler import Reconciler

T = TypeVar("T")

#: How a send may end, beside being accepted.
FAULTS = (
    FaultSpec(kind=FaultKind.ERROR, code=131026, times=1),  # refused for good
    FaultSpec(kind=FaultKind.ERROR, code=131016, times=1),  # to be tried again later
    FaultSpec(kind=FaultKind.RESET_AFTER_ACCEPT, times=1),  # accepted, and nobody knows
    FaultSpec(kind=FaultKind.RESET_BEFORE_READ, times=1),
    FaultSpec(kind=FaultKind.HTTP_500, times=1),
)
ERRORS = (131026, 131049, 130472, 999999)
STATUSES = ("sent", "delivered", "read", "failed")
CONTACTS = ("99911", "99922")
#: Rounds of the reconciler, with the time in between passing at once.
ROUNDS = 60

#: Which of those that are there when the time comes: what is there depends on more than the machine
#: decides, so what it draws may not depend on it.
PICKS = st.integers(0, 11)

#: What lasts for a while in Redis, and then is over.
PASSING = ("number:*", "turns:*", "wanting:*", "pair:*", "hold:*", "wait:*")

#: At which of its operations a process dies, and whether that one is done.
DEATHS = st.tuples(st.integers(1, 45), st.booleans())


def event(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return events: the name of one of the machine's methods, and its arguments."""
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


COMES = (
    event(
        "statuses_come",
        pick=PICKS,
        names=st.lists(st.sampled_from(STATUSES), min_size=1, max_size=3),
        code=st.sampled_from(ERRORS),
    ),
    event("customers_write", contacts=st.lists(st.sampled_from(CONTACTS), min_size=1, max_size=3)),
    event("a_message_comes_again", pick=PICKS),
)
GOES_WRONG = (
    event("the_next_send_ends_otherwise", fault=st.sampled_from(FAULTS)),
    event("php_fails_on_what_comes_from", contact=st.sampled_from(CONTACTS)),
    event("a_worker_is_woken_and_dies", pick=PICKS, death=DEATHS),
    event("a_sender_stands_still", at=DEATHS),
    event("it_goes_on"),
    event("wake_ups_are_lost"),
)
GOES_ON = (
    event("a_worker_is_woken", pick=PICKS),
    event("everybody_works"),
    event("the_reconciler_looks"),
    event("time_passes"),
)


@dataclass
class World:
    """What all runs of the machine share. ``runner`` has the loop on which everything lives."""

    runner: asyncio.Runner
    embedded: EmbeddedBackend
    redis_url: str
    settings: Settings
    redis: Redis = field(init=False)
    vendor: Vendor = field(init=False)
    cloud: Running = field(init=False)

    async def open(self) -> None:
        self.redis = connect(self.redis_url, timeout_s=5.0)
        self.vendor = self.embedded.seed_vendor(messages_per_second=1000.0)
        self._cloud = cloud_for(self.vendor)
        self.cloud = await self._cloud.__aenter__()

    async def close(self) -> None:
        await self._cloud.__aexit__(None, None, None)
        await self.redis.aclose()


class DrainProcess(Process):
    """One worker process that drains a lane."""

    def __init__(
        self, stage: Stage, redis_url: str, fails_at: int, lane: Lane, *, done: bool
    ) -> None:
        super().__init__(stage, redis_url, fails_at, done=done)
        self._lane = lane

    async def _send(self) -> bool:
        settings = self.stage.settings
        breaker = Breaker("php.failing", first_s=0.01, longest_s=0.02)
        effects = UpdateEffects(make_outbox(settings, self.redis), lambda kind, vendor_uid: None)
        drain = Drain(
            LanePolicy.of(self._lane, settings),
            settings,
            self.redis,
            Delivery(self.backend, breaker),
            Processor(self._lane, settings, self.redis, effects),
            Host(Leases(self.redis, settings.lease_ttl_ms), lambda: False),
        )
        return await drain.run()


class Machine(RuleBasedStateMachine):
    """``world`` is set by the test."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.statuses: dict[str, list[str]] = {}
        self.messages: list[tuple[str, str]] = []
        self.stalled: Process | None = None
        self.stage: Stage

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.world.runner.run(coroutine)

    @initialize(rows=st.integers(1, 4))
    def begin(self, rows: int) -> None:
        self.run(self._begin(rows))

    async def _begin(self, rows: int) -> None:
        world = self.world
        await world.redis.flushall()
        world.cloud.engine.faults.clear()
        php = Php(url=world.embedded.base_url)
        self.stage = Stage(
            world.embedded,
            php,
            php_side.client(php.url, timeout_s=10),
            world.redis,
            world.cloud,
            world.vendor,
            world.embedded.seed_campaign(world.vendor, rows),
            world.settings,
        )
        self.inbox = Inbox(
            world.redis, timeout_s=5, pending_limit_bytes=10**8, wake=lambda lane: self._drain(lane)
        )
        self.reconciler = Reconciler(
            world.settings,
            world.redis,
            self.stage.backend,
            Leases(world.redis, 10_000),
            self._wake_up,
        )
        await world.redis.hset(keys.CAMPAIGNS, self.stage.campaign.uid, world.vendor.uid)
        self._wake_up(jobs.send_campaign(world.vendor.uid, self.stage.campaign.uid))

    def _wake_up(self, job: Job) -> None:
        if job not in self.jobs:
            self.jobs.append(job)

    def _drain(self, lane: Lane) -> None:
        self._wake_up(jobs.drain(lane))

    @rule(events=st.lists(st.one_of(*COMES, *GOES_WRONG, *GOES_ON), min_size=3, max_size=6))
    def a_while(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        """Hypothesis leaves rules out at random, which would leave out most of what happens here:
        so there is one rule, with the events in it."""
        for name, arguments in events:
            getattr(self, name)(**arguments)

    # -- what comes in --

    def the_next_send_ends_otherwise(self, fault: FaultSpec) -> None:
        self.world.cloud.engine.faults.add(fault)

    def php_fails_on_what_comes_from(self, contact: str) -> None:
        """Until it is cured, which happens as time passes."""
        self.world.embedded.poison(contact)

    def statuses_come(self, pick: int, names: list[str], code: int) -> None:
        """Of a message that the Cloud API has accepted, whoever knows of that yet."""
        if not (accepted := self._accepted()):
            return
        wamid, row_uid = accepted[pick % len(accepted)]
        self.statuses.setdefault(row_uid, []).extend(names)
        elements = [
            status(
                wamid, name, row_uid, **({"errors": [{"code": code}]} if name == "failed" else {})
            )
            for name in names
        ]
        self.run(self._receive(Lane.STATUSES, webhook(statuses=elements, **self._metadata())))

    def customers_write(self, contacts: list[str]) -> None:
        for contact in contacts:
            wamid = f"wamid.{self.stage.campaign.uid}.{len(self.messages)}"
            self.messages.append((contact, wamid))
            self._message(contact, wamid)

    def a_message_comes_again(self, pick: int) -> None:
        if self.messages:
            self._message(*self.messages[pick % len(self.messages)])

    def _message(self, contact: str, wamid: str) -> None:
        body = webhook(messages=[message(contact, wamid)], **self._metadata())
        self.run(self._receive(Lane.MESSAGES, body))

    def _metadata(self) -> dict[str, Any]:
        return {"metadata": {"phone_number_id": self.world.vendor.phone_number_ids[0]}}

    async def _receive(self, lane: Lane, body: bytes) -> None:
        await self.inbox.put(lane, self.world.vendor.uid, b"sha256=", body)

    def _accepted(self) -> list[tuple[str, str]]:
        """Return what was accepted of this campaign, as wamid and row."""
        rows = set(self.stage.campaign.row_uids)
        return [
            (one.wamid, one.callback_data)
            for one in self.world.cloud.engine.ledger.messages
            if one.callback_data in rows
        ]

    # -- who works --

    def a_worker_is_woken(self, pick: int) -> None:
        self.a_worker_is_woken_and_dies(pick, None)

    def a_worker_is_woken_and_dies(self, pick: int, death: tuple[int, bool] | None) -> None:
        if self.jobs:
            self.run(self._work(self.jobs.pop(pick % len(self.jobs)), death))

    def everybody_works(self) -> None:
        for job in list(self.jobs):
            self.jobs.remove(job)
            self.run(self._work(job, None))

    def a_sender_stands_still(self, at: tuple[int, bool]) -> None:
        if self.stalled is None:
            self.run(self._stall(*at))

    def it_goes_on(self) -> None:
        if self.stalled is not None:
            self.run(self._go_on())

    def wake_ups_are_lost(self) -> None:
        """As when Dramatiq's database is wiped."""
        self.jobs.clear()

    def the_reconciler_looks(self) -> None:
        self.run(self._reconcile())

    def time_passes(self) -> None:
        self.run(self._pass_time())

    async def _work(self, job: Job, death: tuple[int, bool] | None) -> None:
        at, done = death or (0, False)
        url, stage = self.world.redis_url, self.stage
        if job.queue is jobs.Queue.CAMPAIGNS:
            lease = keys.lease(f"campaign:{stage.campaign.uid}")
            process = Process(stage, url, at, done=done)
        else:
            lane = Lane(job.queue.value)
            lease = keys.lease(drain_lease(lane))
            process = DrainProcess(stage, url, at, lane, done=done)
        assert not await self.world.redis.exists(lease)
        await process.start()
        await process.ended_or_failed()
        if process.failed.is_set():
            await process.drop()
            await self.world.redis.delete(lease)
        elif await process.end():
            self._wake_up(job)

    async def _stall(self, at: int, done: bool) -> None:
        process = Process(self.stage, self.world.redis_url, at, done=done)
        await process.start()
        await process.ended_or_failed()
        if process.failed.is_set():
            self.stalled = process
            await self.stage.drop_lease()
        else:
            await process.end()

    async def _go_on(self) -> None:
        assert self.stalled is not None
        self.stalled.go_on()
        await self.stalled.end()
        self.stalled = None

    async def _reconcile(self) -> None:
        await self.reconciler.wake_unfinished()

    async def _pass_time(self) -> None:
        self.world.embedded.cure()
        for lane in Lane:
            waiting = cast("list[bytes]", await self.world.redis.zrange(keys.deferred(lane), 0, -1))
            if waiting:
                await self.world.redis.zadd(keys.deferred(lane), dict.fromkeys(waiting, 1))
        for pattern in PASSING:
            for key in await self.world.redis.keys(pattern):
                await self.world.redis.delete(key)
        self.world.embedded.change(
            "whatsapp_message_queue",
            {"scheduled_at": "2020-01-01 00:00:00"},
            campaigns__id=self.stage.campaign.id,
        )

    # -- the end --

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            self.run(self._until_quiescent())
            self._check()
        finally:
            self.run(self._clear())

    async def _until_quiescent(self) -> None:
        self.world.cloud.engine.faults.clear()
        if self.stalled is not None:
            await self._go_on()
        self.jobs.clear()
        for _ in range(ROUNDS):
            if await self._is_quiescent():
                return
            await self._pass_time()
            await self.reconciler.find_due_campaigns()
            await self._reconcile()
            while self.jobs:
                await self._work(self.jobs.pop(), None)
        raise AssertionError(f"it does not come to rest: {self.stage.statuses()}")

    async def _is_quiescent(self) -> bool:
        waiting = [keys.CAMPAIGNS, *(keys.ready(lane) for lane in Lane)]
        waiting += [keys.deferred(lane) for lane in Lane]
        unfinished = {QueueStatus.QUEUED, QueueStatus.PROCESSING} & set(self.stage.statuses())
        return not unfinished and not await self.world.redis.exists(*waiting)

    def _check(self) -> None:
        stage = self.stage
        stage.assert_settled()
        queue = {row["_uid"]: row["status"] for row in stage.queue()}
        logs = {
            row["__data"]["sidecar"]["queue_row_uid"]: row["status"]
            for row in stage.embedded.rows("whatsapp_message_logs", campaigns__id=stage.campaign.id)
        }
        for row_uid in stage.campaign.row_uids:
            names = self.statuses.get(row_uid, [])
            if names:
                assert row_uid not in queue
                assert logs[row_uid] == highest(names)
            else:
                assert row_uid in queue
                assert (row_uid in logs) == (queue[row_uid] == QueueStatus.AWAITING_STATUS)
        self._check_messages()
        self.run(self._check_redis())

    def _check_messages(self) -> None:
        prefix = f"wamid.{self.stage.campaign.uid}."
        logged = [
            (row["contact_wa_id"], row["wamid"])
            for row in self.stage.embedded.rows(
                "whatsapp_message_logs", vendors__id=self.world.vendor.id, is_incoming_message=1
            )
            if row["wamid"].startswith(prefix)
        ]
        for contact in CONTACTS:
            mine = [wamid for who, wamid in self.messages if who == contact]
            found = [wamid for who, wamid in logged if who == contact]
            assert found == mine, f"{contact}: {found} instead of {mine}"
        assert len(logged) == len(self.messages)

    async def _check_redis(self) -> None:
        redis = self.world.redis
        assert not await redis.exists(keys.DEAD)
        assert await self.stage.ledger.empty()
        for accounting in await Counters(redis).read():
            assert accounting.balanced, accounting
            assert accounting.updates.parts["waiting"] == 0

    async def _clear(self) -> None:
        if self.stalled is not None:
            self.stalled.fail()
            await self.stalled.drop()
        await self.inbox.close()
        await self.stage.backend.close()
        await self.stage.cloud_api.close()
        self.world.embedded.delete("whatsapp_message_queue", campaigns__id=self.stage.campaign.id)


def highest(names: list[str]) -> str:
    found = "accepted"
    for name in names:
        if higher_status(found, name):
            found = name
    return found
