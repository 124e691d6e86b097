"""A Redis that has gone back in time sends nothing that may have been sent, whoever dies where."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus, SendResult
from sidecar.clock import now_ms
from sidecar.ops.audit import Audit
from sidecar.php.client import Backend, BackendMissing, BackendUnavailable
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, RedisUnavailable, connect
from sidecar.redis.lease import Leases
from sidecar.sending.epoch import CARRIED_EVERY_S, Begun, Epoch, Why, read_epoch
from sidecar.tasks import cancel
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeStage
from tests.workers.crashing import Process
from tests.workers.php import DROP, Answer
from tests.workers.put_back import Copy, restart
from tests.workers.replying import Replies
from tests.workers.stage import Stage
from workers.sending import epoch_watch
from workers.sending.campaign import CampaignRun
from workers.sending.epoch_watch import EpochWatch
from workers.sending.ledger import Ledger

MESSAGES = 12

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_watch, "HEAR_S", 0.0)
    monkeypatch.setattr(epoch_watch, "QUIET_S", 0.0)
    monkeypatch.setattr(epoch_watch, "LOOK_S", 0.01)


@pytest.fixture
async def stage(make_stage: MakeStage) -> Stage:
    return await make_stage(MESSAGES, rate=300, claim_s=0.1)


#: How long the lease of one that died keeps the others from comparing.
LEASE_TTL_MS = 300


def watch_of(
    stage: Stage,
    begun: Begun | None = None,
    redis: Redis | None = None,
    backend: Backend | None = None,
) -> EpochWatch:
    client = redis or stage.redis
    leases = Leases(client, LEASE_TTL_MS)
    return EpochWatch(stage.settings, client, backend or stage.backend, leases, begun or Begun())


@contextmanager
def promoted() -> Iterator[None]:
    """Have Redis say that it was a replica, of a primary that nobody here has met."""
    load = Epoch.load

    def of_replica(replication: Mapping[str, Any], kept: Hash) -> Epoch:
        return load({**replication, "master_replid2": "a" * 40}, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epoch, "load", of_replica)
        yield


async def begun_in(redis: Redis) -> Begun:
    """Return what a worker remembers that was there all the time."""
    known = await redis.hmget(keys.EPOCH, "begun", "at")
    return Begun(*(int(one or 0) for one in known))


async def send_and_die(stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """Send the campaign, and die before PHP knows of it. Return Redis as it was when the first rows
    were claimed."""
    copies: list[Copy] = []
    claimed = Ledger.claimed

    async def and_copy(self: Ledger, *arguments: Any, **more: Any) -> list[str]:
        reasons = await claimed(self, *arguments, **more)
        if not copies:
            copies.append(await Copy.of(stage.redis))
        return reasons

    monkeypatch.setattr(Ledger, "claimed", and_copy)
    deaf = stage.php.always(contract.UPDATE_MESSAGE_STATUSES, Answer(503))
    process = Process(stage, redis_url, done=False)
    await process.start()
    await eventually(lambda: len(stage.accepts()) == MESSAGES, 20)
    process.fail()
    await process.drop()
    stage.php.forget(deaf)
    monkeypatch.setattr(Ledger, "claimed", claimed)
    return copies[0]


async def is_unchecked(redis: Redis) -> bool:
    return (await read_epoch(redis)).unchecked


# -- telling --


async def test_php_is_told_what_is_new_and_no_more(stage: Stage) -> None:
    begun = Begun()
    watch = watch_of(stage, begun)
    await watch.tell()
    assert stage.php.to(contract.EPOCH) == []
    for number in (5, 7):
        begun.note(number)
        await watch.tell()
        await watch.tell()
    assert [call.json["epoch"] for call in stage.php.to(contract.EPOCH)] == [5, 7]


async def test_it_is_told_again_until_php_has_it(stage: Stage) -> None:
    begun = Begun(5, 1)
    watch = watch_of(stage, begun)
    stage.php.once(contract.EPOCH, DROP)
    running = asyncio.create_task(watch.keep_telling())
    await eventually(lambda: len(stage.php.to(contract.EPOCH)) == 2, 20)
    await cancel([running])


async def test_a_redis_that_hangs_keeps_nobody_from_telling(stage: Stage) -> None:
    """Else its memory would come too late: the others compare when Redis is back."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    hanging = connect(f"redis://127.0.0.1:{port}/0", timeout_s=30.0)
    watch = watch_of(stage, Begun(9, 1), hanging)
    running = [asyncio.create_task(one()) for one in (watch.keep_telling, watch.keep_comparing)]
    await eventually(lambda: len(stage.php.to(contract.EPOCH)) == 1, 20)
    await cancel(running)
    await hanging.aclose()
    listener.close()


async def test_claims_and_results_take_it_along(make_stage: MakeStage) -> None:
    """About once a second, and no more often."""
    stage = await make_stage(90, rate=30, claim_s=0.5)
    begun = stage.backend.piggybacked = Begun()
    began_at = time.monotonic()
    async with stage.held() as lease:
        services = replace(stage.services(), begun=begun)
        await CampaignRun(services, stage.config, lease, stage.campaign.uid).run()
    carried = [call for call in stage.php.calls if "?" in call.target]
    assert {call.path for call in carried} <= set(contract.CARRY_EPOCH)
    assert 1 <= len(carried) <= (time.monotonic() - began_at) / CARRIED_EVERY_S + 1
    known = await watch_of(stage)._ask()
    told = [f"?epoch={known.epoch}&at={known.at}" in call.target for call in carried]
    assert told == [False] * (len(carried) - 1) + [True], "PHP keeps what came last"


# -- a Redis that has all it had --


async def test_a_restart_that_loses_nothing(stage: Stage) -> None:
    await stage.run()
    await watch_of(stage, await begun_in(stage.redis)).tell()
    await restart(stage.redis)
    with pytest.raises(RedisUnavailable, match="compared with PHP"):
        await stage.run()
    await watch_of(stage).compare()
    epoch = await read_epoch(stage.redis)
    assert not epoch.unchecked
    assert epoch.went_back is None
    assert not any(call.json.get("settle_pending") for call in stage.php.to(contract.EPOCH))
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_what_a_dead_worker_had_claimed_is_sent_as_ever(stage: Stage, redis_url: str) -> None:
    process = Process(stage, redis_url, 9, done=True)
    await process.start()
    await process.ended_or_failed()
    await process.drop()
    await stage.drop_lease()
    await watch_of(stage, await begun_in(stage.redis)).tell()
    await restart(stage.redis)
    await watch_of(stage).compare()
    await stage.run_to_the_end()
    stage.assert_settled()
    assert (await read_epoch(stage.redis)).went_back is None


async def test_a_wiped_redis_has_nothing_to_compare(stage: Stage) -> None:
    await watch_of(stage, Begun(10**9, 1)).tell()
    await stage.redis.flushdb()
    await stage.run_to_the_end()
    assert stage.all_accepted()
    await watch_of(stage, await begun_in(stage.redis)).tell()
    await restart(stage.redis)
    await watch_of(stage).compare()
    assert (await read_epoch(stage.redis)).went_back is None, "its number is of the clock"


async def test_one_that_lives_gives_back_and_begins_anew(make_stage: MakeStage) -> None:
    """It knows what it did not send, so nothing of it becomes unknown."""
    stage = await make_stage(60, rate=60, claim_s=0.3)
    running = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 10, 20)
    await watch_of(stage, await begun_in(stage.redis)).tell()
    await restart(stage.redis)
    sent = len(stage.accepts())
    await asyncio.sleep(0.3)
    assert len(stage.accepts()) <= sent + 5, "only what was begun by then"
    await watch_of(stage).compare()
    assert await running is False
    await stage.run_to_the_end()
    assert stage.all_accepted()


# -- one that has gone back --


@pytest.mark.parametrize("memory", ["php", "the one who compares"])
async def test_what_was_claimed_then_is_not_sent_again(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    copy = await send_and_die(stage, redis_url, monkeypatch)
    begun = await begun_in(stage.redis)
    if memory == "php":
        await watch_of(stage, begun).tell()
        begun = Begun()
    await copy.put_back(stage.redis)
    await watch_of(stage, begun).compare()
    await stage.run_to_the_end()
    stage.assert_settled()
    assert stage.statuses() == {QueueStatus.UNKNOWN: MESSAGES}
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None
    assert (back.why, back.replies) == (Why.BEHIND, 0)
    assert back.rows == MESSAGES
    [entry] = await Audit(stage.redis, 100).read()
    assert (entry.who.kind, entry.action, entry.outcome) == ("worker", "redis.went_back", "behind")


async def test_a_claim_that_nobody_has_noted_is_not_released(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows may have been sent; PHP calls them unknown after a while."""
    copies: list[Copy] = []
    about = Ledger.about_to_claim

    async def and_copy(self: Ledger, *arguments: Any) -> None:
        await about(self, *arguments)
        copies.append(await Copy.of(stage.redis))

    monkeypatch.setattr(Ledger, "about_to_claim", and_copy)
    await send_and_die(stage, redis_url, monkeypatch)
    monkeypatch.setattr(Ledger, "about_to_claim", about)
    begun = await begun_in(stage.redis)
    await copies[0].put_back(stage.redis)
    await watch_of(stage, begun).compare()
    await stage.run_to_the_end()
    assert stage.statuses() == {QueueStatus.PROCESSING: MESSAGES}
    stage.assert_nothing_sent_twice()


async def test_replies_of_then_are_not_sent_again(stage: Stage) -> None:
    replies = Replies(stage)
    await replies.ask(5)
    copy = await Copy.of(stage.redis)
    await replies.run()
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)
    # There was no epoch yet in this copy: it is of before anything was ever sent.
    await stage.redis.hset(keys.EPOCH, mapping={"run": "another", "begun": 1})
    await watch_of(stage, begun).compare()
    await replies.run_to_the_end()
    assert set(replies.sent.values()) == {1}
    assert set(map(tuple, replies.told.values())) == {("accepted", "unknown")}
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None
    assert (back.rows, back.replies) == (0, 5)


async def test_a_reply_that_was_to_wait_then_is_not_sent_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been refused, and was sent at its next attempt."""
    copies: list[Copy] = []
    known = Ledger.known

    async def and_copy(self: Ledger, results: list[SendResult]) -> None:
        await known(self, results)
        if not copies:
            copies.append(await Copy.of(stage.redis))

    monkeypatch.setattr(Ledger, "known", and_copy)
    stage.fault(FaultKind.ERROR, code=131016, times=1)
    replies = Replies(stage)
    await replies.ask(1)
    await replies.run_to_the_end()
    assert list(replies.sent.values()) == [1]
    begun = await begun_in(stage.redis)
    await copies[0].put_back(stage.redis)
    await watch_of(stage, begun).compare()
    await replies.run_to_the_end()
    assert list(replies.sent.values()) == [1]
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None
    assert back.replies == 1


async def test_php_settles_what_is_pending_first(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that comes again would bring it again."""
    copy = await send_and_die(stage, redis_url, monkeypatch)
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)
    unchecked: list[bool] = []

    async def look(call: Any) -> None:
        if call.json.get("settle_pending"):
            unchecked.append(await is_unchecked(stage.redis))

    stage.php.when(contract.EPOCH, look)
    await watch_of(stage, begun).compare()
    assert unchecked == [True]
    assert not await is_unchecked(stage.redis)


@pytest.mark.parametrize("named", ["before it may send", "after that"])
async def test_what_php_names_again_in_a_call_under_way_is_not_sent_again(
    stage: Stage, named: str
) -> None:
    """PHP had not settled it yet when it named it. Redis has lost that it was put, and that it was
    sent."""
    await stage.redis.set(keys.MEMORY_SINCE, now_ms() - 60_000)
    await stage.run()
    copy = await Copy.of(stage.redis)
    replies = Replies(stage)
    await replies.ask(3)
    await replies.run_to_the_end()
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)

    async def meanwhile(call: Any) -> None:
        if call.json.get("settle_pending"):
            await replies.ask_again()

    if named == "before it may send":
        stage.php.when(contract.EPOCH, meanwhile)
    await watch_of(stage, begun).compare()
    if named == "after that":
        await replies.ask_again()
    await replies.run_to_the_end()
    assert [replies.sent[one] for one in replies.ids] == [1, 1, 1]


async def test_what_php_names_first_in_a_call_under_way_is_sent(stage: Stage) -> None:
    """Nobody can have sent it before."""
    await stage.run()
    begun = await begun_in(stage.redis)
    await restart(stage.redis)
    await watch_of(stage, Begun(begun.number + 1, begun.at)).compare()
    assert (await read_epoch(stage.redis)).went_back is not None
    replies = Replies(stage)
    await replies.ask(3)
    await replies.run_to_the_end()
    assert [replies.sent[one] for one in replies.ids] == [1, 1, 1]


async def test_a_failover_counts_as_going_back(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was with the primary may have sent what nobody else knows of."""
    copy = await send_and_die(stage, redis_url, monkeypatch)
    await copy.put_back(stage.redis)
    with promoted():
        await watch_of(stage).compare()
    await stage.run_to_the_end()
    stage.assert_settled()
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None
    assert back.why is Why.FAILOVER


async def test_a_failover_that_a_restart_hides(stage: Stage) -> None:
    """Redis itself no longer says that it was a replica."""
    await stage.run()
    begun = await begun_in(stage.redis)
    await restart(stage.redis)
    away = stage.php.always(contract.EPOCH, Answer(503))
    with promoted(), pytest.raises(BackendUnavailable):
        await watch_of(stage, begun).compare()
    stage.php.forget(away)
    await restart(stage.redis)
    await watch_of(stage, begun).compare()
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None
    assert back.why is Why.FAILOVER
    await restart(stage.redis)
    await watch_of(stage, await begun_in(stage.redis)).compare()
    assert (await read_epoch(stage.redis)).went_back == back, "it is settled, and a new run is none"


async def test_php_is_asked_until_it_answers(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = await send_and_die(stage, redis_url, monkeypatch)
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)
    away = stage.php.always(contract.EPOCH, Answer(503))
    with pytest.raises(BackendUnavailable):
        await watch_of(stage, begun).compare()
    assert await is_unchecked(stage.redis)
    with pytest.raises(RedisUnavailable, match="compared with PHP"):
        await stage.run()
    stage.php.forget(away)
    await watch_of(stage, begun).compare()
    await stage.run_to_the_end()
    stage.assert_settled()


async def test_an_older_package_of_php_stops_nobody(stage: Stage) -> None:
    """It knows of no epoch; what this process remembers is compared all the same."""
    await stage.run()
    begun = await begun_in(stage.redis)
    await restart(stage.redis)
    stage.php.always(contract.EPOCH, Answer(404, b"<!DOCTYPE html><title>Not Found</title>"))
    await watch_of(stage, begun).compare()
    assert not await is_unchecked(stage.redis)
    await restart(stage.redis)
    await watch_of(stage, Begun(begun.number + 10**9, 1)).compare()
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None


async def test_a_404_for_everything_is_no_older_package(stage: Stage) -> None:
    """Such as the page of another site, or of a deployment that is half done."""
    await stage.run()
    begun = await begun_in(stage.redis)
    await restart(stage.redis)
    nowhere = [stage.php.always(path, Answer(404)) for path in (contract.EPOCH, contract.MODES)]
    watch = watch_of(stage, begun)
    for step in (watch.tell, watch.compare):
        with pytest.raises(BackendMissing):
            await step()
    assert await is_unchecked(stage.redis)
    for rule in nowhere:
        stage.php.forget(rule)
    await watch.compare()
    assert not await is_unchecked(stage.redis)
    assert stage.php.to(contract.EPOCH)[-1].json["epoch"] == begun.number, "it was told as well"


# -- several, and those who die --


async def test_many_compare_and_one_says_so(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = await send_and_die(stage, redis_url, monkeypatch)
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)
    await asyncio.gather(*(watch_of(stage, begun).compare() for _ in range(5)))
    assert len(await Audit(stage.redis, 100).read()) == 1
    await stage.run_to_the_end()
    stage.assert_settled()


async def test_a_second_one_settles_nothing(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PHP asks for after the first has let Redis send would be called unknown, unsent."""
    copy = await send_and_die(stage, redis_url, monkeypatch)
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)
    first, second = watch_of(stage, begun), watch_of(stage, begun)
    settled: list[Any] = []

    async def meanwhile(call: Any) -> None:
        if call.json.get("settle_pending"):
            settled.append(call)
            await second.compare()

    stage.php.when(contract.EPOCH, meanwhile)
    await first.compare()
    await second.compare()
    assert len(settled) == 1
    assert not await is_unchecked(stage.redis)


async def test_another_restart_while_it_compares(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compared is not what is there now."""
    copy = await send_and_die(stage, redis_url, monkeypatch)
    begun = await begun_in(stage.redis)
    await restart(stage.redis)

    calls: list[Any] = []

    async def and_go_back(call: Any) -> None:
        calls.append(call)
        if len(calls) == 2:  # the first is only told
            await copy.put_back(stage.redis)

    stage.php.when(contract.EPOCH, and_go_back)
    await watch_of(stage, begun).compare()
    assert await is_unchecked(stage.redis)
    await watch_of(stage, begun).compare()
    await stage.run_to_the_end()
    stage.assert_settled()


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_it_dies_while_it_compares(
    stage: Stage, redis_url: str, monkeypatch: pytest.MonkeyPatch, at: int, done: bool
) -> None:
    await stage.redis.set(keys.MEMORY_SINCE, now_ms() - 60_000)
    replies, named_again = Replies(stage), Replies(stage)
    await replies.ask(2)
    copy = await send_and_die(stage, redis_url, monkeypatch)
    await named_again.ask(2)
    await replies.run()
    begun = await begun_in(stage.redis)
    await copy.put_back(stage.redis)
    process = Process(stage, redis_url, at, done=done)
    dying = watch_of(stage, begun, process.redis, process.backend)
    comparing = asyncio.create_task(dying.compare())
    failed = asyncio.create_task(process.failed.wait())
    await asyncio.wait([comparing, failed], return_when=asyncio.FIRST_COMPLETED)
    await cancel([comparing, failed])
    await process.drop()
    await named_again.ask_again()
    watch = watch_of(stage, begun)
    while await is_unchecked(stage.redis):
        await watch.compare()
    await named_again.ask_again()
    await stage.run_to_the_end()
    await replies.run_to_the_end()
    assert set(replies.sent.values()) == {1}
    back = (await read_epoch(stage.redis)).went_back
    assert back is not None
    assert (back.rows > 0, back.replies >= 2) == (True, True)
