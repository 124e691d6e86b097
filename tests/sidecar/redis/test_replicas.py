"""Writes that replicas must have: on real servers, whatever happens to these."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.jobs import Lane
from sidecar.inbox.store import Inbox, InboxReader, InboxUnavailable
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, connect
from sidecar.redis.lease import Leases
from sidecar.redis.replicas import Replicas, with_replicas
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.row_states import RowState, load
from simulator.redis_pair import RedisPair, client
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.rows import CAMPAIGN, NUMBER, queued
from workers.sending.ledger import Ledger

SIGNATURE = b"sha256=" + b"0" * 64
WAITS = ("cmdstat_wait", "cmdstat_waitaof")

Writer = tuple[Redis, Replicas | None, Inbox]
MakeWriter = Callable[..., Any]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[RedisPair]:
    with RedisPair(tmp_path) as pair:
        yield pair


@pytest.fixture
def make_writer(make_settings: MakeSettings) -> MakeWriter:
    """Make a client of a server, what it knows of replicas, and an inbox."""

    @asynccontextmanager
    async def make(server: RedisServer, **settings: Any) -> AsyncIterator[Writer]:
        values = {
            "redis_replicas_in_sync": 1,
            "redis_replicas_timeout_ms": 2000,
            "inbox_write_timeout_ms": 5000,
            **settings,
        }
        async with aclosing(connect(server.url, timeout_s=5.0)) as redis:
            replicas = with_replicas(redis, make_settings(redis_url=server.url, **values))
            try:
                yield redis, replicas, make_inbox(redis)
            finally:
                if replicas is not None:
                    await replicas.close()

    return make


def make_inbox(redis: Redis) -> Inbox:
    return Inbox(redis, timeout_s=5.0, pending_limit_bytes=1 << 30, wake=lambda lane: None)


def put(inbox: Inbox, body: bytes) -> asyncio.Future[None]:
    return inbox.put(Lane.MESSAGES, "v", SIGNATURE, body)


def has_written(inbox: Inbox, groups: int) -> bool:
    return inbox.writes == groups


async def stored(server: RedisServer) -> list[bytes]:
    async with aclosing(connect(server.url, timeout_s=5.0)) as redis:
        found = await InboxReader(redis).read(Lane.MESSAGES, {"v": "0"}, 100_000)
    return [webhook.body for entry in found["v"] for webhook in entry.webhooks]


def counted(server: RedisServer) -> dict[str, int]:
    """Return how often each command was called, but for what this itself takes."""
    with client(server) as redis:
        found = redis.info("commandstats")
    return {
        name: one["calls"] for name, one in found.items() if not name.startswith("cmdstat_info")
    }


# -- what it is for --------------------------------------------------------------------------------


async def test_every_webhook_that_was_acknowledged_is_on_the_replica(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    """The primary is killed while webhooks come in, and its disk is gone."""
    acknowledged: list[bytes] = []
    async with make_writer(pair.primary) as (_, _, inbox):

        async def customer(number: int) -> None:
            for turn in range(100_000):
                body = b"%d-%d" % (number, turn)
                try:
                    await put(inbox, body)
                except InboxUnavailable:
                    return
                acknowledged.append(body)

        customers = [asyncio.create_task(customer(number)) for number in range(20)]
        await eventually(lambda: len(acknowledged) > 500)
        pair.lose_primary()
        await asyncio.gather(*customers)
    pair.promote()
    assert set(acknowledged) <= set(await stored(pair.replica))


@pytest.mark.parametrize("in_sync", [0, 1])
async def test_a_replica_that_lags_is_promoted(
    pair: RedisPair, make_writer: MakeWriter, in_sync: int
) -> None:
    """Without the setting an acknowledged webhook is lost; with it it is not acknowledged."""
    async with make_writer(pair.primary, redis_replicas_in_sync=in_sync) as (_, _, inbox):
        await put(inbox, b"first")
        await eventually(lambda: stored(pair.replica))
        pair.replica.suspend()
        lagging = put(inbox, b"second")
        if in_sync:
            with pytest.raises(InboxUnavailable, match="0 of 1 replicas"):
                await lagging
        else:
            await lagging
    pair.lose_primary()
    pair.replica.kill()  # what its sockets had received is gone, too
    pair.replica.start()
    pair.promote()
    assert await stored(pair.replica) == [b"first"]


async def test_a_row_that_is_being_sent_is_marked_on_the_replica(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    rows = [queued() for _ in range(3)]
    async with make_writer(pair.primary) as (redis, _, _):
        ledger = Ledger(redis, CAMPAIGN, "v")
        async with Leases(redis, 10_000).hold(campaign_lease(CAMPAIGN)) as lease:
            assert lease is not None
            await ledger.begin(lease, [(row, NUMBER) for row in rows])
            pair.lose_primary()
    pair.promote()
    with client(pair.replica) as replica:
        marked = replica.hgetall(keys.ledger(CAMPAIGN))
        assert int(replica.get(keys.fence(campaign_lease(CAMPAIGN)))) == lease.token
    assert {uid.decode() for uid in marked} == {row.uid for row in rows}
    assert {load(state)[0] for state in marked.values()} == {RowState.SENDING}


async def test_a_claim_is_noted_on_the_replica_before_php_is_asked(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with (
        make_writer(pair.primary) as (redis, _, _),
        Leases(redis, 10_000).hold(campaign_lease(CAMPAIGN)) as lease,
    ):
        assert lease is not None
        await Ledger(redis, CAMPAIGN, "v").about_to_claim(lease, "claim-7", 1)
        pair.lose_primary()
    pair.promote()
    with client(pair.replica) as replica:
        assert replica.hkeys(keys.claims(CAMPAIGN)) == [b"claim-7"]


async def test_a_row_that_is_marked_on_one_machine_only_is_not_sent(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    """It stays with its worker, which marks it again when the replica is back."""
    row = queued()
    async with make_writer(pair.primary, redis_replicas_timeout_ms=50) as (redis, replicas, _):
        ledger = Ledger(redis, CAMPAIGN, "v")
        async with Leases(redis, 10_000).hold(campaign_lease(CAMPAIGN)) as lease:
            assert lease is not None
            pair.replica.suspend()
            with pytest.raises(RedisUnavailable):
                await ledger.begin(lease, [(row, NUMBER)])
            assert await redis.hexists(keys.ledger(CAMPAIGN), row.uid)
            pair.replica.resume()
            await eventually(lambda: replicas.missing is None)
            assert await ledger.begin(lease, [(row, NUMBER)]) == []


# -- what it costs ---------------------------------------------------------------------------------


async def test_without_the_setting_no_command_is_added(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with make_writer(pair.primary, redis_replicas_in_sync=0) as (redis, replicas, inbox):
        assert replicas is None
        await put(inbox, b"loads the script")
        await redis.config_resetstat()
        await put(inbox, b"a")
    calls = counted(pair.primary)
    assert calls["cmdstat_evalsha"] == 1
    assert not calls.keys() & set(WAITS)


async def test_a_group_waits_once_however_many_are_in_it(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with make_writer(pair.primary) as (redis, _, inbox):
        await put(inbox, b"loads the script")
        await redis.config_resetstat()
        await asyncio.gather(*(put(inbox, b"%d" % number) for number in range(200)))
        assert inbox.writes == 2
    calls = counted(pair.primary)
    assert [calls[name] for name in ("cmdstat_evalsha", *WAITS)] == [1, 1, 1]


async def test_the_next_group_is_written_while_one_waits(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    """And nobody else is held up, until so many wait as may have connections."""
    async with make_writer(pair.primary) as (redis, _, inbox):
        await put(inbox, b"loads the script")
        pair.replica.suspend()
        waiting = []
        for number in range(8):
            waiting.append(put(inbox, b"%d" % number))
            await eventually(partial(has_written, inbox, number + 2))
        too_many = put(inbox, b"too many")
        assert await redis.get("anything") is None
        await asyncio.sleep(0.05)
        assert inbox.writes == 9
        assert not any(one.done() for one in [*waiting, too_many])
        pair.replica.resume()
        await asyncio.gather(*waiting, too_many)
        await inbox.close()
    assert (await stored(pair.primary))[-1] == b"too many"


async def test_an_inbox_that_closes_waits_for_what_was_written(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with make_writer(pair.primary) as (_, _, inbox):
        written = put(inbox, b"a")
        await inbox.close()
        assert written.done()
        await written


# -- replicas that are missing ---------------------------------------------------------------------


def stop(pair: RedisPair, how: str) -> None:
    pair.replica.suspend() if how == "suspend" else pair.replica.kill()


def go_on(pair: RedisPair, how: str) -> None:
    pair.replica.resume() if how == "suspend" else pair.replica.start()
    pair.follow("127.0.0.1", pair.primary.port)


@pytest.mark.parametrize("how", ["suspend", "kill"])
async def test_webhooks_are_refused_until_it_is_back(
    pair: RedisPair, make_writer: MakeWriter, how: str
) -> None:
    settings = {"redis_replicas_timeout_ms": 100}
    async with make_writer(pair.primary, **settings) as (redis, replicas, inbox):
        await put(inbox, b"before")
        stop(pair, how)
        with capture_logs() as logs:
            with pytest.raises(InboxUnavailable, match="0 of 1 replicas had a write within 100 ms"):
                await put(inbox, b"written, and refused")
            assert replicas.refusal is not None
            await redis.config_resetstat()
            for _ in range(20):
                with pytest.raises(InboxUnavailable, match="0 of 1"):
                    await put(inbox, b"not written")
            assert "cmdstat_evalsha" not in counted(pair.primary), "nobody tries in vain"
            go_on(pair, how)
            await eventually(lambda: replicas.missing is None)
        await put(inbox, b"after")
        events = [log["event"] for log in logs if log["event"].startswith("redis.replicas")]
        assert events == ["redis.replicas_missing", "redis.replicas_back"]
    assert await stored(pair.primary) == [b"before", b"written, and refused", b"after"]


async def test_they_are_taken_all_the_same_if_so_wished(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    settings = {"redis_replicas_timeout_ms": 100, "redis_replicas_missing": "go_on"}
    async with make_writer(pair.primary, **settings) as (redis, replicas, inbox):
        pair.replica.suspend()
        await put(inbox, b"a")
        assert "0 of 1" in str(replicas.missing)
        assert replicas.refusal is None
        replicas._trying.cancel()  # whose own writes are counted below
        await redis.config_resetstat()
        for number in range(20):
            await put(inbox, b"%d" % number)
        assert not counted(pair.primary).keys() & set(WAITS), "nobody waits any more"


async def test_that_ends_by_itself_too(pair: RedisPair, make_writer: MakeWriter) -> None:
    settings = {"redis_replicas_timeout_ms": 100, "redis_replicas_missing": "go_on"}
    async with make_writer(pair.primary, **settings) as (redis, replicas, inbox):
        pair.replica.suspend()
        await put(inbox, b"a")
        assert replicas.missing is not None
        pair.replica.resume()
        await eventually(lambda: replicas.missing is None)
        await redis.config_resetstat()
        await put(inbox, b"b")
        assert counted(pair.primary)["cmdstat_wait"] == 1


async def test_a_replica_that_keeps_nothing_on_disk(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    with client(pair.replica) as replica:
        replica.config_set("appendonly", "no")
    async with make_writer(pair.primary, redis_replicas_timeout_ms=100) as (_, _, inbox):
        with pytest.raises(InboxUnavailable, match="0 of 1 replicas had a write on disk"):
            await put(inbox, b"a")


async def test_a_primary_without_a_disk_of_its_own(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    """WAITAOF is an error there. Its replica's memory counts."""
    with client(pair.primary) as primary:
        primary.config_set("appendonly", "no")
    async with make_writer(pair.primary) as (redis, replicas, inbox):
        with capture_logs() as logs:
            await put(inbox, b"a")
        assert [log["event"] for log in logs] == ["redis.waitaof_unavailable"]
        assert not replicas.know_disks
        await redis.config_resetstat()
        await put(inbox, b"b")
    calls = counted(pair.primary)
    assert (calls["cmdstat_wait"], calls.get("cmdstat_waitaof", 0)) == (1, 0)


async def test_two_must_have_it_and_there_is_one(pair: RedisPair, make_writer: MakeWriter) -> None:
    settings = {"redis_replicas_timeout_ms": 100, "redis_replicas_in_sync": 2}
    async with make_writer(pair.primary, **settings) as (_, _, inbox):
        with pytest.raises(InboxUnavailable, match="1 of 2 replicas"):
            await put(inbox, b"a")


# -- a primary that is none any more ---------------------------------------------------------------


@pytest.mark.parametrize("missing", ["refuse", "go_on"])
@pytest.mark.parametrize("waits_for", ["memory", "disk"])
async def test_a_primary_is_demoted_while_somebody_waits(
    pair: RedisPair, make_writer: MakeWriter, missing: str, waits_for: str
) -> None:
    """What it has taken is thrown away, so it never counts."""
    settings = {"redis_replicas_missing": missing}
    async with make_writer(pair.primary, **settings) as (_, replicas, inbox):
        await put(inbox, b"loads the script")
        if waits_for == "memory":
            pair.replica.suspend()
        else:
            with client(pair.replica) as replica:
                replica.config_set("appendonly", "no")
        waiting = put(inbox, b"a")
        await eventually(lambda: inbox.writes == 2)
        await asyncio.sleep(0.2)
        with client(pair.primary) as primary:
            primary.replicaof("127.0.0.1", pair.replica.port)
        with pytest.raises(InboxUnavailable, match="force unblock"):
            await waiting
        assert replicas.missing is None, "that is not the replica's fault"


async def test_a_primary_that_is_killed_while_somebody_waits(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with make_writer(pair.primary) as (_, _, inbox):
        await put(inbox, b"loads the script")
        pair.replica.suspend()
        waiting = put(inbox, b"a")
        await eventually(lambda: inbox.writes == 2)
        pair.primary.kill()
        with pytest.raises(InboxUnavailable):
            await waiting


async def test_scripts_are_loaded_again_where_they_are_not_known(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with make_writer(pair.primary) as (redis, _, inbox):
        await put(inbox, b"a")
        await redis.script_flush()
        await put(inbox, b"b")
    assert await stored(pair.replica) == [b"a", b"b"]


async def test_whoever_is_cancelled_leaves_no_answer_behind(
    pair: RedisPair, make_writer: MakeWriter
) -> None:
    async with make_writer(pair.primary) as (redis, replicas, _):
        pair.replica.suspend()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(replicas.look(), 0.05)
        answers = [await redis.echo(str(number)) for number in range(5)]
        assert answers == [b"%d" % number for number in range(5)]
