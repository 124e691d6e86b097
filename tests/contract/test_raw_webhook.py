"""``process-webhook``: one raw webhook, whatever its bytes are."""

import time

import orjson
import pytest

from contracts import backend as contract
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from tests.contract.caller import Caller
from tests.contract.payloads import accepted, message_object, messaging, status_object, wamid_of
from tests.contract.under_test import Campaign, Vendor

SENDER = "999700000001"


async def test_every_update_of_a_webhook_is_applied(caller: Caller, campaign: Campaign) -> None:
    vendor = campaign.vendor
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    first, second, third = (wamid_of(uid) for uid in campaign.row_uids)
    webhook = {
        "entry": [
            {
                "changes": [
                    {
                        "field": "messages",
                        "value": messaging(
                            vendor,
                            contacts=[{"wa_id": "9991"}, {"wa_id": "9992"}],
                            messages=[message_object("m1", "9991"), message_object("m2", "9992")],
                            statuses=[status_object(first, "sent")],
                        ),
                    },
                    {
                        "field": "messages",
                        "value": messaging(vendor, statuses=[status_object(second, "read")]),
                    },
                ]
            },
            {
                "changes": [
                    {
                        "field": "messages",
                        "value": messaging(vendor, statuses=[status_object(third, "failed")]),
                    }
                ]
            },
        ],
        "object": "whatsapp_business_account",
    }
    body = orjson.dumps(webhook, option=orjson.OPT_INDENT_2)
    for _ in range(2):
        assert (await caller.process_raw(vendor, body)).result == "done"
        logs = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
        assert [log["status"] for log in logs[:3]] == ["sent", "read", "failed"]
        assert [log["wamid"] for log in logs[3:]] == ["m1", "m2"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"hello",
        b"null",
        b"[]",
        b'{"object": "page"}',
        b'{"entry": {}}',
        b'{"entry": []}',
        b'{"entry": [{"changes": []}]}',
    ],
)
async def test_another_shape_is_ignored_with_a_reason(
    caller: Caller, vendor: Vendor, body: bytes
) -> None:
    answer = await caller.process_raw(vendor, body)
    assert answer.result == "ignored"
    assert answer.reason
    assert caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id) == []


async def test_metas_signature_comes_along(caller: Caller, vendor: Vendor) -> None:
    path = contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid)
    body = b"hello"
    headers = {SIGNATURE_HEADER: sign(vendor.app_secret.encode(), body)}
    assert (await caller.signed(path, body, headers)).status == 200


async def test_an_unknown_vendor_is_404(caller: Caller) -> None:
    path = contract.PROCESS_WEBHOOK.format(vendor_uid="nobody")
    answer = await caller.signed(path, b"{}")
    assert (answer.status, answer.code) == (404, contract.ErrorCode.VENDOR_UNKNOWN)


async def test_a_young_status_of_an_unknown_message_is_asked_for_again(
    caller: Caller, vendor: Vendor
) -> None:
    now = int(time.time())
    for age_s, result in ((60, "retry"), (11 * 60, "ignored")):
        value = messaging(vendor, statuses=[status_object("nothing", "sent", at=now - age_s)])
        webhook = {"entry": [{"changes": [{"field": "messages", "value": value}]}]}
        answer = await caller.process_raw(vendor, orjson.dumps(webhook))
        assert (answer.result, answer.reason) == (result, "message_unknown")


async def test_one_update_that_has_to_come_again_asks_for_all(
    caller: Caller, vendor: Vendor
) -> None:
    """The others are not done twice."""
    value = messaging(
        vendor,
        messages=[message_object("m", SENDER)],
        statuses=[status_object("nothing", "sent", at=int(time.time()))],
    )
    webhook = {"entry": [{"changes": [{"field": "messages", "value": value}]}]}
    for _ in range(2):
        assert (await caller.process_raw(vendor, orjson.dumps(webhook))).result == "retry"
        assert len(caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 1


async def test_an_inactive_vendor_is_ignored(caller: Caller, vendor: Vendor) -> None:
    caller.backend.change("vendors", {"status": 0}, _id=vendor.id)
    value = messaging(vendor, messages=[message_object("m", SENDER)])
    webhook = {"entry": [{"changes": [{"field": "messages", "value": value}]}]}
    answer = await caller.process_raw(vendor, orjson.dumps(webhook))
    assert answer.result == "ignored"
    assert caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id) == []
