"""Shadow: what PHP does is compared with what the sidecar would have done, once, and in the end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from sidecar.clock import now_ms
from sidecar.metrics import METRICS, SHADOW_EFFECTS
from sidecar.php.bisect import MAX_FAILURES
from sidecar.php.client import Backend, BackendError
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.shadow.rules import Class, Kind, Rule
from sidecar.tasks import cancel
from tests.conftest import MakeSettings
from tests.workers.payloads import (
    VENDOR,
    account,
    change,
    envelope,
    message,
    status,
    value,
    webhook,
)
from tests.workers.php import HTML_500, Call, Php, answer
from tests.workers.shadowing import Clock, Shadowing, asked, tell
from workers.shadow import store as shadow_store

HELLO = {"bot_uid": "b-hello", "trigger_type": "is", "reply_trigger": "hello"}
WELCOME = {"bot_uid": "b-welcome", "trigger_type": "welcome", "reply_trigger": None}
SENT, DELIVERED, READ = (status("w1", name) for name in ("sent", "delivered", "read"))


@pytest.fixture
async def shadowing(
    make_settings: MakeSettings,
    redis: Redis,
    php: Php,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Shadowing]:
    # In the past, for it runs ahead: what is found tomorrow would not be read today.
    clock = Clock(now_ms() - 6 * 3_600_000)
    monkeypatch.setattr("workers.shadow.work.now_ms", clock)
    settings = make_settings(shadow_examples=3, shadow_window_s=30, shadow_patience_s=120)
    one = Shadowing(settings, redis, php, backend, clock)
    tell(php, one.tables)
    yield one
    await one.close()


def said(wamid: str = "m1", text: str = "Hello", **more: Any) -> bytes:
    """Return a webhook with a customer's text."""
    return webhook(messages=[message(wamid=wamid, text={"body": text}, **more)])


def told(*statuses: dict[str, Any]) -> list[bytes]:
    """Return webhooks with one status each."""
    return [webhook(statuses=[one]) for one in statuses]


def observes(php: Php) -> list[list[str]]:
    return [[one["wamid"] for one in asked(call)] for call in php.to(contract.OBSERVE)]


# -- equal --


async def test_a_message_that_php_has_logged_is_equal(shadowing: Shadowing) -> None:
    shadowing.tables.bots = [HELLO]
    shadowing.tables.logs_message("m1", bots=["b-hello"])
    found = await shadowing.shadow_them(said())
    assert found == [(Kind.BOTS, Class.EQUAL, None), (Kind.LOG_ROW, Class.EQUAL, None)]
    assert await shadowing.waiting() == 0
    parity = await shadowing.parity()
    assert (parity.updates, parity.unexplained, parity.examples) == (1, 0, [])


async def test_statuses_of_a_campaigns_message_are_equal(shadowing: Shadowing) -> None:
    shadowing.tables.logs("w1", status="read", campaign_uid="c1", queue_status=None)
    found = await shadowing.shadow_them(*told(SENT, DELIVERED, READ))
    assert found == [(Kind.QUEUE_ROW, Class.EQUAL, None), (Kind.STATUS, Class.EQUAL, None)]


async def test_a_message_of_no_campaign_has_no_row_in_the_queue(shadowing: Shadowing) -> None:
    shadowing.tables.logs("w1", status="sent")
    assert await shadowing.shadow_them(*told(SENT)) == [(Kind.STATUS, Class.EQUAL, None)]


async def test_an_echo_is_a_message_that_is_not_the_customers(shadowing: Shadowing) -> None:
    shadowing.tables.bots = [WELCOME]
    shadowing.tables.logs("e1", status="sent")
    body = webhook(message_echoes=[{**message(wamid="e1"), "to": "99911"}])
    assert await shadowing.shadow_them(body) == [(Kind.LOG_ROW, Class.EQUAL, None)]


# -- when PHP is asked --


async def test_php_has_its_time_before_it_is_asked(shadowing: Shadowing, php: Php) -> None:
    await shadowing.record(said())
    await shadowing.take_on()
    await shadowing.pass_time(29)
    assert observes(php) == []
    await shadowing.pass_time(1)
    assert observes(php) == [["m1"]]


async def test_php_is_asked_again_at_longer_and_longer_intervals(
    shadowing: Shadowing, php: Php
) -> None:
    asked_at = []
    php.when(contract.OBSERVE, lambda _call: asked_at.append(shadowing.clock.now))
    start = shadowing.clock.now
    assert await shadowing.shadow_them(said()) == [
        (Kind.BOTS, Class.EQUAL, None),  # no bot, on either side
        (Kind.LOG_ROW, Class.EXTRA, None),
    ]
    assert [(at - start) // 1000 for at in asked_at] == [30, 60, 120]


async def test_what_php_does_late_is_equal(shadowing: Shadowing) -> None:
    await shadowing.record(said())
    await shadowing.pass_time(50)
    assert (Kind.LOG_ROW, Class.EQUAL, None) not in await shadowing.found()
    shadowing.tables.logs_message("m1")
    await shadowing.pass_time(11)
    assert (Kind.LOG_ROW, Class.EQUAL, None) in await shadowing.found()


async def test_a_bot_that_php_runs_late_is_found(shadowing: Shadowing) -> None:
    """That neither has run one yet says nothing while PHP has not logged the message."""
    await shadowing.record(said())
    await shadowing.pass_time(50)
    assert await shadowing.found() == []
    shadowing.tables.logs_message("m1", bots=["b-other"])
    await shadowing.pass_time(75)
    assert (Kind.BOTS, Class.MISSING, None) in await shadowing.found()


async def test_a_later_status_is_compared_with_the_one_before(shadowing: Shadowing) -> None:
    """PHP may be ahead of what was recorded here."""
    shadowing.tables.logs("w1", status="delivered")
    await shadowing.record(*told(SENT))
    await shadowing.pass_time(40)
    assert await shadowing.found() == []
    await shadowing.record(*told(DELIVERED))
    await shadowing.pass_time(31)
    assert await shadowing.found() == [(Kind.STATUS, Class.EQUAL, None)]


async def test_messages_of_several_vendors_share_a_request(
    shadowing: Shadowing, php: Php, backend: Backend
) -> None:
    other = Shadowing(shadowing.settings, shadowing.redis, php, backend, shadowing.clock, "v2")
    tell_both(php, shadowing)
    await shadowing.record(said("m1"))
    await other.record(said("m2"))
    await shadowing.take_on()
    await shadowing.pass_time(30)
    assert observes(php) == [["m2", "m1"]] or observes(php) == [["m1", "m2"]]
    await other.close()


def tell_both(php: Php, shadowing: Shadowing) -> None:
    def config(call: Call) -> Any:
        known = [
            {
                "vendor_uid": uid,
                "current_phone_number_id": "110",
                "modes": {"webhooks": "shadow"},
            }
            for uid in call.json["vendor_uids"]
        ]
        return answer({"vendors": known})

    php.when(contract.VENDOR_CONFIG, config)
    php.when(
        contract.BOTS,
        lambda call: answer(
            {"vendors": [{"vendor_uid": uid, "bots": []} for uid in call.json["vendor_uids"]]}
        ),
    )


# -- counted once --


async def test_what_comes_twice_is_counted_once(shadowing: Shadowing) -> None:
    shadowing.tables.logs_message("m1")
    shadowing.tables.logs("w1", status="sent")
    await shadowing.shadow_them(said(), *told(SENT), said(), *told(SENT))
    first = await shadowing.found()
    assert len(first) == 3
    assert await shadowing.shadow_them(said(), *told(SENT)) == first


async def test_a_status_that_moves_up_later_is_compared_again(shadowing: Shadowing) -> None:
    shadowing.tables.logs("w1", status="sent")
    await shadowing.shadow_them(*told(SENT))
    shadowing.tables.logs("w1", status="read")
    assert await shadowing.shadow_them(*told(READ)) == [(Kind.STATUS, Class.EQUAL, None)] * 2


@pytest.mark.parametrize("step", ["take_on", "look"])
async def test_whoever_has_lost_the_lease_changes_nothing(
    shadowing: Shadowing, redis: Redis, step: str
) -> None:
    await shadowing.record(said())
    if step == "look":
        await shadowing.take_on()
        shadowing.clock.now += 31_000
    before = await everything(redis)
    late = Lease("shadow", 1)
    await redis.set(late.key, 2)
    with pytest.raises(LeaseLost):
        await getattr(shadowing.work, step)(late)
    await redis.delete(late.key)
    after = await everything(redis)
    assert before == {name: dump for name, dump in after.items() if name != b"lease:shadow"}


async def everything(redis: Redis) -> dict[bytes, bytes]:
    command = cast(Any, redis).execute_command
    names = [name for name in await command("KEYS", "*") if name != b"lease:shadow"]
    return {name: await command("DUMP", name) for name in names}


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
async def test_killed_at_every_write_it_counts_once(
    shadowing: Shadowing, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """At each of the first writes the process dies, before it or after, and another one goes on."""
    shadowing.tables.bots = [HELLO]
    shadowing.tables.logs_message("m1", bots=["b-hello"])
    shadowing.tables.logs("w1", status="sent", campaign_uid="c1")
    commit = shadow_store.Changes.commit
    writes = 0

    async def dying(self: shadow_store.Changes, lease: Lease) -> None:
        nonlocal writes
        writes += 1
        if written:
            await commit(self, lease)
        if writes < 12:
            raise ConnectionError("killed")
        if not written:
            await commit(self, lease)

    monkeypatch.setattr(shadow_store.Changes, "commit", dying)
    await shadowing.record(said(), *told(SENT, DELIVERED), said("m2"))
    for _ in range(800):
        shadowing.clock.now += 1000
        try:
            await shadowing.take_on()
            await shadowing.look()
        except ConnectionError:
            shadowing.make_work()
    assert writes > 12
    assert await shadowing.waiting() == 0
    assert await shadowing.found() == [
        (Kind.BOTS, Class.EQUAL, None),
        (Kind.BOTS, Class.EXTRA, None),
        (Kind.LOG_ROW, Class.EQUAL, None),
        (Kind.LOG_ROW, Class.EXTRA, None),
        (Kind.QUEUE_ROW, Class.EQUAL, None),
        (Kind.STATUS, Class.DIFFERENT, None),
    ]


# -- PHP --


async def test_while_php_is_down_nothing_is_settled(shadowing: Shadowing, php: Php) -> None:
    shadowing.tables.bots = [HELLO]
    await shadowing.record(said())
    await shadowing.pass_time(31)
    await php.stop()
    with pytest.raises(BackendError):
        await shadowing.pass_time(200)
    shadowing.work._php_well_since = None  # as the loop records it
    shadowing.clock.now += 600_000
    await php.start()
    await shadowing.pass_time(40)
    assert await shadowing.found() == [], "what PHP has not done may have waited for it, too"
    shadowing.tables.logs_message("m1", bots=["b-hello"])
    await shadowing.pass_time(60)
    assert await shadowing.found() == [
        (Kind.BOTS, Class.EQUAL, None),
        (Kind.LOG_ROW, Class.EQUAL, None),
    ]


async def test_php_that_fails_on_the_only_message_gets_its_time_as_well(
    shadowing: Shadowing, php: Php
) -> None:
    await shadowing.record(said("m1"))
    await shadowing.pass_time(60)
    await shadowing.record(said("m2"))
    ill = php.always(contract.OBSERVE, HTML_500)
    await shadowing.pass_time(119)
    php.forget(ill)
    await shadowing.pass_time(60)
    assert await shadowing.found() == []
    await shadowing.pass_time(120)
    assert (Kind.LOG_ROW, Class.EXTRA, None) in await shadowing.found()


async def test_webhooks_wait_while_php_says_nothing_of_the_vendor(
    shadowing: Shadowing, php: Php
) -> None:
    await shadowing.record(said())
    ill = php.always(contract.BOTS, HTML_500)
    await shadowing.take_on()
    assert await shadowing.waiting() == 1
    assert await shadowing.redis.exists(keys.planned(VENDOR)) == 0
    php.forget(ill)
    shadowing.make_work()
    await shadowing.take_on()
    assert await shadowing.redis.exists(keys.planned(VENDOR)) == 1


async def test_one_message_that_php_fails_on_does_not_spoil_the_others(
    shadowing: Shadowing, php: Php
) -> None:
    php.when(
        contract.OBSERVE,
        lambda call: HTML_500 if any(one["wamid"] == "m2" for one in asked(call)) else None,
    )
    for wamid in ("m1", "m2", "m3"):
        shadowing.tables.logs_message(wamid)
    with capture_logs() as logs:
        found = await shadowing.shadow_them(said("m1"), said("m2"), said("m3"))
        await shadowing.pass_time(60)
    assert found.count((Kind.LOG_ROW, Class.EQUAL, None)) == 2
    assert await shadowing.waiting() == 0
    assert (await shadowing.parity()).not_compared == 2
    assert [one["event"] for one in logs] == ["shadow.observe_failed"]


async def test_php_that_fails_on_everything_is_not_asked_for_each(
    shadowing: Shadowing, php: Php
) -> None:
    php.always(contract.OBSERVE, HTML_500)
    await shadowing.record(*(said(f"m{n}") for n in range(90)))
    await shadowing.take_on()
    shadowing.clock.now += 31_000
    with pytest.raises(BackendError):
        await shadowing.look()
    assert len(observes(php)) < 2 * MAX_FAILURES
    assert await shadowing.waiting() == 90


# -- modes --


@pytest.mark.parametrize(
    "modes", [{"webhooks": "sidecar"}, {"webhooks": "php"}, {"webhooks": "php", "bots": "sidecar"}]
)
async def test_a_vendor_that_is_not_in_shadow_is_dropped(
    shadowing: Shadowing, redis: Redis, modes: dict[str, str]
) -> None:
    await shadowing.record(said())
    await shadowing.take_on()
    await shadowing.record(said("m2"))
    shadowing.tables.modes = modes
    shadowing.make_work()
    await shadowing.take_on()
    assert await shadowing.waiting() == 0
    assert not await redis.keys("planned:*")
    assert not await redis.keys("shadow:*")


async def test_with_the_webhooks_on_the_sidecar_only_bots_are_compared(
    shadowing: Shadowing,
) -> None:
    shadowing.tables.modes = {"webhooks": "sidecar", "bots": "shadow"}
    shadowing.tables.bots = [HELLO]
    shadowing.tables.logs_message("m1", bots=["b-hello"])
    found = await shadowing.shadow_them(said(), *told(SENT))
    assert found == [(Kind.BOTS, Class.EQUAL, None)]
    assert (await shadowing.parity()).updates == 1


# -- bounds --


async def test_examples_are_bounded_and_carry_no_text(shadowing: Shadowing) -> None:
    shadowing.tables.bots = [HELLO]
    bodies = [said(f"m{n}") for n in range(5)]
    await shadowing.shadow_them(*bodies)
    examples = await shadowing.examples(Kind.BOTS, Class.EXTRA)
    assert len(examples) == 3
    assert (await shadowing.parity()).counts[Kind.BOTS, Class.EXTRA] == 5
    assert examples[0]["sidecar"]["bots"] == ["b-hello"]
    assert examples[0]["sidecar"]["text"][0] == len("Hello")
    for name in await shadowing.redis.keys("parity:*"):
        dump = await cast(Any, shadowing.redis).execute_command("DUMP", name)
        assert b"Hello" not in dump
        assert 0 < await shadowing.redis.ttl(name) <= 14 * 86_400
    for dump in await cast(Any, shadowing.redis).execute_command("HVALS", keys.planned(VENDOR)):
        assert b"Hello" not in dump


async def test_plans_are_bounded(shadowing: Shadowing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_store, "MAX_PLANNED", 2)
    monkeypatch.setattr("workers.shadow.work.TAKE", 1)
    await shadowing.record(*(said(f"m{n}") for n in range(4)))
    await shadowing.take_on()
    assert await shadowing.redis.zcard(keys.planned_due(VENDOR)) == 2
    assert await shadowing.redis.xlen(keys.shadow(VENDOR)) == 2
    await shadowing.pass_time(400)
    assert await shadowing.waiting() == 0
    assert (await shadowing.parity()).counts[Kind.LOG_ROW, Class.EXTRA] == 4


async def test_so_many_bytes_are_taken_on_at_a_time(
    shadowing: Shadowing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_store, "MAX_BYTES", 10)
    await shadowing.record(said("m1"), said("m2"))
    await shadowing.work.take_on(await shadowing._lease())
    assert await shadowing.redis.xlen(keys.shadow(VENDOR)) == 1
    await shadowing.take_on()
    assert await shadowing.redis.xlen(keys.shadow(VENDOR)) == 0
    assert await shadowing.redis.get(keys.shadow_bytes(VENDOR)) == b"0"


async def test_what_was_compared_is_forgotten_in_the_end(
    shadowing: Shadowing, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        shadowing.tables.logs_message(f"m{n}")
    await shadowing.shadow_them(*(said(f"m{n}") for n in range(4)))
    assert await redis.hlen(keys.planned(VENDOR)) == 4
    monkeypatch.setattr(shadow_store, "MAX_KNOWN", 3)
    await shadowing.look()
    assert await redis.hlen(keys.planned(VENDOR)) == await redis.zcard(keys.planned_known(VENDOR))
    assert await redis.hlen(keys.planned(VENDOR)) == 3
    shadowing.clock.now += shadow_store.KNOWN_MS + 200_000
    await shadowing.look()
    assert not await redis.keys("planned:*")


async def test_a_vendor_without_anything_left_is_not_looked_at(
    shadowing: Shadowing, redis: Redis
) -> None:
    await redis.sadd(keys.SHADOWED, "gone")
    await shadowing.take_on()
    assert await redis.smembers(keys.SHADOWED) == set()


async def test_statuses_of_one_message_are_bounded(shadowing: Shadowing) -> None:
    names = ["sent", "delivered"] * 30
    await shadowing.record(*told(*(status("w1", name) for name in names)))
    await shadowing.take_on()
    [dump] = await cast(Any, shadowing.redis).execute_command("HVALS", keys.planned(VENDOR))
    assert dump.count(b'"name"') == 20


# -- what cannot be compared --


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        webhook(statuses=[{"id": "w1"}]),
        webhook(messages=[{"from": "1", "type": "text"}]),
        b'{"entry": [{"changes": [{"field": "account_update", "value": {"event": "X"}}]}]}',
    ],
    ids=["no json", "no status", "no id", "a change"],
)
async def test_what_has_no_key_is_counted_and_not_compared(
    shadowing: Shadowing, body: bytes
) -> None:
    assert await shadowing.shadow_them(body) == []
    parity = await shadowing.parity()
    assert (parity.not_compared, parity.waiting) == (1, 0)


async def test_a_fault_of_ours_stops_nobody_else(
    shadowing: Shadowing, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowing.tables.logs("w1", status="sent")
    monkeypatch.setattr("workers.shadow.planning.plan_message", lambda *_: 1 / 0)
    with capture_logs() as logs:
        assert await shadowing.shadow_them(said(), *told(SENT)) == [
            (Kind.STATUS, Class.EQUAL, None)
        ]
    assert [one["event"] for one in logs] == ["shadow.plan_failed"]
    assert (await shadowing.parity()).not_compared == 1


# -- the whole task --


async def test_it_runs_by_itself_and_counts_for_prometheus(
    shadowing: Shadowing, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.shadow.work.PAUSE_S", 0.01)
    monkeypatch.setattr("workers.shadow.work.IDLE_PAUSE_S", 0.01)
    monkeypatch.setattr("workers.shadow.work.ILL_PAUSE_S", 0.01)
    monkeypatch.setattr("workers.shadow.work.now_ms", now_ms)
    shadowing.settings = make_settings(shadow_window_s=0, shadow_patience_s=60)
    shadowing.tables.logs_message("m1")
    failing = shadowing.php.always(contract.OBSERVE, HTML_500)
    counter = METRICS.counter(SHADOW_EFFECTS, "log_row", "equal")
    before = counter.value
    one, other = (asyncio.create_task(shadowing.make_work().run()) for _ in range(2))
    await shadowing.record(said())
    try:
        async with asyncio.timeout(10):
            while not shadowing.php.to(contract.OBSERVE):
                await asyncio.sleep(0.01)
            shadowing.php.forget(failing)
            while counter.value == before:
                await asyncio.sleep(0.01)
    finally:
        await cancel([one, other])
    assert await shadowing.found() == [
        (Kind.BOTS, Class.EQUAL, None),
        (Kind.LOG_ROW, Class.EQUAL, None),
    ]


# -- what PHP's own routine makes of webhooks, which is known --


async def test_a_batch(shadowing: Shadowing) -> None:
    """PHP takes the first element, and the rest is lost."""
    shadowing.tables.logs_message("m1")
    shadowing.tables.logs("w1", status="sent", campaign_uid="c1", queue_status=4)
    two = webhook(messages=[message(wamid="m1"), message(wamid="m2")])
    mixed = envelope(
        account(change(value(statuses=[status("other", "sent")]))),
        account(change(value(statuses=[DELIVERED]))),
    )
    found = await shadowing.shadow_them(two, orjson.dumps(mixed))
    rule = Rule.ONLY_FIRST_ELEMENT
    assert (Kind.LOG_ROW, Class.EXPLAINED, rule) in found
    assert (Kind.STATUS, Class.EXPLAINED, rule) in found
    assert (Kind.QUEUE_ROW, Class.EXPLAINED, rule) in found
    assert (await shadowing.parity()).unexplained == 0


async def test_a_status_before_its_message_is_in_the_log(shadowing: Shadowing) -> None:
    """PHP loses it; that it was early is seen when it comes."""
    await shadowing.record(*told(SENT))
    await shadowing.take_on()
    await shadowing.look()
    shadowing.tables.logs("w1", status="accepted", campaign_uid="c1", queue_status=4)
    await shadowing.pass_time(130)
    assert await shadowing.found() == [
        (Kind.QUEUE_ROW, Class.EXPLAINED, Rule.EARLY_STATUS_LOST),
        (Kind.STATUS, Class.EXPLAINED, Rule.EARLY_STATUS_LOST),
    ]


async def test_a_status_that_php_ignores_although_the_message_was_there(
    shadowing: Shadowing,
) -> None:
    shadowing.tables.logs("w1", status="accepted", campaign_uid="c1", queue_status=4)
    assert await shadowing.shadow_them(*told(SENT)) == [
        (Kind.QUEUE_ROW, Class.EXTRA, None),
        (Kind.STATUS, Class.EXTRA, None),
    ]


async def test_a_webhook_that_was_dropped(
    shadowing: Shadowing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.shadow.recorder.STREAM_WEBHOOKS", 1)
    shadowing.tables.logs("w1", status="delivered")
    assert await shadowing.shadow_them(*told(SENT, DELIVERED)) == [
        (Kind.STATUS, Class.EXPLAINED, Rule.WEBHOOK_NOT_RECORDED)
    ]
    assert (await shadowing.parity()).dropped == 1
