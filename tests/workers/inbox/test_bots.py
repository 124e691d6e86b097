"""Bots on customers' messages: attached before PHP gets them, from memory, and never waited for."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.backend import UpdateKind
from contracts.jobs import Lane
from sidecar.bots.cache import Bots
from sidecar.bots.matcher import LONGEST
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.php.vendors import Vendors
from sidecar.redis.client import Redis
from simulator.backend.seed_bots import SeedBot
from tests.conftest import MakeSettings
from tests.contract.embedded import EmbeddedBackend
from tests.eventually import eventually
from tests.workers.lane import put
from tests.workers.payloads import VENDOR, make_update, message, webhook
from tests.workers.php import Answer, Call, Php, answer, hang, results, running, wanting_again
from workers.inbox.bots import Matching
from workers.inbox.delivery import Delivery
from workers.inbox.update import Update
from workers.runtime import Runtime

Json = dict[str, Any]
HELLO = {"bot_uid": "b1", "trigger_type": "is", "trigger": "hello"}
ANYTHING = {"bot_uid": "b2", "trigger_type": "welcome", "trigger": None}
#: So long PHP may take here; it does not.
PATIENCE_S = 10.0
#: So long it may take where it hangs.
WAIT_S = 0.2


def knows(php: Php, *vendor_uids: str, on_sidecar: bool = True) -> None:
    """Have PHP tell of vendors, each with a welcome bot and one that answers to hello."""

    def config(call: Call) -> Answer:
        mine = [uid for uid in call.json["vendor_uids"] if uid in vendor_uids]
        return answer(
            {"vendors": [{"vendor_uid": uid, "bots_on_sidecar": on_sidecar} for uid in mine]}
        )

    def bots(call: Call) -> Answer:
        triggers = [("b1", "is", "hello"), ("b2", "welcome", None)]
        bots = [
            {"bot_uid": uid, "trigger_type": kind, "reply_trigger": trigger}
            for uid, kind, trigger in triggers
        ]
        mine = [uid for uid in call.json["vendor_uids"] if uid in vendor_uids]
        return answer({"vendors": [{"vendor_uid": uid, "bots": bots} for uid in mine]})

    php.when(contract.VENDOR_CONFIG, config)
    php.when(contract.BOTS, bots)


def text(body: str = "hello", vendor_uid: str = VENDOR, **more: Any) -> Update:
    """Return a customer's message on its way."""
    one = message(**{"type": "text", "text": {"body": body}, **more})
    return make_update(parts=(b"", webhook(messages=[one]), b""), vendor_uid=vendor_uid)


@pytest.fixture
async def matching(backend: Backend) -> AsyncIterator[Matching]:
    vendors = Vendors(backend, ttl_s=60, unknown_ttl_s=10)
    bots = Bots(backend, ttl_s=60, unknown_ttl_s=10)
    yield Matching(vendors, bots, wait_s=PATIENCE_S)
    await bots.close()
    await vendors.close()


def attached(one: Update) -> list[Json] | None:
    update: Json = orjson.loads(one.as_update())
    matches: list[Json] | None = update["bots"]["matches"] if "bots" in update else None
    return matches


async def test_messages_get_their_bots(matching: Matching, php: Php) -> None:
    knows(php, VENDOR, "other")
    updates = [text(), text("bye"), text("hello", "other"), text(type="image", image={})]
    await matching.attach(updates)
    assert [attached(one) for one in updates] == [
        [HELLO, ANYTHING],
        [ANYTHING],
        [HELLO, ANYTHING],
        [ANYTHING],
    ]
    await matching.attach([text()])
    assert [call.path for call in php.calls] == [contract.VENDOR_CONFIG, contract.BOTS]


async def test_what_is_no_message_of_a_customers(matching: Matching, php: Php) -> None:
    knows(php, VENDOR)
    kinds = [UpdateKind.STATUS, UpdateKind.ECHO, UpdateKind.CHANGE, None]
    unanswered = ("reaction", "system", "edit", "revoke", "unsupported", "of_tomorrow")
    updates = [
        *(make_update(kind) for kind in kinds),
        *(text(type=kind) for kind in unanswered),
        text(group_id="g"),
    ]
    await matching.attach(updates)
    assert all(one.bots is None for one in updates)
    assert php.calls == []


async def test_vendors_whose_bots_php_matches(matching: Matching, php: Php) -> None:
    knows(php, VENDOR, on_sidecar=False)
    updates = [text(), text(vendor_uid="nobody")]
    await matching.attach(updates)
    assert [attached(one) for one in updates] == [None, None]
    assert php.to(contract.BOTS) == []


async def test_a_very_long_message_gets_its_bots_too(matching: Matching, php: Php) -> None:
    """In a thread."""
    knows(php, VENDOR)
    one = text(" " * LONGEST + "hello")
    short = text("hello")
    await matching.attach([short])
    await matching.attach([one])
    assert attached(one) == attached(short) != []


async def test_bots_are_found_once(matching: Matching, php: Php) -> None:
    knows(php, VENDOR)
    one = text()
    await matching.attach([one])
    before = one.bots
    await matching.attach([one])
    assert one.bots is before


async def test_bots_are_not_kept(matching: Matching, php: Php) -> None:
    knows(php, VENDOR)
    one = text()
    await matching.attach([one])
    assert b"bots" not in one.dump()
    assert Update.load(one.dump()).bots is None


# -- what PHP does not say --


@pytest.mark.parametrize("path", [contract.VENDOR_CONFIG, contract.BOTS])
async def test_a_php_that_hangs(
    matching: Matching, php: Php, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch waits a little; from then on none does."""
    monkeypatch.setattr(matching, "_wait_s", WAIT_S)
    monkeypatch.setattr("workers.inbox.bots.IMPATIENT_S", 3600.0)
    knows(php, VENDOR, *(f"v{number}" for number in range(100)))
    hanging = php.when(path, hang)
    first = [text(vendor_uid=f"v{number}") for number in range(20)]
    began = time.monotonic()
    await matching.attach(first)
    assert WAIT_S <= time.monotonic() - began < len(first) * WAIT_S, "not a wait for each"
    assert all(one.bots is None for one in first)

    began = time.monotonic()
    for number in range(20, 100):
        await matching.attach([text(vendor_uid=f"v{number}")])
    assert time.monotonic() - began < 80 * WAIT_S, "not a wait for each"
    php.forget(hanging)


async def test_an_answer_that_comes_late_is_for_the_next(
    matching: Matching, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "_wait_s", 0.01)
    gate = asyncio.Event()

    async def wait(call: Call) -> None:
        await gate.wait()

    knows(php, VENDOR)
    php.when(contract.VENDOR_CONFIG, wait)
    late = text()
    await matching.attach([late])
    gate.set()

    async def known() -> bool:
        one = text()
        await matching.attach([one])
        return attached(one) == [HELLO, ANYTHING]

    await eventually(known)
    assert late.bots is None
    assert len(php.to(contract.VENDOR_CONFIG)) == 1


async def test_a_php_that_fails(matching: Matching, php: Php) -> None:
    knows(php, VENDOR)
    php.always(contract.BOTS, Answer(500))
    updates = [text(), text(vendor_uid="nobody")]
    with capture_logs() as logs:
        await matching.attach(updates)
    assert [one.bots for one in updates] == [None, None]
    assert [line["event"] for line in logs] == ["bots.unavailable"]


async def test_a_fault_of_ours(
    matching: Matching, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def match(self, text: str, at: object) -> None:
            raise ZeroDivisionError

    knows(php, VENDOR)
    await matching.attach([text()])
    monkeypatch.setattr(matching._bots, "peek", lambda _vendor_uid: (True, Broken()))
    updates = [text(), text()]
    with capture_logs() as logs:
        await matching.attach(updates)
    assert [one.bots for one in updates] == [None, None]
    assert [line["event"] for line in logs] == ["bots.not_matched"] * 2


async def test_a_drain_that_ends_while_messages_wait(
    matching: Matching, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "_wait_s", 60)
    hanging = php.when(contract.VENDOR_CONFIG, hang)
    attaching = asyncio.create_task(matching.attach([text()]))
    await eventually(lambda: php.calls)
    attaching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attaching
    left = [task.get_coro() for task in asyncio.all_tasks()]
    assert [one for one in left if "Matching" in str(one)] == []
    php.forget(hanging)


# -- on the way --


async def test_the_delivery_hands_them_over(matching: Matching, backend: Backend, php: Php) -> None:
    knows(php, VENDOR)
    delivery = Delivery(backend, Breaker("ill"), matching)
    updates = [text("bye"), *(text() for _ in range(5))]
    await delivery.deliver(updates, batch_size=3, concurrency=2)
    await delivery.deliver_isolated(VENDOR, [text()], batch_size=3)
    assert len(php.batches) > 2
    given = {update["id"]: update.get("bots") for batch in php.batches for update in batch}
    assert given.pop(updates[0].id) == {"matches": [ANYTHING]}
    assert list(given.values()) == [{"matches": [HELLO, ANYTHING]}] * 6


async def test_a_request_that_is_halved_keeps_them(
    matching: Matching, backend: Backend, php: Php
) -> None:
    knows(php, VENDOR)
    php.when(
        contract.PROCESS_WEBHOOKS,
        lambda call: Answer(500) if len(call.json["updates"]) > 1 else results(call),
    )
    delivery = Delivery(backend, Breaker("ill"), matching)
    await delivery.deliver_isolated(VENDOR, [text() for _ in range(4)], batch_size=4)
    assert len(php.batches) == 7
    for batch in php.batches:
        assert all(update["bots"] == {"matches": [HELLO, ANYTHING]} for update in batch)


async def test_a_worker_hands_them_over(
    php: Php, redis: Redis, redis_url: str, make_settings: MakeSettings
) -> None:
    """Also those that PHP wants again, with the bots of then."""
    knows(php, VENDOR)
    again = php.when(contract.PROCESS_WEBHOOKS, wanting_again("wamid.again"))
    settings = make_settings(backend_url=php.url, update_retry_first_ms=10)
    runtime = Runtime(settings, redis_url)
    try:
        one = message(wamid="wamid.again", type="text", text={"body": "hello"})
        await put(redis, Lane.MESSAGES, webhook(messages=[one]))
        await runtime.drain(Lane.MESSAGES)
        php.forget(again)

        async def handed_over() -> bool:
            await runtime.drain(Lane.MESSAGES)
            return any(update["attempt"] > 1 for batch in php.batches for update in batch)

        await eventually(handed_over)
    finally:
        await runtime.close()
    for batch in php.batches:
        assert [update["bots"] for update in batch] == [{"matches": [HELLO, ANYTHING]}]


async def test_with_a_backend(
    embedded: EmbeddedBackend, redis: Redis, redis_url: str, make_settings: MakeSettings
) -> None:
    """From the rows of a vendor's bots to the answer that PHP has stored."""
    vendor = embedded.seed_vendor()
    embedded.seed_effects(vendor)
    other, best = embedded.seed_bots(
        vendor,
        SeedBot("contains", "shoes, socks", "We have some.", priority=2),
        SeedBot("starts_with", "Red", "Red it is."),
    )
    async with running(embedded.base_url) as php:
        runtime = Runtime(make_settings(backend_url=php.url), redis_url)
        try:
            one = message(type="text", text={"body": "red SOCKS?"})
            lists = {"metadata": {"phone_number_id": vendor.phone_number_ids[0]}, "messages": [one]}
            await put(redis, Lane.MESSAGES, webhook(**lists), vendor=vendor.uid)
            await runtime.drain(Lane.MESSAGES)
        finally:
            await runtime.close()
        [[update]] = php.batches
    assert [match["bot_uid"] for match in update["bots"]["matches"]] == [best, other]
    assert [match["trigger"] for match in update["bots"]["matches"]] == ["red", "socks"]
