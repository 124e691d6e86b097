"""How many SQL statements a batch takes: as many for a large one as for a small one."""

from collections.abc import Awaitable, Callable
from functools import partial

from contracts.backend import (
    PENDING_WEBHOOKS,
    RESOLVE_MESSAGES,
    STORE_WEBHOOKS,
    QueueStatus,
)
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import accepted, failed, result, status, status_object, wamid_of
from tests.contract.under_test import Campaign, Vendor

#: The statements that a connection begins with, which every call of PHP's makes anew.
CONNECT = 2


async def _statements(backend: LaravelBackend, call: Callable[[], Awaitable[object]]) -> int:
    before = backend.database.statements()
    await call()
    return backend.database.statements() - before


async def test_a_claim(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    campaign = backend.seed_campaign(vendor, 300)
    small = await _statements(backend, lambda: caller.claim(campaign, 5, fence=1))
    large = await _statements(backend, lambda: caller.claim(campaign, 250, fence=2))
    assert large == small
    assert large <= CONNECT + 12


async def _claimed(caller: Caller, vendor: Vendor, messages: int) -> Campaign:
    campaign = caller.backend.seed_campaign(vendor, messages)
    await caller.claim(campaign, messages)
    return campaign


async def test_results(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    counts = []
    for messages in (4, 250):
        campaign = await _claimed(caller, vendor, messages)
        reports = [
            failed(campaign, uid)
            if position % 4 == 1
            else result(campaign, uid, "unknown")
            if position % 4 == 2
            else accepted(campaign, uid, wa_id=f"9{campaign.id}{position}")
            for position, uid in enumerate(campaign.row_uids)
        ]
        counts.append(await _statements(backend, partial(caller.report, *reports)))
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 12


async def test_statuses(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """First and later statuses, early ones, and failures: of all kinds in one batch."""
    backend.set_setting(vendor, "enable_requeue_healthy_error_msg", "1")
    counts = []
    for messages in (4, 1000):
        campaign = await _claimed(caller, vendor, messages)
        early = {uid for position, uid in enumerate(campaign.row_uids) if position % 4 == 3}
        await caller.report(*(accepted(campaign, u) for u in campaign.row_uids if u not in early))
        updates = []
        for position, uid in enumerate(campaign.row_uids):
            name = "failed" if position % 4 == 1 else "delivered"
            code = 131049 if name == "failed" else None
            item = status_object(wamid_of(uid), name, row_uid=uid, code=code)
            updates.append(status(vendor, item))
        counts.append(await _statements(backend, partial(caller.process, *updates)))
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 14


async def test_taking_over_webhooks(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Both halves of it in one call: what was taken goes, and the next page comes."""
    backend.delete("whatsapp_webhook_queue")
    webhook = {"vendor_uid": vendor.uid, "received_at": 0, "headers": {}, "body": "{}"}
    counts = []
    for size in (2, 500):
        batch = [{"id": f"counted-{size}-{n}", **webhook} for n in range(2 * size)]
        await caller.call(STORE_WEBHOOKS, {"webhooks": batch})
        page = await caller.call(PENDING_WEBHOOKS, {"limit": size})
        taken = [one["uid"] for one in page["webhooks"]]
        request = {"limit": size, "taken": taken}
        counts.append(await _statements(backend, partial(caller.call, PENDING_WEBHOOKS, request)))
        assert len(backend.rows("whatsapp_webhook_queue")) == size
        backend.delete("whatsapp_webhook_queue")
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 8


async def test_resolving_messages_of_unknown_outcome(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    counts = []
    for messages in (4, 500):
        campaign = await _claimed(caller, vendor, messages)
        await caller.report(*(result(campaign, uid, "unknown") for uid in campaign.row_uids))
        for action, uids in (
            ("resend", campaign.row_uids[::2]),
            ("give_up", campaign.row_uids[1::2]),
        ):
            request = {"row_uids": list(uids), "action": action}
            counts.append(
                await _statements(backend, partial(caller.call, RESOLVE_MESSAGES, request))
            )
        left = backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
        assert {row["status"] for row in left} == {QueueStatus.QUEUED, QueueStatus.ERROR}
    assert len(set(counts)) == 1
    assert counts[0] <= CONNECT + 6
