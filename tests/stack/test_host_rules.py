"""What the host's own routine, crons and settings helper keep of such an installation's rules, for
vendors whom PHP serves. The sidecar has to leave each of them as it is, or improve on it."""

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from contracts.bots import BotHours
from contracts.effects import Broadcaster, ForwardTarget
from simulator.backend.seed_bots import SeedBot
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
from tests.contract.talk import CUSTOMER
from tests.contract.under_test import Row, Vendor
from tests.stack.cloud_api import CloudApi
from tests.stack.php_code import run_php

QUEUE = "whatsapp_message_queue"
LOGS = "whatsapp_message_logs"
WEBHOOKS = "whatsapp_webhook_queue"
UNHEALTHY = 131049

pytestmark = pytest.mark.usefixtures("nothing_due")


def _store(backend: LaravelBackend, vendor: Vendor, payload: Any, **columns: Any) -> None:
    """Store a webhook as the host's own route does."""
    row = {
        "_uid": str(uuid.uuid4()),
        "created_at": to_text(T0),
        "vendors__id": vendor.id,
        "headers": "{}",
        "payload": orjson.dumps(payload).decode(),
        **columns,
    }
    backend.database.insert(WEBHOOKS, [row])


def _changes(backend: LaravelBackend, vendor: Vendor, field: str, *values: Any) -> None:
    for value in values:
        _store(backend, vendor, envelope(vendor, field, value))


def _says(backend: LaravelBackend, vendor: Vendor, *elements: dict[str, Any]) -> None:
    """Store messages, each in a webhook of its own."""
    _changes(backend, vendor, "messages", *(messaging(vendor, messages=[one]) for one in elements))


def _cron(backend: LaravelBackend, api: CloudApi | None, command: str, **variables: str) -> None:
    """Run a cron of an installation whose vendors are all PHP's."""
    variables |= {"WHATSAPP_SIDECAR_VENDORS": "none"}
    if api is not None:
        variables |= {"WHATSAPP_API_URL": api.url}
    done = backend.installation.application.artisan(command, **variables)
    assert done.returncode == 0, done.stdout + done.stderr


def _contact(backend: LaravelBackend, vendor: Vendor, wa_id: str, **columns: Any) -> int:
    row = {"_uid": str(uuid.uuid4()), "created_at": to_text(T0), "vendors__id": vendor.id}
    backend.database.insert("contacts", [{**row, "wa_id": wa_id, **columns}])
    return int(backend.rows("contacts", vendors__id=vendor.id, wa_id=wa_id)[0]["_id"])


def _answers(api: CloudApi) -> list[tuple[str, str]]:
    return [(message["to"], message["text"]["body"]) for message in api.messages]


def test_what_the_routine_ignores(backend: LaravelBackend, vendor: Vendor) -> None:
    inactive = backend.seed_vendor()
    backend.change("vendors", {"status": 2}, _id=inactive.id)
    _says(backend, inactive, message_object("w.inactive", CUSTOMER))
    _says(backend, vendor, message_object("w.welcome", CUSTOMER, type="request_welcome"))
    elsewhere = messaging(vendor, "555", messages=[message_object("w.elsewhere", CUSTOMER)])
    _changes(backend, vendor, "messages", elsewhere)
    mine = {"waba_id": vendor.business_account_id}
    _changes(
        backend,
        vendor,
        "account_update",
        {"event": "PARTNER_REMOVED", "waba_info": {"waba_id": "another"}},
        {"event": "PARTNER_ADDED", "waba_info": mine},
    )
    person = {"full_name": "Bo Berg", "phone_number": "999700000009"}
    removed = {"type": "contact", "action": "remove", "contact": person}
    _changes(backend, vendor, "smb_app_state_sync", {"state_sync": [removed]})
    _changes(backend, vendor, "history", {"messages": [message_object("old.1", CUSTOMER)]})
    _cron(backend, None, "webhook:process")
    assert backend.rows(WEBHOOKS) == []
    for one in (inactive, vendor):
        assert backend.rows(LOGS, vendors__id=one.id) == []
        assert backend.rows("contacts", vendors__id=one.id) == []
    assert backend.setting(vendor, "whatsapp_account_disconnected_at") is None


def test_the_webhook_cron_takes_25_pending_rows_the_oldest_first(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    ignored = envelope(vendor, "history", {})
    _store(backend, vendor, ignored, status="failed")
    for number in range(27):
        _store(backend, vendor, ignored, created_at=to_text(T0 + number))
    _cron(backend, None, "webhook:process")
    left = [(row["status"], row["created_at"]) for row in backend.rows(WEBHOOKS)]
    last = [("pending", to_text(T0 + number)) for number in (25, 26)]
    assert left == [("failed", to_text(T0)), *last]


def test_what_statuses_do_today(backend: LaravelBackend, vendor: Vendor, api: CloudApi) -> None:
    """By row of the campaign: a late one overwrites, and the row leaves the queue, except for the
    one error, with the setting, and for the fifth time at most."""
    backend.set_setting(vendor, "enable_requeue_healthy_error_msg", "1")
    campaign = backend.seed_campaign(vendor, 5)
    other = backend.seed_vendor()
    theirs = backend.seed_campaign(other, 1)
    _cron(backend, api, "campaign:send")
    late, undelivered, fourth, fifth, kept = backend.rows(LOGS, campaigns__id=campaign.id)
    (unset,) = backend.rows(LOGS, campaigns__id=theirs.id)
    for log, retries in ((fourth, 4), (fifth, 5)):
        backend.change(QUEUE, {"retries": retries}, contacts__id=log["contacts__id"])

    def told(vendor: Vendor, log: Row, status: str, code: int | None = None) -> None:
        element = status_object(log["wamid"], status, code=code)
        _changes(backend, vendor, "messages", messaging(vendor, statuses=[element]))

    told(vendor, late, "delivered")
    told(vendor, late, "sent")
    told(vendor, undelivered, "failed", 131026)
    for log in (fourth, fifth):
        told(vendor, log, "failed", UNHEALTHY)
    told(other, unset, "failed", UNHEALTHY)
    told(other, kept, "read")
    before = now_ms()
    _cron(backend, api, "webhook:process")
    logs = {log["_id"]: log for log in backend.rows(LOGS, campaigns__id=campaign.id)}
    assert logs[late["_id"]]["status"] == "sent"
    assert logs[late["_id"]]["messaged_at"] is not None
    assert logs[undelivered["_id"]]["messaged_at"] is None
    assert logs[kept["_id"]]["status"] == "accepted", "the status was of another vendor's"
    assert fourth["_id"] not in logs
    again, untouched = backend.rows(QUEUE, campaigns__id=campaign.id)
    assert (again["status"], again["retries"]) == (1, 5)
    assert abs(to_ms(again["scheduled_at"]) - before - 5 * 3_600_000) < 60_000
    assert untouched["contacts__id"] == kept["contacts__id"]
    assert backend.rows(QUEUE, campaigns__id=theirs.id) == []


def test_what_bots_switch(backend: LaravelBackend, vendor: Vendor) -> None:
    backend.seed_bots(
        vendor,
        SeedBot("stop_promotional", "stop"),
        SeedBot("start_promotional", "start"),
        SeedBot("stop_ai_bot", "person"),
        SeedBot("start_ai_bot", "robot"),
    )
    switches: Mapping[str, tuple[str, int]] = {
        "stop": ("whatsapp_opt_out", 1),
        "start": ("whatsapp_opt_out", 0),
        "person": ("disable_ai_bot", 1),
        "robot": ("disable_ai_bot", 0),
    }
    for number, (word, (column, value)) in enumerate(switches.items(), start=1):
        _contact(backend, vendor, f"{number}", **{column: 1 - value})
        _says(backend, vendor, message_object(word, f"{number}", text={"body": word}))
    _cron(backend, None, "webhook:process")
    people = backend.rows("contacts", vendors__id=vendor.id)
    found = [person[column] for person, (column, _) in zip(people, switches.values(), strict=True)]
    assert found == [value for _, value in switches.values()]


def test_who_is_answered_and_by_which_bots(
    backend: LaravelBackend, vendor: Vendor, api: CloudApi
) -> None:
    """In the order of their priority, without those that are inactive; a contact that wants none
    gets those of buttons."""
    backend.seed_bots(
        vendor,
        SeedBot("is", "hello", "second", priority=2),
        SeedBot("starts_with", "hell", "first", priority=1),
        SeedBot("is", "hello", "inactive", active=False),
        SeedBot("is", "hello", "of an inactive flow", flow_active=False),
        SeedBot("is", "hello", "of a flow", priority=3, flow_active=True),
        SeedBot("welcome", None, "welcome", priority=4),
    )
    quiet = _contact(backend, vendor, "1", disable_reply_bot=1)
    days_ago = to_text(int(time.time()) - 90_000)
    log = {"vendors__id": vendor.id, "contacts__id": quiet, "is_incoming_message": 1}
    old = {"_uid": str(uuid.uuid4()), "created_at": days_ago, "wamid": "w.old", **log}
    backend.database.insert(LOGS, [old])
    button = {"type": "button", "button": {"text": "Hello"}}
    _says(
        backend,
        vendor,
        message_object("w.1", "1", text={"body": "hello"}, timestamp=str(int(time.time()))),
        message_object("w.2", "2", text={"body": "hello"}),
    )
    backend.change("contacts", {"disable_reply_bot": 1}, _id=quiet)
    _cron(backend, api, "webhook:process")
    expected = ["first", "second", "of a flow", "welcome"]
    assert _answers(api) == [("2", text) for text in expected]
    tokens = {request.headers["Authorization"] for request in api.requests}
    assert tokens == {f"Bearer {vendor.access_token}"}
    backend.delete(LOGS, wamid="w.1")
    _says(backend, vendor, message_object("w.3", "1", **button))
    _cron(backend, api, "webhook:process")
    assert _answers(api)[4:] == [("1", text) for text in expected]


def test_bots_outside_their_hours(backend: LaravelBackend, vendor: Vendor, api: CloudApi) -> None:
    start, end = (datetime.now(UTC) + timedelta(hours=hours) for hours in (2, 3))
    hours = BotHours(start=f"{start:%H:%M}", end=f"{end:%H:%M}", trigger_types=["is"])
    backend.seed_effects(vendor, bots_on_sidecar=False, hours=hours)
    backend.seed_bots(vendor, SeedBot("is", "hello", "closed"), SeedBot("contains", "ell", "open"))
    _says(backend, vendor, message_object("w.1", "1", text={"body": "hello"}))
    _cron(backend, api, "webhook:process")
    assert _answers(api) == [("1", "open")]


def test_its_updates_are_broadcast_and_forwarded_by_php(
    backend: LaravelBackend, vendor: Vendor, api: CloudApi
) -> None:
    backend.seed_effects(
        vendor,
        bots_on_sidecar=False,
        forward=ForwardTarget(url=f"{api.url}/hook"),
        broadcaster=Broadcaster(url="http://127.0.0.1:1", app_id="1", key="k", secret="s"),
    )
    posted = envelope(vendor, "history", {"to": "the hook"})
    _store(backend, vendor, posted)
    _cron(backend, api, "webhook:process", BROADCAST_DRIVER="log")
    assert api.messages == [posted]
    logged = backend.installation.application.logged()
    assert f"private-vendor-channel.{vendor.uid}" in logged


def test_the_settings_helper_reads_what_it_has_written(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    code = f"""
        $settings = $app->make(App\\VendorSettings::class);
        $found = [$settings->get({vendor.id}, 'x')];
        foreach (['1', '2'] as $value) {{
            $settings->set({vendor.id}, 'x', $value);
            $found[] = $settings->get({vendor.id}, 'x');
        }}
        return $found;
    """
    assert run_php(backend.installation.application, code) == [None, "1", "2"]
    rows = backend.rows("vendor_settings", vendors__id=vendor.id, name="x")
    assert [row["value"] for row in rows] == ["2"]
