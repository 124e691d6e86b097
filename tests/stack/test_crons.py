"""The reference application's own crons, which serve the vendors that are not on the sidecar."""

from typing import Any

import orjson
import pytest

from contracts.backend import OBSERVE, QueueStatus
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    T0,
    envelope,
    message_object,
    messaging,
    now_ms,
    status_object,
    to_ms,
    to_text,
)
from tests.contract.switching import switch
from tests.contract.talk import CUSTOMER, contact
from tests.contract.under_test import Campaign, Row, Vendor
from tests.stack.cloud_api import CloudApi

QUEUE = "whatsapp_message_queue"
LOGS = "whatsapp_message_logs"
WEBHOOKS = "whatsapp_webhook_queue"
LONG_AGO = "2001-01-01 00:00:00"

pytestmark = pytest.mark.usefixtures("nothing_due")


@pytest.fixture
async def php(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> Vendor:
    """A vendor whom PHP serves, on an installation whose other vendors are the sidecar's."""
    await switch(caller, vendor, webhooks="php", campaigns="php")
    return vendor


def _run(backend: LaravelBackend, api: CloudApi, command: str) -> None:
    done = backend.installation.application.artisan(command, WHATSAPP_API_URL=api.url)
    assert done.returncode == 0, done.stdout + done.stderr


def _rows(backend: LaravelBackend, campaign: Campaign) -> list[Row]:
    return backend.rows(QUEUE, campaigns__id=campaign.id)


# -- campaigns -----------------------------------------------------------------------------------


def test_due_rows_are_sent(backend: LaravelBackend, php: Vendor, api: CloudApi) -> None:
    campaign = backend.seed_campaign(php, 3)
    later = backend.seed_campaign(php, 1, scheduled_at=now_ms() + 3_600_000)
    others = backend.seed_campaign(backend.seed_vendor(), 2)
    _run(backend, api, "campaign:send")
    assert [row["status"] for row in _rows(backend, campaign)] == [4, 4, 4]
    assert [row["status"] for row in _rows(backend, later)] == [1]
    assert [row["status"] for row in _rows(backend, others)] == [1, 1]
    assert {message["to"] for message in api.messages} == set(campaign.recipients)
    assert {request.path for request in api.requests} == {
        f"/v26.0/{php.phone_number_ids[0]}/messages"
    }
    assert {request.headers["Authorization"] for request in api.requests} == {
        f"Bearer {php.access_token}"
    }
    frozen = {row["phone_with_country_code"]: row["__data"] for row in _rows(backend, campaign)}
    for message in api.messages:
        assert "biz_opaque_callback_data" not in message
        data = frozen[message["to"]]["campaign_data"]
        assert message["template"]["name"] == data["whatsAppTemplateName"]
        assert message["template"]["components"] == data["messageComponents"]
    logs = backend.rows(LOGS, campaigns__id=campaign.id)
    assert {log["wamid"] for log in logs} == {"wamid.1", "wamid.2", "wamid.3"}
    assert {(log["status"], log["is_incoming_message"]) for log in logs} == {("accepted", 0)}
    assert {log["contacts__id"] for log in logs} == {
        row["contacts__id"] for row in _rows(backend, campaign)
    }


def test_a_pool_of_50_after_the_other(backend: LaravelBackend, php: Vendor, api: CloudApi) -> None:
    campaign = backend.seed_campaign(php, 70)
    _run(backend, api, "campaign:send")
    statuses = [row["status"] for row in _rows(backend, campaign)]
    assert (statuses[:60], statuses[60:]) == ([4] * 60, [1] * 10)
    assert len(api.requests) == 60
    last, next_pool = sorted(api.times)[49:51]
    assert next_pool - last >= 1


def test_what_the_api_answers_is_kept(backend: LaravelBackend, php: Vendor, api: CloudApi) -> None:
    """The contact's number, which is another one than was asked for; and a status that is cut."""
    campaign = backend.seed_campaign(php, 1, from_phone_number_id="777")
    held = {"id": "wamid.x", "message_status": "held_for_quality_assessment"}
    api.answer = {"contacts": [{"wa_id": "99912345"}], "messages": [held]}
    _run(backend, api, "campaign:send")
    assert [request.path for request in api.requests] == ["/v26.0/777/messages"]
    (log,) = backend.rows(LOGS, campaigns__id=campaign.id)
    assert (log["status"], log["contact_wa_id"]) == ("held_for_q", "99912345")
    assert log["wab_phone_number_id"] == "777"
    kept = ("contact_data", "template_proforma", "template_components", "template_component_values")
    assert set(log["__data"]) == {"initial_response", *kept}
    assert log["__data"]["initial_response"] == api.answer
    (row,) = _rows(backend, campaign)
    assert backend.rows("contacts", _id=row["contacts__id"])[0]["wa_id"] == "99912345"


@pytest.mark.parametrize(
    ("status", "code", "retries", "becomes"),
    [(400, 130429, 2, 1), (400, 130429, 5, 2), (400, 131026, 0, 2), (500, None, 0, 2)],
)
def test_what_the_api_refuses(
    backend: LaravelBackend,
    php: Vendor,
    api: CloudApi,
    status: int,
    code: int | None,
    retries: int,
    becomes: int,
) -> None:
    campaign = backend.seed_campaign(php, 1)
    backend.change(QUEUE, {"retries": retries}, campaigns__id=campaign.id)
    api.status, api.answer = status, {"error": {"code": code, "message": "No."}}
    before = now_ms()
    _run(backend, api, "campaign:send")
    (row,) = _rows(backend, campaign)
    assert row["status"] == becomes
    assert row["__data"]["process_response"]["error_message"] == "No."
    if becomes == 1:
        assert row["retries"] == retries + 1
        assert 175_000 < to_ms(row["scheduled_at"]) - before < 190_000
    assert backend.rows(LOGS, campaigns__id=campaign.id) == []


def test_nobody_answers(backend: LaravelBackend, php: Vendor, api: CloudApi) -> None:
    campaign = backend.seed_campaign(php, 1)
    api.url = "http://127.0.0.1:9/v26.0"
    _run(backend, api, "campaign:send")
    (row,) = _rows(backend, campaign)
    assert (row["status"], row["retries"]) == (1, 1)


def test_rows_that_are_too_old(backend: LaravelBackend, php: Vendor, api: CloudApi) -> None:
    """In 3 for more than five minutes, or expired."""
    stale = backend.seed_campaign(php, 2)
    for uid, age_s in zip(stale.row_uids, (310, 200), strict=True):
        since = to_text(now_ms() // 1000 - age_s)
        values = {"status": QueueStatus.PROCESSING, "updated_at": since}
        backend.change(QUEUE, {**values, "__data.expiry_at": LONG_AGO}, _uid=uid)
    expired = backend.seed_campaign(php, 1, expiry_at=now_ms() - 5000)
    forever = backend.seed_campaign(php, 1, expiry_at=now_ms() + 3_600_000)
    _run(backend, api, "campaign:send")
    assert [row["status"] for row in _rows(backend, stale)] == [6, 3]
    assert [row["status"] for row in _rows(backend, expired)] == [5]
    assert [row["status"] for row in _rows(backend, forever)] == [4]


# -- webhooks ------------------------------------------------------------------------------------


async def _post(caller: Caller, vendor: Vendor, **lists: Any) -> None:
    """Post a webhook to PHP's own route, as nginx does."""
    body = orjson.dumps(envelope(vendor, "messages", messaging(vendor, **lists)))
    signed = {SIGNATURE_HEADER: sign(vendor.app_secret.encode(), body)}
    answer = await caller.raw(f"/whatsapp-webhook/{vendor.uid}", body, signed)
    assert answer.status == 200


async def test_a_status_finds_its_message(
    caller: Caller, backend: LaravelBackend, php: Vendor, api: CloudApi
) -> None:
    campaign = backend.seed_campaign(php, 2)
    _run(backend, api, "campaign:send")
    first, second = backend.rows(LOGS, campaigns__id=campaign.id)
    at_once = [status_object(log["wamid"], "delivered") for log in (first, second)]
    await _post(caller, php, statuses=at_once)
    await _post(caller, php, statuses=[status_object("wamid.unknown", "sent")])
    _run(backend, api, "webhook:process")
    assert backend.rows(WEBHOOKS) == []
    (log, other) = backend.rows(LOGS, campaigns__id=campaign.id)
    assert (log["status"], other["status"]) == ("delivered", "accepted"), "the first one alone"
    assert log["messaged_at"] is not None
    assert [row["contacts__id"] for row in _rows(backend, campaign)] == [other["contacts__id"]]
    for name in ("sent", "read", "delivered"):
        await _post(caller, php, statuses=[status_object(log["wamid"], name)])
        _run(backend, api, "webhook:process")
    assert backend.rows(LOGS, _id=log["_id"])[0]["status"] == "read"


async def test_a_message_that_is_to_be_sent_again(
    caller: Caller, backend: LaravelBackend, php: Vendor, api: CloudApi
) -> None:
    backend.set_setting(php, "enable_requeue_healthy_error_msg", "1")
    campaign = backend.seed_campaign(php, 1)
    _run(backend, api, "campaign:send")
    (log,) = backend.rows(LOGS, campaigns__id=campaign.id)
    await _post(caller, php, statuses=[status_object(log["wamid"], "failed", code=131049)])
    before = now_ms()
    _run(backend, api, "webhook:process")
    (row,) = _rows(backend, campaign)
    assert (row["status"], row["retries"]) == (1, 1)
    assert 3_500_000 < to_ms(row["scheduled_at"]) - before < 3_700_000
    assert backend.rows(LOGS, campaigns__id=campaign.id) == []


async def test_a_customer_is_answered_by_bots(
    caller: Caller, backend: LaravelBackend, php: Vendor, api: CloudApi
) -> None:
    hello, stop, _ = backend.seed_bots(
        php,
        SeedBot("welcome", None, "Hi!"),
        SeedBot("stop_promotional", "stop, halt"),
        SeedBot("is", "open", "At nine."),
    )
    for wamid in ("w.1", "w.1", "w.2"):
        await _post(
            caller,
            php,
            messages=[message_object(wamid, CUSTOMER, text={"body": " Halt"})],
            contacts=[{"wa_id": CUSTOMER, "profile": {"name": "Ada Stone"}}],
        )
    _run(backend, api, "webhook:process")
    assert backend.rows(WEBHOOKS) == []
    person = contact(caller, php)
    assert (person["wa_id"], person["first_name"]) == (CUSTOMER, "Ada")
    assert person["whatsapp_opt_out"] == 1
    assert [message["text"]["body"] for message in api.messages] == ["Hi!"]
    said = backend.rows(LOGS, vendors__id=php.id)
    assert [(log["is_incoming_message"], log["wamid"], log["message"]) for log in said] == [
        (1, "w.1", " Halt"),
        (0, "wamid.1", "Hi!"),
        (1, "w.2", " Halt"),
    ]
    assert to_ms(said[0]["messaged_at"]) == T0 * 1000
    asked = [{"vendor_uid": php.uid, "wamid": wamid} for wamid in ("w.1", "w.2")]
    found = (await caller.call(OBSERVE, {"messages": asked}))["messages"]
    assert [one["bots"] for one in found] == [[hello, stop], [stop]]
    assert [one["first_in_24h"] for one in found] == [True, False]


async def test_webhooks_that_fail_stay_and_those_of_others_too(
    caller: Caller, backend: LaravelBackend, php: Vendor, api: CloudApi
) -> None:
    other = backend.seed_vendor()
    await _post(caller, other, messages=[message_object("w.1", CUSTOMER)])
    await _post(caller, php, messages=[{"from": CUSTOMER, "type": "text"}])
    await _post(caller, php, messages=[message_object("w.3", CUSTOMER)])
    _run(backend, api, "webhook:process")
    assert [row["vendors__id"] for row in backend.rows(WEBHOOKS)] == [other.id, php.id]
    assert [log["wamid"] for log in backend.rows(LOGS, vendors__id=php.id)] == ["w.3"]
