"""Bots in PHP beyond the contract: soft deletion, settings of installations, long texts."""

from typing import Any

import pytest

from contracts.backend import AI_ANSWERS, BOTS, VENDOR_CONFIG
from contracts.effects import AiProvider
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import message, message_object
from tests.contract.talk import CUSTOMER, contact, effects_of, question, says, sends, texts
from tests.contract.under_test import Vendor
from tests.stack.php_code import run_php, vendor_config


async def _active(caller: Caller, vendor: Vendor) -> list[bool]:
    answer = await caller.call(BOTS, {"vendor_uids": [vendor.uid]})
    return [bot["active"] for bot in answer["vendors"][0]["bots"]]


async def test_a_bot_that_was_soft_deleted_is_not_active(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    there, gone = backend.seed_bots(vendor, SeedBot("is", "a", "A"), SeedBot("is", "a", "B"))
    assert await _active(caller, vendor) == [True, True]
    backend.run("ALTER TABLE bot_replies ADD COLUMN deleted_at DATETIME NULL")
    try:
        backend.change("bot_replies", {"deleted_at": "2025-01-01 00:00:00"}, _uid=gone)
        assert await _active(caller, vendor) == [True, False]
        matches = [(there, "is"), (gone, "is")]
        results = await caller.process(says(vendor, "a", matches), says(vendor, "a", None))
        assert [texts(sends(result)) for result in results] == [["A"], ["A"]]
    finally:
        backend.run("ALTER TABLE bot_replies DROP COLUMN deleted_at")


async def test_rules_are_found_by_trying(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answer = await caller.call(BOTS, {"vendor_ids": [vendor.id]})
    rules = answer["vendors"][0]["rules"]
    assert set(rules) == {"wildcard_spans_lines", "marks_are_letters", "numbers_by_value"}
    spans = 'return Illuminate\\Support\\Str::is("a*b", "a\\nb");'  # in newer versions of Laravel
    assert rules["wildcard_spans_lines"] is run_php(backend.installation.application, spans)


@pytest.mark.parametrize(
    ("setting", "on"),
    [("all", True), ("none", False), ("", False), ("x, {uid}", True), ("x", False)],
)
def test_whose_bots_are_the_sidecars(
    backend: LaravelBackend, vendor: Vendor, setting: str, on: bool
) -> None:
    variables = {"WHATSAPP_SIDECAR_BOTS": setting.format(uid=vendor.uid)}
    answer = vendor_config(backend.installation.application, vendor.uid, variables)
    assert [one["bots_on_sidecar"] for one in answer["vendors"]] == [on]


def test_laravels_own_broadcaster_is_told(backend: LaravelBackend, vendor: Vendor) -> None:
    names = ("PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET", "PUSHER_APP_CLUSTER")
    keys = dict(zip(names, ("1", "k", "s", "eu"), strict=True))
    answer = vendor_config(backend.installation.application, vendor.uid, keys)
    assert answer["vendors"][0]["broadcaster"] == {
        "url": "https://api-eu.pusher.com",
        "app_id": "1",
        "key": "k",
        "secret": "s",
    }


async def test_separate_settings_of_hours_and_providers(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    for name, value in {
        "bot_start_timing": "09:00",
        "bot_end_timing": "17:00",
        "bot_timing_timezone": "Asia/Kolkata",
        "open_ai_access_key": backend.database.encrypted("sk-1"),
    }.items():
        backend.set_setting(vendor, name, value)
    bots = (await caller.call(BOTS, {"vendor_uids": [vendor.uid]}))["vendors"][0]
    assert bots["hours"] == {
        "start": "09:00",
        "end": "17:00",
        "timezone": "Asia/Kolkata",
        "trigger_types": None,
    }
    config = (await caller.call(VENDOR_CONFIG, {"vendor_uids": [vendor.uid]}))["vendors"][0]
    assert [(one["name"], one["api_key"]) for one in config["ai_providers"]] == [("openai", "sk-1")]


async def test_outside_of_bot_hours_the_loop_is_silent(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    backend.seed_bots(vendor, SeedBot("is", "open", "At nine."))
    assert texts(sends((await caller.process(says(vendor, "open", None)))[0])) == ["At nine."]
    never = '{"start": "00:00", "end": "00:01", "timezone": "%s"}'
    closed = []
    for zone in ("UTC", "Asia/Tokyo"):  # it is not midnight in both
        backend.set_setting(vendor, "bot_hours", never % zone)
        closed.append(sends((await caller.process(says(vendor, "open", None)))[0]))
    assert [] in closed


async def test_a_long_reply_is_several_messages(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    (bot,) = backend.seed_bots(vendor, SeedBot("is", "terms", "clause " * 1500))
    update = says(vendor, "terms", [(bot, "is")])
    first, again = await caller.process(update), await caller.process(update)
    said = texts(sends(first[0]))
    assert (len(said), max(map(len, said)) <= 4096) == (3, True)
    assert " ".join(said) == ("clause " * 1500).strip()
    assert effects_of(first[0]) == effects_of(again[0])


def _answer(vendor: Vendor, id_: str, text: str) -> dict[str, Any]:
    answer = {"id": id_, "vendor_uid": vendor.uid, "outcome": "answered", "text": text, "at": 1}
    return {"answers": [answer]}


def _first(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that came again as it was the first time."""
    for result in answer["results"]:
        for effect in result["effects"]:
            assert effect.pop("asked_at") > 0
    return answer


@pytest.fixture
def talkative(backend: LaravelBackend, vendor: Vendor) -> Vendor:
    backend.seed_effects(
        vendor,
        ai=AiProvider(name="main", url="http://127.0.0.1:1"),
        ai_failure_message="Somebody will write to you.",
    )
    return vendor


async def test_a_long_answer_is_several_messages(caller: Caller, talkative: Vendor) -> None:
    (result,) = await caller.process(says(talkative, "Tell me all."))
    request = _answer(talkative, question(result).id, "é" * 9000)
    first, again = [await caller.call(AI_ANSWERS, request) for _ in range(2)]
    effects = first["results"][0]["effects"]
    assert [len(one["message"]["text"]["body"]) for one in effects] == [4096, 4096, 808]
    assert _first(again) == first


async def test_an_answer_that_says_nothing_is_a_failure(caller: Caller, talkative: Vendor) -> None:
    (result,) = await caller.process(says(talkative, "Hello?"))
    taken = await caller.call(AI_ANSWERS, _answer(talkative, question(result).id, " \n"))
    (effect,) = taken["results"][0]["effects"]
    assert effect["message"]["text"]["body"] == "Somebody will write to you."


async def test_a_contact_who_wants_no_ai_any_more_gets_no_answer(
    caller: Caller, talkative: Vendor
) -> None:
    (result,) = await caller.process(says(talkative, "Hello?"))
    caller.backend.change("contacts", {"disable_ai_bot": 1}, vendors__id=talkative.id)
    taken = await caller.call(AI_ANSWERS, _answer(talkative, question(result).id, "Yes."))
    assert [(one["result"], one["reason"]) for one in taken["results"]] == [("ignored", "stale")]


async def test_what_was_decided_about_an_answer_holds(caller: Caller, talkative: Vendor) -> None:
    """Its message is stored; a call that is repeated after the customer has written brings it."""
    (result,) = await caller.process(says(talkative, "Hello?"))
    request = _answer(talkative, question(result).id, "Yes.")
    first = await caller.call(AI_ANSWERS, request)
    await caller.process(says(talkative, "Are you there?"))
    assert _first(await caller.call(AI_ANSWERS, request)) == first


async def test_a_question_that_is_answered_is_not_named_again(
    caller: Caller, talkative: Vendor
) -> None:
    update = says(talkative, "Hello?")
    (result,) = await caller.process(update)
    await caller.call(AI_ANSWERS, _answer(talkative, question(result).id, "Yes."))
    (again,) = await caller.process({**update, "attempt": 2})
    assert (again.result, again.effects) == ("done", [])


async def test_a_question_holds_the_latest_messages(
    caller: Caller, backend: LaravelBackend, talkative: Vendor
) -> None:
    (bot,) = backend.seed_bots(talkative, SeedBot("is", "open", "At nine."))
    for number in range(6):
        await caller.process(says(talkative, f"Hi {number}"))
    await caller.process(says(talkative, "open", [(bot, "is")]))
    await caller.process(message(talkative, message_object("w", CUSTOMER, type="image", text=None)))
    (result,) = await caller.process(says(talkative, "And on Sundays?"))
    said = [(one.role, one.content) for one in question(result).messages]
    assert said[-3:] == [
        ("user", "open"),
        ("assistant", "At nine."),
        ("user", "And on Sundays?"),
    ]
    assert len(said) == 9
    assert contact(caller, talkative)["disable_ai_bot"] is None
