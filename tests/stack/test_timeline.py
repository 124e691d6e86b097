"""The timeline of messages, with real PHP and MariaDB."""

from sidecar.ops.timeline import Found, Step, find
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis
from simulator.backend.seed_bots import SeedBot
from tests.conftest import MakeSettings
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    RATE_ERROR,
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
