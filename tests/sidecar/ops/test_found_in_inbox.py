"""What has come in and PHP does not have: found in the inbox, among what waits, and given up."""

from typing import Any, cast

import orjson
import pytest

from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.inbox.ignored import Ignored
from sidecar.inbox.store import UID_FIELD
from sidecar.ops import dead_letters, found_in_inbox
from sidecar.ops.event import Part, Step
from sidecar.ops.found_in_inbox import InboxSearch
from sidecar.ops.wanted import Budget, Wanted
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.ops.test_dead_letters import add_dead_letter
from tests.workers.payloads import make_update

MESSAGES, STATUSES = Lane.MESSAGES, Lane.STATUSES


async def receive(
    redis: Redis, at: int, *bodies: bytes, lane: Lane = STATUSES, v: str = "v"
) -> None:
    """Let webhooks wait, as one group commit writes them: none is signed."""
    fields: list[bytes] = [UID_FIELD, b"uid"]
    for body in bodies:
        fields += [b"", body]
    await redis.sadd(keys.ready(lane), v)
    await cast(Any, redis).execute_command("XADD", keys.inbox(lane, v), f"{at}-0", *fields)


def webhook(wamid: str, status: str = "read") -> bytes:
    value = {"statuses": [{"id": wamid, "status": status}]}
    return orjson.dumps({"entry": [{"changes": [{"value": value}]}]})


async def search(redis: Redis, *wamids: str, **wanted: Any) -> Part:
    part = Part()
    await InboxSearch(redis, Wanted(wamids=wamids, **wanted), part).run()
    return part


def told(part: Part) -> list[tuple[int, Step]]:
    return [(event.at_ms, event.kind) for event in part.events]


async def test_nothing_is_looked_for(redis: Redis) -> None:
    await receive(redis, 5, webhook("w.1"))
    assert await search(redis, recipients=("999",)) == Part()


async def test_webhooks_that_wait(redis: Redis) -> None:
    await receive(redis, 5000, webhook("w.2"), webhook("w.1"), b"no JSON")
    await receive(redis, 7000, webhook("w.1", "sent"), lane=MESSAGES, v="w")
    part = await search(redis, "w.1")
    assert told(part) == [(7000, Step.RECEIVED), (5000, Step.RECEIVED)]
    assert [event.vendor_uid for event in part.events] == ["w", "v"]
    assert part.events[1].text == "a webhook was received: status read"
    assert part.where[1] == (
        "a webhook of 1970-01-01 00:00:05Z: status read waits in the inbox (statuses)"
    )
    assert told(await search(redis, "w.1", vendor_uid="v")) == [(5000, Step.RECEIVED)]
    assert told(await search(redis, "w.3")) == []
    assert part.notes == []


async def test_all_pages_are_read_the_newest_first(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_in_inbox, "PAGE", 3)
    for at in range(1, 10):
        await receive(redis, at, webhook("w.1"))
    assert [at for at, _ in told(await search(redis, "w.1"))] == list(range(9, 0, -1))


async def test_large_webhooks_are_read_one_by_one(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 50 MB are parsed and searched at once, and webhooks wait meanwhile."""
    small, large = webhook("w.1"), webhook("w.1", "x" * 1000)
    monkeypatch.setattr(found_in_inbox, "MAX_PAGE_BYTES", 10 * len(small))
    for at in range(1, 20):
        await receive(redis, at, large if at < 8 else small)
    part = Part()
    searching = InboxSearch(redis, Wanted(wamids=("w.1",)), part)
    raw, counts = cast(Any, searching._raw), list[int]()
    execute = raw.execute_command

    async def count(*words: Any) -> Any:
        counts.append(words[-1])
        return await execute(*words)

    monkeypatch.setattr(raw, "execute_command", count)
    await searching.run()
    assert len(part.events) == 19
    assert counts == [1, 2, 4, 8, 1, 1, 1, 1, 1]


async def test_large_letters_are_read_one_by_one(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_READ_BYTES", 3000)
    for number in range(9):
        payload = {"text": "x" * (5000 if number < 3 else 10)}
        await add_dead_letter(redis, number, payload=payload, wamid="w.1")
    reads, portions = list[int](), dead_letters._portions

    def count(*words: Any) -> Any:
        for some in portions(*words):
            reads.append(len(some))
            yield some

    monkeypatch.setattr(dead_letters, "_portions", count)
    part = await search(redis, "w.1")
    assert [event.kind for event in part.events].count(Step.DEAD) == 9
    assert reads == [6, 1, 1, 1]


async def test_no_more_is_looked_at_than_is_said(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_in_inbox, "Budget", lambda: Budget(count=3))
    monkeypatch.setattr(found_in_inbox, "PAGE", 3)
    monkeypatch.setattr(found_in_inbox, "LETTERS", 3)
    monkeypatch.setattr(found_in_inbox, "MAX_ORDER_KEYS", 3)
    for at in range(1, 10):
        await receive(redis, at, webhook("w.1"))
    await receive(redis, 1, webhook("w.1"), v="w")
    for number in range(5):
        await add_dead_letter(redis, number, given_up_at=number)
        await defer(redis, f"v/{number}", wamid=f"w.{number}")
    part = await search(redis, "w.1")
    assert [one.at_ms for one in part.events if one.details.get("lane")] == [9, 8, 7]
    assert part.notes == [
        "looked at 3 of 5 contacts and messages whose updates wait for a retry (messages)",
        "looked at 10,000 webhooks of the inbox (statuses), the newest, or 16.0 MB of them only",
        "looked at 10,000 dead letters, the newest of each vendor, or 16.0 MB of them only",
    ]


async def test_of_many_vendors_some_are_looked_at(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_in_inbox, "MAX_VENDORS", 1)
    for vendor in ("a", "b"):
        await receive(redis, 1, webhook("w.1"), v=vendor)
    part = await search(redis, "w.1")
    assert [event.vendor_uid for event in part.events] == ["a"]
    assert part.notes == [
        "looked at 1 of 2 vendors whose webhooks wait; --vendor looks at one",
    ]


async def defer(redis: Redis, order_key: str, lane: Lane = MESSAGES, **more: Any) -> None:
    facts = {"received_at": 1000, **more}
    update = make_update(
        facts.pop("kind", UpdateKind.MESSAGE),
        vendor_uid=order_key.partition("/")[0],
        order_key=order_key,
        **facts,
    )
    await redis.rpush(keys.deferred_updates(lane, order_key), update.dump())
    await redis.zadd(keys.deferred(lane), {order_key: 9000})


async def test_updates_that_wait_for_a_retry(redis: Redis) -> None:
    facts: dict[str, Any] = {"attempts": 2, "first_failed_at": 2000, "reason": "the routine failed"}
    await defer(redis, "v/999", wamid="w.1", **facts)
    await defer(redis, "v/999", wamid="w.2")
    await defer(redis, "w/999", wamid="w.1")
    part = await search(redis, "w.1", vendor_uid="v")
    assert told(part) == [(1000, Step.RECEIVED), (2000, Step.REFUSED)]
    assert part.where == [
        "a customer's message waits to be tried again at 1970-01-01 00:00:09Z, after 2 tries: "
        "the routine failed"
    ]
    part = await search(redis, "w.2")
    assert told(part) == [(1000, Step.RECEIVED)]
    assert part.where == ["a customer's message waits behind an earlier one of the same contact"]
    assert len((await search(redis, "w.1")).events) == 3


async def test_dead_letters(redis: Redis) -> None:
    await add_dead_letter(redis, 1, wamid="w.1")
    await add_dead_letter(redis, 2, wamid="w.2")
    await add_dead_letter(redis, 3, vendor_uid="w", wamid="w.1", reason=None)
    effect = {"id": "e-1", "kind": "forward", "reason": "HTTP 500", "put_at": 5}
    await redis.hset(
        keys.dead_letters("v"),
        "v/forward/e-1",
        orjson.dumps({"outbox": "forward", "update": effect}),
    )
    await redis.zadd(keys.dead_effects("v"), {"v/forward/e-1": 7000, "gone": 1})
    part = await search(redis, "w.1", vendor_uid="v")
    assert told(part) == [(1001, Step.RECEIVED), (5001, Step.DEAD)]
    assert "once the cause is gone: sidecar dead-letters replay letter-1" in part.events[1].text
    assert part.where == ["a customer's message is a dead letter: letter-1"]
    part = await search(redis, effects=("e-1",))
    assert told(part) == [(7000, Step.EFFECT_DEAD)]
    assert len((await search(redis, "w.1")).events) == 4


async def test_the_last_one_that_was_ignored(redis: Redis) -> None:
    for number, wamid in enumerate(("w.1", "w.2")):
        last = Ignored(5, "v", "u", UpdateKind.STATUS, wamid, "message_unknown", b"")
        await redis.hset(keys.ignored_last("v"), f"reason-{number}", last.dump())
    part = await search(redis, "w.1", vendors=("v", "w"))
    assert [(event.kind, event.text) for event in part.events] == [
        (Step.IGNORED, "a status was ignored: message_unknown")
    ]
