"""The outbox: each effect once, on disk, and how it leaves."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from contracts.backend import ProcessWebhooksAnswer
from contracts.effects import AiReply, Broadcast, Effect, EffectKind, Forward, SendMessage, read
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import (
    Ended,
    Outbox,
    Queued,
    effects_lease,
    id_of,
    parse_effects,
    replies_of,
    vendor_of_replies,
    with_update,
)
from sidecar.metrics import EFFECTS_REFUSED, METRICS
from sidecar.ops.accounting import Accounting, Counters
from sidecar.ops.dead_letters import DeadLetter, DeadLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost, Leases
from tests.contracts.odd_json import ODD

GOOD = '{"kind": "forward", "id": "b"}'

FORWARD, BROADCAST = EffectKind.FORWARD, EffectKind.BROADCAST


@pytest.fixture
def outbox(redis: Redis) -> Outbox:
    return Outbox(redis, remember_s=60, limit=5)


@pytest.fixture
async def lease(redis: Redis) -> AsyncIterator[Lease]:
    async with Leases(redis, 10_000).hold(effects_lease(FORWARD, "v")) as lease:
        assert lease is not None
        yield lease


def forwards(*ids: str) -> list[Effect]:
    return [Forward(id=one, body={"n": one}) for one in ids]


async def accounting(redis: Redis) -> Accounting:
    [found] = await Counters(redis).read()
    assert found.balanced, found
    return found


async def due(outbox: Outbox, kind: EffectKind = FORWARD) -> list[str]:
    return [queued.id for queued in await outbox.due(kind, "v", now_ms() + 1, 100)]


# -- in --


async def test_they_are_due_in_the_order_in_which_they_came(outbox: Outbox) -> None:
    await outbox.put("v", forwards("a"))
    await outbox.put("v", forwards("b", "c"))
    assert await due(outbox) == ["a", "b", "c"]
    [first, *_] = await outbox.due(FORWARD, "v", now_ms(), 1)
    assert first.effect == Forward(id="a", body={"n": "a"})
    assert first.attempts == 0


@pytest.mark.parametrize(
    "effect",
    [
        SendMessage(id="x", to="49", message={"type": "text"}),
        AiReply(
            id="x", conversation="c", provider="p", messages=[{"role": "user", "content": "?"}]
        ),
        Forward(id="x", body={}),
        Forward(id="x", raw='{"n": 18446744073709551617, "x": 1.0, "y": "\\u00e9\\/"}'),
        Broadcast(channels=["c"], event="e", data={"a": 1}),
    ],
)
async def test_an_effect_is_kept_whole(outbox: Outbox, effect: Effect) -> None:
    await outbox.put("v", [effect])
    [queued] = await outbox.due(effect.kind, "v", now_ms(), 10)
    assert queued.effect == effect
    assert Queued.load("x", "v", queued.as_json()) == Queued("x", "v", effect, queued.put_at)


async def test_an_id_is_taken_once_also_when_it_has_ended(outbox: Outbox, redis: Redis) -> None:
    effect = SendMessage(id="x", to="49", message={})
    assert (await outbox.put("v", [effect, effect])).known == 1
    kind = EffectKind.SEND_MESSAGE
    async with Leases(redis, 10_000).hold(effects_lease(kind, "v")) as lease:
        assert lease is not None
        await outbox.end(lease, kind, "v", [Ended("x", EffectState.DONE)])
    assert (await outbox.put("v", [effect])).known == 1
    assert await due(outbox, kind) == []
    assert (await outbox.put("w", [effect])).taken == 1, "ids are the vendor's"


async def test_no_more_bytes_are_read_than_wanted(outbox: Outbox) -> None:
    await outbox.put("v", [Forward(id=one, raw="x" * 1000) for one in "abc"])

    async def read(most_bytes: int, in_hand: str = "") -> str:
        now = now_ms() + 1
        found = await outbox.due(FORWARD, "v", now, 9, in_hand=in_hand, most_bytes=most_bytes)
        assert all(1000 < queued.size < 1200 for queued in found)
        return "".join(queued.id for queued in found)

    assert await read(10_000) == "abc"
    assert await read(2_500) == "ab"
    assert await read(1) == "a", "one at least"
    assert await read(2_500, in_hand="a") == "bc"
    assert await read(1, in_hand="abc") == ""


async def test_broadcasts_that_say_the_same_are_one(outbox: Outbox) -> None:
    data = {"x": 1, "y": {"b": 1, "a": 2}}
    changed_places = {"y": {"a": 2, "b": 1}, "x": 1}
    one = Broadcast(channels=["a", "b"], event="e", data=data)
    same = Broadcast(channels=["b", "a"], event="e", data=changed_places, id="another")
    other = Broadcast(channels=["a", "b"], event="e", data={**data, "x": 2})
    put = await outbox.put("v", [one, same, other])
    assert (put.taken, put.known) == (2, 1)


async def test_too_many_that_may_be_left_out_are(outbox: Outbox, redis: Redis) -> None:
    put = await outbox.put("v", forwards(*"abcdefg"))
    assert (put.taken, put.dropped) == (5, 2)
    sends = [SendMessage(id=one, to="49", message={}) for one in "abcdefg"]
    assert (await outbox.put("v", sends)).taken == 7, "what somebody is owed is never left out"
    assert (await accounting(redis)).effects.parts == {
        "done": 0,
        "left_out": 2,
        "dead": 0,
        "waiting": 12,
    }


def test_the_update_stands_in_for_a_body_that_is_missing() -> None:
    update = b'{"n": 100000000000000000000, "x": 1.0}'
    assert with_update(Forward(id="a"), update) == Forward(id="a", raw=update.decode())
    for said in (Forward(id="a", body={}), Forward(id="a", raw="{}")):
        assert with_update(said, update) is said
    send = SendMessage(id="a", to="1", message={})
    assert with_update(send, update) is send


async def test_a_forward_is_taken_once_also_when_it_has_ended(outbox: Outbox, lease: Lease) -> None:
    assert (await outbox.put("v", forwards("a"))).taken == 1
    await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DONE)])
    assert (await outbox.put("v", forwards("a", "b"))).known == 1
    assert await due(outbox) == ["b"]


async def test_what_effects_tell_is_told_once(outbox: Outbox, lease: Lease) -> None:
    assert (await outbox.put("v", forwards("a"), {"a": ["one", "two"]})).taken == 1
    assert await outbox.known("v", ["one", "three", "two"]) == {"one", "two"}
    assert await outbox.known("w", ["one"]) == set()
    await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DONE)])
    assert (await outbox.put("v", forwards("b"), {"b": ["two", "one"]})).known == 1
    assert (await outbox.put("v", forwards("c"), {"c": ["two", "three"]})).taken == 1


async def test_what_was_dropped_is_not_known(outbox: Outbox, lease: Lease) -> None:
    put = await outbox.put("v", forwards(*"abcdef"))
    assert (put.taken, put.dropped) == (5, 1)
    await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DONE)])
    assert (await outbox.put("v", forwards("f"))).taken == 1


async def test_what_cannot_be_written_spoils_nothing_but_itself(outbox: Outbox) -> None:
    bad = Forward(id="bad", body={"n": 10**30})
    assert (await outbox.put("v", [*forwards("a"), bad, *forwards("b")])).taken == 2
    assert await due(outbox) == ["a", "b"]


@pytest.mark.parametrize("odd", ODD)
def test_what_cannot_be_passed_on_is_left_out_and_counted(odd: str) -> None:
    text, what = ODD[odd]
    effects = f'{{"kind": "forward", "id": "a", "body": {{"n": {text}}}}}, {GOOD}'
    result = f'{{"id": "u", "result": "done", "effects": [{effects}]}}'
    answer = read(ProcessWebhooksAnswer, f'{{"results": [{result}]}}'.encode())
    before = METRICS.counter(EFFECTS_REFUSED, "forward").value
    with capture_logs() as logs:
        assert parse_effects("v", answer.results[0].effects) == [Forward(id="b")]
    assert METRICS.counter(EFFECTS_REFUSED, "forward").value == before + 1
    assert what in logs[0]["reason"]


def test_what_is_no_effect_is_left_out() -> None:
    values = [{"kind": "nope"}, {"kind": "forward"}, {"kind": "forward", "id": "a"}, {}]
    assert parse_effects("v", values) == [Forward(id="a")]


# -- out --


async def test_every_end(outbox: Outbox, redis: Redis, lease: Lease) -> None:
    await outbox.put("v", forwards(*"abcd"))
    queued = {one.id: one for one in await outbox.due(FORWARD, "v", now_ms(), 10)}
    later = now_ms() + 60_000
    await outbox.end(
        lease,
        FORWARD,
        "v",
        [
            Ended("a", EffectState.DONE),
            Ended("b", EffectState.DROPPED),
            Ended("c", EffectState.DEAD, queued["c"]),
            Ended("d", EffectState.WAITING, queued["d"], later),
        ],
    )
    assert await due(outbox) == []
    assert await outbox.next_due_at(FORWARD, "v") == later
    parts = (await accounting(redis)).effects.parts
    assert parts == {"done": 1, "left_out": 1, "dead": 1, "waiting": 1}
    await outbox.end(
        lease, FORWARD, "v", [Ended("a", EffectState.DONE), Ended("d", EffectState.DONE)]
    )
    assert (await accounting(redis)).effects.parts["done"] == 2, "what has ended does not end again"
    assert not await redis.exists(keys.outbox(FORWARD))


async def test_without_the_lease_nothing_is_written(
    outbox: Outbox, redis: Redis, lease: Lease
) -> None:
    await outbox.put("v", forwards("a"))
    await redis.set(lease.key, lease.token + 1)
    with pytest.raises(LeaseLost):
        await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DONE)])
    assert await due(outbox) == ["a"]


async def test_a_dead_one_is_shown_and_replayed(outbox: Outbox, redis: Redis, lease: Lease) -> None:
    await outbox.put("v", forwards("a"))
    [queued] = await outbox.due(FORWARD, "v", now_ms(), 10)
    dead = Queued("a", "v", queued.effect, queued.put_at, 12, "500")
    await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DEAD, dead)])
    letters = DeadLetters(redis)
    [letter] = [letter async for letter in letters.all()]
    assert letter.summary["lane"] == "outbox"
    assert letter.summary["kind"] == "forward"
    assert letter.summary["reason"] == "500"
    assert "n" not in str(letter.summary.keys() & {"effect", "body"})
    assert await letters.replay(letter)
    assert not await letters.replay(letter), "once"
    [again] = await outbox.due(FORWARD, "v", now_ms(), 10)
    assert (again.effect, again.attempts, again.reason) == (queued.effect, 0, None)
    assert (await accounting(redis)).effects.parts["dead"] == 0
    assert await redis.smembers(keys.outbox(FORWARD)) == {b"v"}


async def test_what_is_posted_is_the_same_after_an_export(
    outbox: Outbox, redis: Redis, lease: Lease
) -> None:
    effect = Forward(id="a", raw='{"n": 18446744073709551617, "x":1.0, "y":"\\u00e9\\/"}')
    await outbox.put("v", [effect])
    [queued] = await outbox.due(FORWARD, "v", now_ms(), 10)
    await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DEAD, queued)])
    letters = DeadLetters(redis)
    [letter] = [letter async for letter in letters.all()]
    assert await letters.replay(DeadLetter.read(letter.export()))
    [again] = await outbox.due(FORWARD, "v", now_ms(), 10)
    assert again.effect == effect


async def test_what_a_later_version_has_put_there_is_left_alone(
    outbox: Outbox, redis: Redis
) -> None:
    await outbox.put("v", forwards("a", "b"))
    name = keys.effects(FORWARD, "v")
    await redis.hset(name, "a", b'{"effect":{"kind":"x"},"put_at":1,"attempts":0,"reason":null}')
    assert await due(outbox) == ["b"]
    assert await redis.hlen(name) == 2


def test_names() -> None:
    assert vendor_of_replies(replies_of("v")) == "v"
    assert vendor_of_replies("campaign") is None
    assert effects_lease(EffectKind.SEND_MESSAGE, "v") == "campaign:replies:v"
    assert effects_lease(FORWARD, "v") != effects_lease(BROADCAST, "v")
    assert id_of(Forward(id="a")) == "a"


async def test_a_dead_one_does_not_take_the_place_of_one_that_waits(
    outbox: Outbox, redis: Redis, lease: Lease
) -> None:
    await outbox.put("v", forwards("a"))
    [queued] = await outbox.due(FORWARD, "v", now_ms(), 10)
    await outbox.end(lease, FORWARD, "v", [Ended("a", EffectState.DEAD, queued)])
    await outbox.put("v", forwards("a"), {"a": ["another fact"]})
    letters = DeadLetters(redis)
    [letter] = [letter async for letter in letters.all()]
    assert not await letters.replay(letter)
    assert await letters.count() == 1
    assert (await accounting(redis)).balanced


async def test_how_many_bytes_are_stored(outbox: Outbox, redis: Redis, lease: Lease) -> None:
    async def stored() -> int:
        bodies = await redis.hvals(keys.effects(FORWARD, "v"))
        counted = int(await redis.hget(keys.counters("v"), keys.STORED_BYTES) or 0)
        assert counted == sum(map(len, bodies))
        return counted

    await outbox.put("v", forwards("a", "b", "c"))
    assert await stored()
    [a, _b, c] = await outbox.due(FORWARD, "v", now_ms(), 10)
    longer = Queued("a", "v", a.effect, a.put_at, 1, "a reason")
    await outbox.end(
        lease,
        FORWARD,
        "v",
        [
            Ended("a", EffectState.WAITING, longer, 5),
            Ended("b", EffectState.DONE),
            Ended("c", EffectState.DEAD, c),
        ],
    )
    assert await stored()
    letters = DeadLetters(redis)
    assert await letters.replay(await anext(letters.all()))
    assert await stored()
    await outbox.end(
        lease, FORWARD, "v", [Ended("a", EffectState.DONE), Ended("c", EffectState.DROPPED)]
    )
    assert await stored() == 0


async def test_ids_are_remembered_in_few_bytes_and_for_a_while(
    outbox: Outbox, redis: Redis, lease: Lease
) -> None:
    effects = [SendMessage(id=f"wamid.{number}", to="1", message={}) for number in range(300)]
    assert (await outbox.put("v", effects)).taken == 300
    assert (await outbox.put("v", effects)).known == 300
    assert (await outbox.put("w", effects[:5])).taken == 5, "another vendor's are others"
    marks = [key async for key in redis.scan_iter(match="effect:*", count=1000)]
    assert marks
    for key in marks:
        assert await redis.object("encoding", key) == b"intset"
        assert 0 < await redis.ttl(key) <= 60 + 15 + 1


# -- what PHP asks for again --


def message(asked_at: int | None = None, uid: str = "m") -> SendMessage:
    return SendMessage(id=uid, to="49151", message={"type": "text"}, asked_at=asked_at)


async def test_a_message_that_was_never_taken_is_taken(outbox: Outbox, redis: Redis) -> None:
    now = now_ms()
    await redis.set(keys.MEMORY_SINCE, now - 10_000)
    put = await outbox.put("v", [message(now - 9_999)])
    assert (put.taken, put.forgotten) == (1, ())
    again = await outbox.put("v", [message(now - 9_999)])
    assert (again.known, again.forgotten) == (1, ()), "once"
    await accounting(redis)


async def test_one_that_may_have_been_sent_before_redis_was_wiped_is_not(
    outbox: Outbox, redis: Redis
) -> None:
    now = now_ms()
    await redis.set(keys.MEMORY_SINCE, now - 10_000)
    put = await outbox.put("v", [message(now - 10_000), message(None, "new"), *forwards("f")])
    assert (put.taken, put.forgotten) == (2, ("m",))
    assert await due(outbox, EffectKind.SEND_MESSAGE) == ["new"]
    await accounting(redis)


async def test_one_that_is_known_is_known_however_old(outbox: Outbox, redis: Redis) -> None:
    await outbox.put("v", [message()])
    put = await outbox.put("v", [message(1)])
    assert (put.known, put.forgotten) == (1, ())


@pytest.mark.parametrize("since", [None, "?0x1", "?", ""])
async def test_while_nobody_knows_since_when_none_is_taken(
    outbox: Outbox, redis: Redis, since: str | None
) -> None:
    if since is not None:
        await redis.set(keys.MEMORY_SINCE, since)
    put = await outbox.put("v", [message(now_ms())])
    assert (put.taken, put.forgotten) == (0, ("m",))
    assert (await outbox.put("v", [message()])).taken == 1, "PHP asks for it for the first time"


async def test_one_whose_mark_may_have_expired_is_not_taken(redis: Redis) -> None:
    """It may have been sent and be gone since. While it waits it is known."""
    outbox = Outbox(redis, remember_s=60, limit=5)
    await redis.set(keys.MEMORY_SINCE, 1)
    now = now_ms()
    put = await outbox.put("v", [message(now - 46_000), message(now - 44_000, "young")])
    assert (put.taken, put.forgotten) == (1, ("m",))
    for name in [name async for name in redis.scan_iter("effect:*")]:
        await redis.delete(name)
    put = await outbox.put("v", [message(now - 46_000, "young")])
    assert (put.known, put.forgotten) == (1, ())
