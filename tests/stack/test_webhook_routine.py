"""The application's own webhook route, and its routine as HostRoutineEngine calls it."""

import hashlib

import orjson
import pytest

from contracts.backend import MEDIA, PENDING_WEBHOOKS
from contracts.effects import AiProvider, Broadcaster, FetchMedia, ForwardTarget
from simulator.backend.seed_bots import SeedBot
from simulator.stack.nginx import Nginx
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    change,
    echo,
    envelope,
    message,
    message_object,
    messaging,
    now_ms,
)
from tests.contract.talk import (
    CUSTOMER,
    contact,
    effects_of,
    question,
    says,
    sends,
    sent,
    texts,
)
from tests.contract.under_test import Row, Vendor
from tests.stack.main_flows import contract_tests

LOGS = "whatsapp_message_logs"
WEBHOOKS = "whatsapp_webhook_queue"

#: Of the contract, what holds whoever handles a message.
WHOEVER_HANDLES_IT = {
    "messages": (
        "test_a_known_contact_is_found",
        "test_another_vendors_contact_is_not_taken",
        "test_a_message_that_comes_again_is_stored_once",
        "test_each_of_the_vendors_numbers_is_heard",
        "test_a_contact_who_hides_the_number_is_known_by_user_id",
        "test_letters_of_every_script_survive",
    ),
    "twice_at_once": ("test_an_ai_that_has_answered_twice",),
    "process_webhooks": (
        "test_numbers_beyond_64_bits_are_kept",
        "test_an_unknown_vendor_is_ignored",
        "test_an_inactive_vendor_is_ignored",
        "test_the_order_of_a_contacts_updates_is_kept",
    ),
    "raw_webhook": (
        "test_every_update_of_a_webhook_is_applied",
        "test_one_update_that_has_to_come_again_asks_for_all",
        "test_an_inactive_vendor_is_ignored",
    ),
    "media": (
        "test_the_same_message_asks_for_the_same_until_it_is_reported",
        "test_a_report_is_kept_with_the_message",
        "test_a_failure_is_kept_and_mended",
        "test_reports_of_many_at_once",
        "test_reports_of_the_same_at_the_same_time",
    ),
}

globals().update(contract_tests(**WHOEVER_HANDLES_IT))


@pytest.fixture
def caller(host: Caller) -> Caller:
    """The contract's tests call the host."""
    return host


def _logs(backend: LaravelBackend, vendor: Vendor) -> list[Row]:
    return backend.rows(LOGS, vendors__id=vendor.id)


# -- the route -----------------------------------------------------------------------------------


async def test_its_route_stores_what_is_posted(
    host: Caller, backend: LaravelBackend, routine: Nginx, vendor: Vendor
) -> None:
    """As nginx hands it over while the sidecar is down; the sidecar then finds body and headers."""
    backend.delete(WEBHOOKS)
    posted = envelope(vendor, "messages", messaging(vendor, messages=[message_object("r.1", "9")]))
    body = orjson.dumps(posted)
    headers = {"X-Hub-Signature-256": "sha256=ab", "Content-Type": "application/json"}
    url = f"{routine.url}/whatsapp-webhook/{vendor.uid}"
    async with host.session.post(url, data=body, headers=headers) as answer:
        assert (answer.status, await answer.text()) == (200, "done")
    async with host.session.post(url, data=b"\x1f\x8b", headers=headers) as answer:
        assert answer.status == 500, "what no column takes is not acknowledged"
    [webhook] = (await host.call(PENDING_WEBHOOKS, {}))["webhooks"]
    found = webhook["body"].encode()
    assert webhook["vendor_uid"] == vendor.uid
    assert found == body if backend.keeps_json_text else orjson.loads(found) == posted
    assert webhook["headers"]["x-hub-signature-256"] == "sha256=ab"
    backend.delete(WEBHOOKS)


@pytest.mark.parametrize("token", ["right", "wrong"])
async def test_its_route_is_verified(
    host: Caller, backend: LaravelBackend, routine: Nginx, vendor: Vendor, token: str
) -> None:
    right = hashlib.sha1(vendor.uid.encode()).hexdigest()
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": right if token == "right" else "0" * 40,
        "hub.challenge": "77",
    }
    url = f"{routine.url}/whatsapp-webhook/{vendor.uid}"
    async with host.session.get(url, params=query) as answer:
        expected = (200, "77") if token == "right" else (403, "Forbidden")
        assert (answer.status, await answer.text()) == expected
    assert (backend.setting(vendor, "webhook_verified_at") is None) is (token == "wrong")


# -- the routine ---------------------------------------------------------------------------------


async def test_a_message_is_stored_with_its_contact(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    for update in (says(vendor, "Hello", wamid="w.1"), says(vendor, "Again", wamid="w.1")):
        (answer,) = await host.process(update)
        assert (answer.result, answer.effects) == ("done", [])
    (row,) = _logs(backend, vendor)
    person = contact(host, vendor)
    assert (person["wa_id"], person["first_name"], person["last_name"]) == (
        *(CUSTOMER, "Ada", "Stone"),
    )
    assert (row["contacts__id"], row["message"], row["status"]) == (
        *(person["_id"], "Hello", "received"),
    )


async def test_the_sidecar_sends_what_its_bots_answer(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    welcome, stop, quiet = backend.seed_bots(
        vendor,
        SeedBot("welcome", None, "Hi!"),
        SeedBot("stop_promotional", "stop", "Bye."),
        SeedBot("is", "stop", ""),
    )
    matches = [(welcome, "welcome"), (stop, "stop_promotional"), (quiet, "is")]
    update = says(vendor, "Stop", matches)
    (answer,) = await host.process(update)
    assert texts(sends(answer)) == ["Hi!", "Bye."]
    assert {one.expires_at is not None and one.to for one in sends(answer)} == {CUSTOMER}
    assert contact(host, vendor)["whatsapp_opt_out"] == 1
    incoming, *replies = _logs(backend, vendor)
    assert incoming["__data"]["sidecar"]["bots"] == [welcome, stop, quiet]
    assert [row["status"] for row in replies] == ["pending", "pending"]
    await host.report(sent(vendor, replies[0]["_uid"]))
    (again,) = await host.process({**update, "attempt": 2})
    assert texts(sends(again)) == ["Bye."]
    (later,) = await host.process(says(vendor, "Stop", matches))
    assert texts(sends(later)) == ["Bye."], "the contact has written today"


async def test_bots_of_its_own_matching(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Where the sidecar does not match for the vendor, it still sends."""
    backend.seed_bots(vendor, SeedBot("contains", "price", "10 EUR"))
    (answer,) = await host.process(says(vendor, "the price?", None))
    assert texts(sends(answer)) == ["10 EUR"]


async def test_the_ai_is_asked_where_no_bot_matches(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    provider = AiProvider(name="ai", url="http://127.0.0.1:1/v1", api_key="k", model="m")
    backend.seed_effects(vendor, ai=provider)
    (answer,) = await host.process(says(vendor, "Do you ship?"))
    asked = question(answer)
    assert [(one.role, one.content) for one in asked.messages] == [("user", "Do you ship?")]
    assert asked.id == _logs(backend, vendor)[0]["_uid"]
    backend.change("contacts", {"disable_ai_bot": 1}, vendors__id=vendor.id)
    (answer,) = await host.process(says(vendor, "And now?"))
    assert (answer.result, answer.effects) == ("done", [])


@pytest.mark.parametrize("kind", ["reaction", "unsupported"])
async def test_what_nobody_answers(
    host: Caller, backend: LaravelBackend, vendor: Vendor, kind: str
) -> None:
    (bot,) = backend.seed_bots(vendor, SeedBot("is", "*", "Thanks"))
    element = message_object(f"w.{kind}", CUSTOMER, type=kind, **{kind: {"emoji": "x"}})
    (answer,) = await host.process(
        message(vendor, element, bots={"matches": [{"bot_uid": bot, "trigger_type": "is"}]})
    )
    assert (answer.result, answer.effects, len(_logs(backend, vendor))) == ("done", [], 1)


async def test_it_is_forwarded_and_broadcast_once(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    backend.seed_effects(
        vendor,
        forward=ForwardTarget(url="http://127.0.0.1:1/hook"),
        broadcaster=Broadcaster(url="http://127.0.0.1:1", app_id="1", key="k", secret="s"),
    )
    update = says(vendor, "Hello")
    answers = [await host.process({**update, "attempt": attempt}) for attempt in (1, 2)]
    kinds = [[effect["kind"] for effect in answer.effects] for (answer,) in answers]
    assert kinds == [["broadcast", "forward"]] * 2
    assert answers[0][0].effects == answers[1][0].effects


async def test_media_is_fetched_by_the_sidecar(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    element = message_object("w.media", CUSTOMER, type="image", image={"id": "77"})
    (answer,) = await host.process(message(vendor, element))
    (effect,) = effects_of(answer)
    assert isinstance(effect, FetchMedia)
    report = {
        "id": effect.id,
        "vendor_uid": vendor.uid,
        "media_id": "77",
        "wamid": "w.media",
        "at": now_ms(),
        "state": "failed",
        "reason": "too_large",
    }
    assert _logs(backend, vendor)[0]["__data"]["media"]["state"] == "requested"
    taken = await host.call(MEDIA, {"media": [report]})
    assert [one["result"] for one in taken["results"]] == ["done"]
    assert _logs(backend, vendor)[0]["__data"]["media"]["state"] == "failed"


async def test_echoes_and_changes_of_the_account(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    added = {"full_name": "Bo Berg", "phone_number": "999700000009"}
    removed = {"waba_info": {"waba_id": vendor.business_account_id}, "event": "PARTNER_REMOVED"}
    answers = await host.process(
        echo(vendor, message_object("e.1", "1", to=CUSTOMER)),
        change(
            vendor,
            "smb_app_state_sync",
            {"state_sync": [{"type": "contact", "action": "add", "contact": added}]},
        ),
        change(vendor, "history", {"messages": [message_object("old.1", CUSTOMER)]}),
        change(vendor, "account_update", removed),
    )
    assert [answer.result for answer in answers] == ["done"] * 4
    (row,) = _logs(backend, vendor)
    assert (row["wamid"], row["is_incoming_message"]) == ("e.1", 0)
    known = backend.rows("contacts", vendors__id=vendor.id)
    assert [person["wa_id"] for person in known] == [CUSTOMER, "999700000009"]
    assert backend.setting(vendor, "whatsapp_account_disconnected_at")
