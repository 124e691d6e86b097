"""The inbox: group commit, what is in an entry, who is woken."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.jobs import Lane
from sidecar.inbox.group import MAX_GROUP_BYTES, MAX_GROUP_WEBHOOKS
from sidecar.inbox.partitions import drain_lease
from sidecar.inbox.store import (
    MAX_ENTRY_BYTES,
    MAX_ENTRY_WEBHOOKS,
    WEBHOOK_BYTES,
    Inbox,
    InboxEntry,
    InboxReader,
    InboxUnavailable,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.spans import named
from tests.collector import recording
from tests.sidecar.payloads import message_webhook, status_webhook

SIGNATURE = b"sha256=" + b"0" * 64


@pytest.fixture
def woken() -> list[Lane]:
    """The lanes that somebody was to be woken for."""
    return []


@pytest.fixture
def inbox(redis: Redis, woken: list[Lane]) -> Inbox:
    return Inbox(redis, timeout_s=5.0, pending_limit_bytes=1024 * 1024, wake=woken.append)


async def entries(redis: Redis, vendor_uid: str, lane: Lane = Lane.MESSAGES) -> list[InboxEntry]:
    return (await InboxReader(redis).read(lane, {vendor_uid: "0"}, 10_000))[vendor_uid]


async def bodies(redis: Redis, vendor_uid: str, lane: Lane = Lane.MESSAGES) -> list[bytes]:
    found = await entries(redis, vendor_uid, lane)
    return [webhook.body for entry in found for webhook in entry.webhooks]


async def writes(redis: Redis) -> int:
    """Return how many entries Redis was given since its statistics were reset."""
    info = cast("dict[str, dict[str, int]]", await redis.info("commandstats"))
    return info.get("cmdstat_xadd", {"calls": 0})["calls"]


# -- group commit --------------------------------------------------------------------------------


async def test_what_comes_in_one_turn_of_the_loop_is_one_write(inbox: Inbox, redis: Redis) -> None:
    await redis.config_resetstat()
    await asyncio.gather(*(inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"%d" % n) for n in range(50)))
    assert inbox.writes == 1
    assert inbox.webhooks == 50
    assert await writes(redis) == 1
    assert await bodies(redis, "v") == [b"%d" % n for n in range(50)]


async def test_requests_of_one_turn_share_a_write(inbox: Inbox) -> None:
    async def request(number: int) -> None:
        await asyncio.sleep(0)
        await inbox.put(Lane.MESSAGES, f"v{number % 5}", SIGNATURE, b"{}")

    await asyncio.gather(*(request(number) for number in range(40)))
    assert inbox.writes == 1


async def test_what_comes_during_a_write_shares_the_next_one(
    inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flight, go_on, commit = asyncio.Event(), asyncio.Event(), inbox._commit

    async def slow(*arguments: Any) -> None:
        in_flight.set()
        await go_on.wait()
        await commit(*arguments)

    monkeypatch.setattr(inbox, "_commit", slow)
    first = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"first")
    await in_flight.wait()
    others = []
    for number in range(20):
        others.append(inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"%d" % number))
        await asyncio.sleep(0)
    assert not first.done()
    go_on.set()
    await asyncio.gather(first, *others)
    assert inbox.writes == 2
    assert [len(entry.webhooks) for entry in await entries(redis, "v")] == [1, 20]


async def test_one_after_the_other_is_one_write_each(inbox: Inbox) -> None:
    for _ in range(3):
        await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    assert inbox.writes == 3


async def test_close_waits_for_what_was_put(inbox: Inbox, redis: Redis) -> None:
    await inbox.close()
    written = inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    await inbox.close()
    assert written.done()
    assert await bodies(redis, "v") == [b"{}"]
    await inbox.close()


async def test_a_request_that_is_cancelled_leaves_the_others_alone(
    inbox: Inbox, redis: Redis
) -> None:
    async def request(body: bytes) -> str:
        await inbox.put(Lane.MESSAGES, "v", SIGNATURE, body)
        return "done"

    leaving = asyncio.create_task(request(b"1"))
    staying = asyncio.create_task(request(b"2"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "done"
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await bodies(redis, "v") == [b"1", b"2"]


async def test_an_error_nobody_thought_of_fails_one_write_only(inbox: Inbox, redis: Redis) -> None:
    wrong = inbox.put(Lane.MESSAGES, "\ud800", SIGNATURE, b"{}")
    with pytest.raises(InboxUnavailable, match="broken off"):
        await wrong
    await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    assert await bodies(redis, "v") == [b"{}"]


async def test_too_much_is_waiting(inbox: Inbox, redis: Redis) -> None:
    body = bytes(600 * 1024)
    taken = [inbox.put(Lane.MESSAGES, "v", SIGNATURE, body) for _ in range(2)]
    with pytest.raises(InboxUnavailable, match="too many webhooks wait"):
        inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    await asyncio.gather(*taken)
    await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    assert await bodies(redis, "v") == [body, body, b"{}"]


# -- entries -------------------------------------------------------------------------------------


async def test_vendors_and_lanes_of_one_write_are_kept_apart(inbox: Inbox, redis: Redis) -> None:
    puts = [
        inbox.put(lane, vendor, SIGNATURE, f"{lane} {vendor} {number}".encode())
        for number in range(3)
        for lane in Lane
        for vendor in ("a", "b")
    ]
    await asyncio.gather(*puts)
    assert inbox.writes == 1
    reader = InboxReader(redis)
    for lane in Lane:
        assert sorted(await reader.vendors(lane)) == ["a", "b"]
        for vendor in ("a", "b"):
            assert await bodies(redis, vendor, lane) == [
                f"{lane} {vendor} {number}".encode() for number in range(3)
            ]
            assert await reader.depth(lane, [vendor]) == 1
    stored = sum(len(f"{lane} a 0") + WEBHOOK_BYTES for lane in Lane) * 3
    assert await redis.hgetall(keys.counters("a")) == {
        b"webhooks_received": b"6",
        keys.STORED_BYTES.encode(): b"%d" % stored,
    }


async def test_the_same_webhook_twice_is_kept_twice(inbox: Inbox, redis: Redis) -> None:
    await asyncio.gather(*(inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}") for _ in range(2)))
    await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    assert await bodies(redis, "v") == [b"{}"] * 3
    assert [len(entry.webhooks) for entry in await entries(redis, "v")] == [2, 1]


async def test_most_webhooks_of_an_entry(inbox: Inbox, redis: Redis) -> None:
    count = 2 * MAX_ENTRY_WEBHOOKS + 1
    await asyncio.gather(
        *(inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"%d" % n) for n in range(count))
    )
    assert inbox.writes == 1
    sizes = [len(entry.webhooks) for entry in await entries(redis, "v")]
    assert sizes == [MAX_ENTRY_WEBHOOKS, MAX_ENTRY_WEBHOOKS, 1]
    assert await bodies(redis, "v") == [b"%d" % n for n in range(count)]


async def test_most_bytes_of_an_entry(inbox: Inbox, redis: Redis) -> None:
    third = MAX_ENTRY_BYTES // 3
    sizes = [third, third, third, third, 2 * MAX_ENTRY_BYTES, 5, MAX_ENTRY_BYTES]
    inbox = Inbox(redis, timeout_s=5.0, pending_limit_bytes=1 << 30, wake=lambda lane: None)
    await asyncio.gather(*(inbox.put(Lane.MESSAGES, "v", SIGNATURE, bytes(n)) for n in sizes))
    assert [
        [len(webhook.body) for webhook in entry.webhooks] for entry in await entries(redis, "v")
    ] == [[third, third, third], [third], [2 * MAX_ENTRY_BYTES], [5], [MAX_ENTRY_BYTES]]


async def test_a_group_that_is_full_is_written_and_the_next_begun(
    inbox: Inbox, redis: Redis
) -> None:
    """By its bytes, of which a single webhook may have more, and by its webhooks."""
    inbox = Inbox(redis, timeout_s=5.0, pending_limit_bytes=1 << 30, wake=lambda lane: None)
    sizes = [MAX_GROUP_BYTES - 1, 1, 1, 2 * MAX_GROUP_BYTES, 1]
    await asyncio.gather(*(inbox.put(Lane.MESSAGES, "v", SIGNATURE, bytes(n)) for n in sizes))
    assert inbox.writes == 4
    assert [len(body) for body in await bodies(redis, "v")] == sizes

    many = [b"%d" % number for number in range(MAX_GROUP_WEBHOOKS + 1)]
    written = [inbox.put(Lane.STATUSES, f"v{body.decode()}", SIGNATURE, body) for body in many]
    assert len(set(written)) == 2
    await asyncio.gather(*written)
    assert inbox.writes == 6
    assert await redis.scard(keys.ready(Lane.STATUSES)) == len(many)


async def test_what_waits_counts_until_it_is_written(inbox: Inbox, redis: Redis) -> None:
    """Also over several groups."""
    body = bytes(700 * 1024)
    for _ in range(2):
        taken = [inbox.put(Lane.MESSAGES, "v", SIGNATURE, body) for _ in range(2)]
        with pytest.raises(InboxUnavailable, match="too many webhooks wait"):
            inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
        assert len(set(taken)) == 2
        await asyncio.gather(*taken)
    assert await bodies(redis, "v") == [body] * 4


async def test_entries_tell_when_they_were_taken(inbox: Inbox, redis: Redis) -> None:
    before = await redis.time()
    await inbox.put(Lane.MESSAGES, "v", SIGNATURE, b"{}")
    [entry] = await entries(redis, "v")
    assert 0 <= entry.received_at - (before[0] * 1000 + before[1] // 1000) < 5000
    assert entry.vendor_uid == "v"


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(webhooks=st.lists(st.tuples(st.binary(max_size=128), st.binary()), min_size=1, max_size=4))
async def test_any_bytes_come_out_as_they_went_in(
    inbox: Inbox, redis: Redis, webhooks: list[tuple[bytes, bytes]]
) -> None:
    await redis.flushall()
    await asyncio.gather(*(inbox.put(Lane.STATUSES, "v", s, body) for s, body in webhooks))
    found = await entries(redis, "v", Lane.STATUSES)
    assert [(w.signature, w.body) for entry in found for w in entry.webhooks] == webhooks


@pytest.mark.parametrize("group", [1, 2, 10, 50])
async def test_memory_of_waiting_webhooks(inbox: Inbox, redis: Redis, group: int) -> None:
    webhooks = [
        status_webhook(number) if number % 10 else message_webhook(number) for number in range(300)
    ]
    for start in range(0, len(webhooks), group):
        await asyncio.gather(
            *(
                inbox.put(Lane.STATUSES, "v", SIGNATURE, body)
                for body in webhooks[start : start + group]
            )
        )
    taken = await redis.memory_usage(keys.inbox(Lane.STATUSES, "v"), samples=0)
    assert taken is not None
    assert taken <= 1.5 * sum(map(len, webhooks))


@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    puts=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(list(Lane)),
            st.sampled_from(["a", "b"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
async def test_no_two_entries_have_one_name(
    redis: Redis, puts: list[tuple[int, Lane, str, bool]]
) -> None:
    """Over lanes, vendors, hosts, a clock that goes back, and a Redis that is emptied."""
    hosts = [
        Inbox(redis, timeout_s=5.0, pending_limit_bytes=1 << 30, wake=lambda lane: None)
        for _ in range(3)
    ]
    await redis.flushall()
    found: dict[str, int] = {}
    ids: list[str] = []
    for host, lane, vendor, emptied in puts:
        await asyncio.gather(*(hosts[host].put(one, vendor, SIGNATURE, b"{}") for one in Lane))
        await hosts[host].put(lane, vendor, SIGNATURE, b"{}")
        for one in Lane:
            for entry in await entries(redis, vendor, one):
                ids.append(f"{one} {vendor} {entry.id} {entry.uid}")
                found[entry.uid] = found.get(entry.uid, 0) + 1
                assert " " not in entry.uid
                assert "/" not in entry.uid
            await redis.delete(keys.inbox(one, vendor))  # the next may have the same id again
        if emptied:
            await redis.flushall()
    assert set(found.values()) == {1}
    assert len(found) == len(ids) == 3 * len(puts)


# -- reading -------------------------------------------------------------------------------------


async def test_a_webhook_has_a_span_by_the_name_that_readers_know(
    inbox: Inbox, redis: Redis
) -> None:
    lanes = [Lane.MESSAGES, Lane.STATUSES, Lane.MESSAGES]
    with recording() as spans:
        await asyncio.gather(*(inbox.put(lane, "v", b"", b"{}") for lane in lanes))
        found = {span.ids: span.attributes for span in spans.take(9)}
    assert found == {
        named(f"v/{entry.uid}/{index}"): {"vendor": "v", "lane": lane.value, "bytes": 2}
        for lane in Lane
        for entry in await entries(redis, "v", lane)
        for index in range(len(entry.webhooks))
    }
    assert len(found) == 3


async def test_reading_goes_on_behind_what_was_read(inbox: Inbox, redis: Redis) -> None:
    for number in range(5):
        await inbox.put(Lane.MESSAGES, "a", SIGNATURE, b"%d" % number)
    await inbox.put(Lane.MESSAGES, "b", SIGNATURE, b"other")
    reader = InboxReader(redis)
    assert await reader.depth(Lane.MESSAGES, ["a", "b", "c"]) == 6
    first = await reader.read(Lane.MESSAGES, {"a": "0", "b": "0", "c": "0"}, 2)
    assert {vendor: len(found) for vendor, found in first.items()} == {"a": 2, "b": 1, "c": 0}
    rest = await reader.read(Lane.MESSAGES, {"a": first["a"][-1].id}, 10)
    assert [entry.webhooks[0].body for entry in rest["a"]] == [b"2", b"3", b"4"]
    assert await reader.read(Lane.MESSAGES, {"a": rest["a"][-1].id}, 10) == {"a": []}


# -- waking --------------------------------------------------------------------------------------


async def test_only_a_vendor_that_was_not_ready_has_somebody_woken(
    inbox: Inbox, woken: list[Lane], redis: Redis
) -> None:
    await inbox.put(Lane.MESSAGES, "a", SIGNATURE, b"{}")
    assert woken == [Lane.MESSAGES]
    await inbox.put(Lane.MESSAGES, "a", SIGNATURE, b"{}")
    assert woken == [Lane.MESSAGES]
    await inbox.put(Lane.STATUSES, "a", SIGNATURE, b"{}")
    await inbox.put(Lane.MESSAGES, "b", SIGNATURE, b"{}")
    assert woken == [Lane.MESSAGES, Lane.STATUSES, Lane.MESSAGES]
    await redis.delete(keys.ready(Lane.MESSAGES))
    await inbox.put(Lane.MESSAGES, "a", SIGNATURE, b"{}")
    assert woken[3:] == [Lane.MESSAGES]


async def test_nobody_is_woken_for_a_lane_that_is_being_drained(
    inbox: Inbox, woken: list[Lane], redis: Redis
) -> None:
    async with Leases(redis, ttl_ms=5000).hold(drain_lease(Lane.MESSAGES)):
        await asyncio.gather(
            inbox.put(Lane.MESSAGES, "a", SIGNATURE, b"{}"),
            inbox.put(Lane.STATUSES, "a", SIGNATURE, b"{}"),
        )
    assert woken == [Lane.STATUSES]
    assert await redis.smembers(keys.ready(Lane.MESSAGES)) == {b"a"}
