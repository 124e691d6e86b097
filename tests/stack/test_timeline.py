"""The timeline of messages, with real PHP and MariaDB."""

import copy
from pathlib import Path

import aiohttp

from contracts import backend as contract
from sidecar.ops.timeline import Found, Step, find
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis
from simulator.backend.seed_bots import SeedBot
from tests.conftest import MakeSettings
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    RATE_ERROR,
    T0,
    accepted,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.talk import says, sends, sent
from tests.contract.under_test import Campaign, Vendor
from tests.sidecar.ops.test_found_in_inbox import receive, webhook
from tests.stack.hosts import another_application


async def _find(
    backend: LaravelBackend, redis: Redis, make_settings: MakeSettings, query: str
) -> Found:
    keys = {name: secret.decode() for name, secret in backend.keys.items()}
    php = make_backend(make_settings(backend_url=backend.base_url, signing_keys=keys))
    try:
        return await find(redis, php, query)
    finally:
        await php.close()


async def test_a_campaigns_message(
    backend: LaravelBackend,
    caller: Caller,
    campaign: Campaign,
    redis: Redis,
    make_settings: MakeSettings,
) -> None:
    """Put back once, then sent; its statuses coalesced and out of order, one still in the inbox."""
    uid, vendor = campaign.row_uids[0], campaign.vendor
    wamid = wamid_of(uid)
    await caller.claim(campaign, 1)
    await caller.report(
        result(campaign, uid, "requeue", at=now_ms() - 5000, due_at=1000, error=RATE_ERROR)
    )
    await caller.claim(campaign, 1, claim_uid="again")
    found = await _find(backend, redis, make_settings, uid)
    kinds = {Step.QUEUED, Step.CLAIMED, Step.REQUEUED}
    assert {event.kind for event in found.events} == kinds
    assert f"message {uid}: it is claimed, and being sent, after 1 retry" in found.where
    await caller.report(accepted(campaign, uid))
    soon = now_ms() // 1000 + 5
    read, first = status_object(wamid, "read", at=soon + 2), status_object(wamid, "sent", at=soon)
    await caller.process(status(vendor, read, (first,)))
    await caller.process(status(vendor, status_object(wamid, "delivered", at=soon + 1)))
    await receive(redis, 1000 * (soon + 3), webhook(wamid, "played"), v=vendor.uid)
    found = await _find(backend, redis, make_settings, wamid)
    assert (found.lost, found.notes) == ([], [])
    assert [(event.kind, event.at_ms) for event in found.events[-4:]] == [
        *((Step.STATUS, 1000 * (soon + after)) for after in range(3)),
        (Step.RECEIVED, 1000 * (soon + 3)),
    ]
    assert [event.text for event in found.events[-4:-1]] == ["sent", "delivered", "read"]
    before = [event.kind for event in found.events[:-4]]
    assert before == [Step.REQUEUED, Step.CLAIMED, Step.ACCEPTED, Step.RECORDED]


async def test_a_customers_message_and_its_reply(
    backend: LaravelBackend,
    caller: Caller,
    vendor: Vendor,
    redis: Redis,
    make_settings: MakeSettings,
) -> None:
    backend.seed_effects(vendor)
    [bot] = backend.seed_bots(vendor, SeedBot("is", "hi", "Hello."))
    number = f"9991{vendor.id:08}"
    [answer] = await caller.process(says(vendor, "hi", [(bot, "is")], sender=number))
    [reply] = sends(answer)
    await caller.report(sent(vendor, reply.id))
    found = await _find(backend, redis, make_settings, f"+{number}")
    assert {event.kind for event in found.events} == {
        Step.WRITTEN,
        Step.RECEIVED,
        Step.STORED,
        Step.REQUESTED,
        Step.ACCEPTED,
    }
    assert found.events[-1].kind is Step.ACCEPTED


async def test_without_the_setting_only_what_is_written_anyway_keeps_times(
    backend: LaravelBackend, vendor: Vendor, tmp_path: Path
) -> None:
    """A status of its own costs no more than its columns; an early one and a failure say when."""
    variables = {"WHATSAPP_SIDECAR_STATUS_TIMES": "false"}
    campaign = backend.seed_campaign(vendor, 3)
    read, early, failed = campaign.row_uids
    with another_application(backend, tmp_path, variables) as nginx:
        behind_it = copy.copy(backend)
        behind_it.base_url = nginx.internal_url
        async with aiohttp.ClientSession() as session:
            caller = Caller(behind_it, session)
            await caller.claim(campaign)
            await caller.report(accepted(campaign, read), accepted(campaign, failed))
            await caller.process(
                status(vendor, status_object(wamid_of(read), "read")),
                status(vendor, status_object(wamid_of(early), "sent", row_uid=early)),
                status(vendor, status_object(wamid_of(failed), "failed", code=131026)),
            )
            answer = await caller.call(contract.FIND, {"query": campaign.recipients[0]})
    kept = {
        row["wamid"]: row["__data"]["sidecar"].get("statuses")
        for row in backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    }
    assert kept == {
        wamid_of(read): None,
        wamid_of(early): {"sent": T0},
        wamid_of(failed): {"failed": T0},
    }
    assert answer["messages"][0]["messaged_at"] == 1000 * T0
