"""Customers' messages that wait for too long, each kind of wait with its reason."""

from typing import Any

import pytest

from contracts.backend import UpdateKind
from contracts.jobs import Lane, Queue
from sidecar.clock import utc_text
from sidecar.inbox.partitions import drain_lease
from sidecar.metrics import MetricsRegistry
from sidecar.ops import waits
from sidecar.ops.publisher import Telemetry
from sidecar.ops.snapshot import Observer
from sidecar.ops.waits import WAIT_S, WaitingMessage, Where, read_waiting_messages
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.workers.payloads import make_update
from workers.inbox.update import Update

LANE = Lane.MESSAGES
#: How long ago it came that waits for too long, ms.
LONG_MS = int(WAIT_S * 1000) + 5000


async def now(redis: Redis) -> int:
    seconds, _ = await redis.time()
    return int(seconds) * 1000


async def receive(redis: Redis, body: bytes, ago_ms: int = LONG_MS, vendor_uid: str = "v") -> None:
    await redis.sadd(keys.ready(LANE), vendor_uid)
    at = await now(redis) - ago_ms
    await redis.xadd(keys.inbox(LANE, vendor_uid), {"": body}, id=f"{at}-*")


async def defer(
    redis: Redis,
    order_key: str,
    ago_ms: int = LONG_MS,
    kind: UpdateKind = UpdateKind.MESSAGE,
    due_at: int = 10**13,
    **more: Any,
) -> Update:
    """Let an update wait under an order key, as a commit writes it."""
    update = make_update(kind, vendor_uid=order_key.partition("/")[0], order_key=order_key, **more)
    update.received_at = await now(redis) - ago_ms
    await redis.rpush(keys.deferred_updates(LANE, order_key), update.dump())
    await redis.zadd(keys.deferred(LANE), {order_key: due_at})
    return update


async def live(redis: Redis, **facts: Any) -> None:
    """Have a worker that lives."""
    told = {"queues": [Queue.MESSAGES.value], "leases": [], **facts}
    await Telemetry(redis, "worker", lambda: told, MetricsRegistry()).publish()


async def read(redis: Redis) -> list[WaitingMessage]:
    return await read_waiting_messages(redis, await Observer(redis).read())


async def why(redis: Redis) -> str:
    [one] = await read(redis)
    return one.reason


async def test_nothing_waits(redis: Redis) -> None:
    assert await read(redis) == []


# -- in the inbox --


@pytest.mark.parametrize("before", [b"", b'{"field":"messages","messages":[ ],"x":'])
async def test_one_in_the_inbox(redis: Redis, before: bytes) -> None:
    await receive(redis, before + message_webhook())
    [one] = await read(redis)
    assert (one.vendor_uid, one.where, one.attempts) == ("v", Where.INBOX, 0)
    assert LONG_MS / 1000 <= one.waited_s < LONG_MS / 1000 + 60
    assert one.reason == "no worker is running for messages"


@pytest.mark.parametrize(
    ("body", "ago_ms"),
    [
        (message_webhook(), 0),
        (status_webhook(), LONG_MS),
        (b'{"field":"messages"}', LONG_MS),
    ],
)
async def test_what_is_no_message_or_has_not_waited(redis: Redis, body: bytes, ago_ms: int) -> None:
    await receive(redis, body, ago_ms)
    assert await read(redis) == []


async def test_one_behind_what_is_no_message(redis: Redis) -> None:
    await receive(redis, status_webhook(), 3 * LONG_MS)
    await receive(redis, message_webhook(), 2 * LONG_MS)
    await receive(redis, message_webhook())
    [one] = await read(redis)
    assert 2 * LONG_MS / 1000 <= one.waited_s < 3 * LONG_MS / 1000


async def test_what_is_not_inspected_may_be_a_message(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "MAX_BYTES", 5)
    await receive(redis, status_webhook())
    await receive(redis, status_webhook(), vendor_uid="w")
    await defer(redis, "x/1", attempts=1, reason="locked")
    assert [one.where for one in await read(redis)] == [Where.INBOX, Where.RETRY], (
        "nothing more of the streams is read, and the lists have bytes of their own"
    )


async def test_a_worker_is_busy_or_has_not_begun(redis: Redis) -> None:
    await receive(redis, message_webhook())
    await live(redis)
    assert await why(redis) == "no worker has begun with it"
    await live(redis, leases=[drain_lease(LANE)])
    assert "busy with what came before it" in await why(redis)


async def test_php_has_not_been_reached(redis: Redis) -> None:
    await receive(redis, message_webhook())
    await live(redis, breakers={"messages": "cannot connect"})
    assert await why(redis) == "PHP has not been reached yet: cannot connect"
    at = await now(redis) - 25_000
    await redis.set(keys.BACKEND_OK, at)
    assert await why(redis) == f"PHP has not been reached since {utc_text(at)}: cannot connect"


async def test_the_vendor_is_isolated(redis: Redis) -> None:
    await receive(redis, message_webhook())
    since = await now(redis) - 25_000
    await live(
        redis,
        isolated={"messages": {"v": "no answer in time"}},
        isolated_since={"messages": {"v": since}},
    )
    assert await why(redis) == (
        f"the vendor is isolated since {utc_text(since)}, because PHP fails or hangs on its "
        "updates: no answer in time"
    )


# -- for a retry --


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("locked", "PHP answers: locked"),
        (None, "PHP answers: no reason given"),
        ("no contact 4915112345678", "PHP answers: no contact [number]"),
        (
            "/internal/process-webhooks answered 500; PHP's log says why",
            "PHP fails on it: /internal/process-webhooks answered 500; PHP's log says why",
        ),
    ],
)
async def test_one_that_php_refuses(redis: Redis, reason: str | None, said: str) -> None:
    await defer(redis, "v/1", attempts=3, reason=reason, wamid="w-1")
    [one] = await read(redis)
    assert (one.where, one.attempts, one.reason) == (Where.RETRY, 3, said)
    assert (one.vendor_uid, one.contacts, one.wamid) == ("v", 1, "w-1")


async def test_one_that_is_due_and_was_not_tried(redis: Redis) -> None:
    await defer(redis, "v/1", due_at=1)
    assert await why(redis) == "no worker is running for messages"


async def test_one_behind_another(redis: Redis) -> None:
    await defer(redis, "v/1", 1000, attempts=2, reason="locked")
    await defer(redis, "v/1", wamid="w-2")
    [one] = await read(redis)
    assert (one.where, one.attempts, one.wamid) == (Where.BEHIND, 2, "w-2")
    assert one.reason == (
        "behind a message that PHP refuses, of the same contact; of that one: PHP answers: locked"
    )


async def test_one_behind_an_echo(redis: Redis) -> None:
    await defer(redis, "v/1", 3 * LONG_MS, UpdateKind.ECHO, attempts=2, reason="locked")
    await defer(redis, "v/1")
    [one] = await read(redis)
    assert one.reason.startswith("behind an update that PHP refuses")
    assert one.waited_s < 3 * LONG_MS / 1000, "echoes are nobody's message"


@pytest.mark.parametrize(
    ("kind", "ago_ms"),
    [
        (UpdateKind.MESSAGE, 0),
        (UpdateKind.ECHO, LONG_MS),
        (UpdateKind.CHANGE, LONG_MS),
        (UpdateKind.STATUS, LONG_MS),
    ],
)
async def test_others_may_wait_for_a_retry(redis: Redis, kind: UpdateKind, ago_ms: int) -> None:
    await defer(redis, "v/1", ago_ms, kind, attempts=2, reason="locked")
    assert await read(redis) == []


async def test_of_each_vendor_the_oldest_and_how_many_contacts(redis: Redis) -> None:
    await defer(redis, "v/1", 2 * LONG_MS, attempts=1, reason="older")
    await defer(redis, "v/2", LONG_MS, attempts=1, reason="newer")
    await defer(redis, "w/1", 3 * LONG_MS, attempts=1, reason="oldest")
    await receive(redis, message_webhook())
    w, v, inbox = await read(redis)
    assert (w.vendor_uid, w.reason, w.contacts) == ("w", "PHP answers: oldest", 1)
    assert (v.vendor_uid, v.reason, v.contacts) == ("v", "PHP answers: older", 2)
    assert (inbox.vendor_uid, inbox.where) == ("v", Where.INBOX)


async def test_both_ends_of_the_index_are_inspected(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused most often is due last."""
    monkeypatch.setattr(waits, "MAX_ORDER_KEYS", 2)
    for number in range(8):
        await defer(redis, f"v{number}/1", due_at=number, attempts=1, reason="locked")
    found = {one.vendor_uid for one in await read(redis)}
    assert found == {"v0", "v1", "v6", "v7"}


async def test_few_vendors_are_returned(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "MAX_VENDORS", 2)
    for number in range(4):
        ago_ms = LONG_MS * (1 + number)
        await defer(redis, f"v{number}/1", ago_ms, attempts=1, reason="locked")
    assert [one.vendor_uid for one in await read(redis)] == ["v3", "v2"]
