"""Shadow beside the embedded backend, whose own engine does the work: what is alike is equal, and a
rule that was changed on one side is found and named."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from sidecar.clock import now_ms
from sidecar.commands.parity_text import as_json, render
from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.shadow.rules import Class, Kind, Rule
from simulator.backend.seed_bots import SeedBot
from simulator.backend.stored_modes import MODES
from tests.conftest import MakeSettings
from tests.contract import payloads
from tests.contract.embedded import EmbeddedBackend
from tests.contract.payloads import message_object, status_object, wamid_of
from tests.contract.under_test import Vendor
from tests.workers.php import Answer, Call, Php
from tests.workers.shadowing import Clock, Shadowing

Json = dict[str, Any]
MODES_OF_SHADOW = {"webhooks": "shadow", "campaigns": "php", "bots": "shadow", "version": 1}


@pytest.fixture
def vendor(embedded: EmbeddedBackend) -> Vendor:
    vendor = embedded.seed_vendor()
    embedded.set_setting(vendor, MODES, orjson.dumps(MODES_OF_SHADOW).decode())
    return vendor


@pytest.fixture
async def shadowing(
    make_settings: MakeSettings,
    redis: Redis,
    real_php: Php,
    real_backend: Backend,
    vendor: Vendor,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Shadowing]:
    # In the past, for it runs ahead: what is found tomorrow would not be read today.
    clock = Clock(now_ms() - 6 * 3_600_000)
    monkeypatch.setattr("workers.shadow.work.now_ms", clock)
    settings = make_settings(parity_min_updates=3, parity_min_hours=0)
    one = Shadowing(settings, redis, real_php, real_backend, clock, vendor.uid)
    yield one
    await one.close()


def webhook(vendor: Vendor, **lists: Any) -> Json:
    return payloads.envelope(vendor, "messages", payloads.messaging(vendor, **lists))


def says(vendor: Vendor, text: str, wamid: str) -> Json:
    update = message_object(wamid, "999700000001", text={"body": text})
    return webhook(vendor, contacts=[{"wa_id": "999700000001"}], messages=[update])


async def arrives(shadowing: Shadowing, vendor: Vendor, body: Json) -> None:
    """Have PHP handle a webhook as its own routine does, which takes one element; and note it."""
    value = body["entry"][0]["changes"][0]["value"]
    name, kind = ("statuses", "status") if "statuses" in value else ("messages", "message")
    alone = webhook(vendor, **{**value, name: value[name][:1]})
    update = payloads.update(vendor, kind, alone)
    await shadowing._backend.call(
        contract.PROCESS_WEBHOOKS,
        contract.ProcessWebhooksRequest.model_validate({"updates": [update]}),
        contract.ProcessWebhooksAnswer,
    )
    await shadowing.record(orjson.dumps(body))
    await shadowing.take_on()
    await shadowing.look()


def change_rule(php: Php, was: str, becomes: str) -> None:
    """Have PHP tell of its bots something else than its own engine goes by."""

    async def rule(call: Call) -> Answer:
        told = await php._forward(call)
        assert was.encode() in told.content
        return Answer(told.status, told.content.replace(was.encode(), becomes.encode()))

    php.when(contract.BOTS, rule)


async def talk(shadowing: Shadowing, vendor: Vendor) -> None:
    """Three customers' messages; and let PHP's time pass."""
    for number, text in enumerate(("Hello", "What is the price?", "Goodbye")):
        await arrives(shadowing, vendor, says(vendor, text, f"wamid.{number}"))
    await shadowing.pass_time(320)


async def test_what_is_alike_is_equal(
    shadowing: Shadowing, embedded: EmbeddedBackend, vendor: Vendor
) -> None:
    embedded.seed_bots(vendor, SeedBot("is", "hello", "Hi!"), SeedBot("contains", "price", "9"))
    await talk(shadowing, vendor)
    assert await shadowing.found() == [
        *[(Kind.BOTS, Class.EQUAL, None)] * 3,
        *[(Kind.LOG_ROW, Class.EQUAL, None)] * 3,
    ]
    assert render(await shadowing.parity(), shadowing.settings).startswith(f"{vendor.uid}: ready\n")


async def test_a_bot_rule_that_differs_is_found_and_named(
    shadowing: Shadowing, embedded: EmbeddedBackend, vendor: Vendor, real_php: Php
) -> None:
    hello, price = embedded.seed_bots(
        vendor, SeedBot("is", "hello", "Hi!"), SeedBot("contains", "price", "9")
    )
    change_rule(real_php, "price", "goodbye")
    await talk(shadowing, vendor)
    assert await shadowing.found() == [
        (Kind.BOTS, Class.EQUAL, None),
        (Kind.BOTS, Class.EXTRA, None),
        (Kind.BOTS, Class.MISSING, None),
        *[(Kind.LOG_ROW, Class.EQUAL, None)] * 3,
    ]
    page = render(await shadowing.parity(), shadowing.settings)
    assert page.startswith(
        f"{vendor.uid}: not ready: no rule explains 1 of bots extra, 1 of bots missing\n"
    )
    assert "bots missing (1): PHP did it, and the sidecar would not" in page
    assert f"the sidecar answers with no bot, PHP answered with {price} (?)" in page
    assert f"only the sidecar: {price}" in page
    assert f"only PHP: {price}" in page
    assert hello not in page
    assert (
        "price?"
        not in page + orjson.dumps(as_json(await shadowing.parity(), shadowing.settings)).decode()
    )


async def test_welcome_bots_are_left_to_php(
    shadowing: Shadowing, embedded: EmbeddedBackend, vendor: Vendor
) -> None:
    """PHP's own engine here knows no welcome bots, which is a difference; of a second message it is
    none."""
    embedded.seed_bots(vendor, SeedBot("welcome", None, "Welcome!"))
    await talk(shadowing, vendor)
    found = await shadowing.found()
    assert found.count((Kind.BOTS, Class.EXTRA, None)) == 1
    assert found.count((Kind.BOTS, Class.EXPLAINED, Rule.WELCOME_NEEDS_FIRST_MESSAGE)) == 2


async def test_a_number_that_is_not_the_vendors(
    shadowing: Shadowing, vendor: Vendor, embedded: EmbeddedBackend
) -> None:
    body = says(vendor, "Hello", "wamid.1")
    body["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "1"
    await shadowing.record(orjson.dumps(body))
    await shadowing.take_on()
    await shadowing.pass_time(320)
    assert await shadowing.found() == [(Kind.LOG_ROW, Class.EXPLAINED, Rule.PHONE_NUMBER_UNKNOWN)]


async def test_statuses_of_a_campaign(
    shadowing: Shadowing, vendor: Vendor, embedded: EmbeddedBackend
) -> None:
    """A batch: PHP takes the first status, and the second one is lost."""
    campaign = embedded.seed_campaign(vendor, 2)
    results = [payloads.accepted(campaign, uid) for uid in campaign.row_uids]
    await shadowing._backend.call(
        contract.UPDATE_MESSAGE_STATUSES,
        contract.UpdateMessageStatusesRequest.model_validate({"results": results}),
        contract.UpdateMessageStatusesAnswer,
    )
    batch = [status_object(wamid_of(uid), "sent", row_uid=uid) for uid in campaign.row_uids]
    await arrives(shadowing, vendor, webhook(vendor, statuses=batch))
    await shadowing.pass_time(320)
    assert await shadowing.found() == [
        (Kind.QUEUE_ROW, Class.EQUAL, None),
        (Kind.QUEUE_ROW, Class.EXPLAINED, Rule.ONLY_FIRST_ELEMENT),
        (Kind.STATUS, Class.EQUAL, None),
        (Kind.STATUS, Class.EXPLAINED, Rule.ONLY_FIRST_ELEMENT),
    ]
