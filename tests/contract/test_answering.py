"""Whom bots and the AI answer, and until when."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import UpdateMessageStatusesAnswer, UpdateResult
from contracts.cloud_api.answering import WINDOW_MS
from contracts.effects import AiProvider, SendMessage
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import echo, message, message_object, now_ms
from tests.contract.talk import CUSTOMER, contact, effects_of, question, says, sends, texts
from tests.contract.under_test import Row, Vendor

#: The business's own number, in the payloads' metadata.
BUSINESS = "99900000000"
DAY_S = 24 * 3600
OPEN = SeedBot("contains", "open", "We open at nine.")
WELCOME = SeedBot("welcome", None, "Welcome!")

UNANSWERED: list[dict[str, Any]] = [
    {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "open"}},
    {"type": "reaction", "reaction": {"message_id": "wamid.x"}},
    {"type": "system", "system": {"type": "customer_identity_changed", "body": "open"}},
    {"type": "unsupported", "errors": [{"code": 131051}]},
    {"type": "unknown", "errors": [{"code": 131051}]},
    {"type": "of_tomorrow", "of_tomorrow": {"body": "open"}},
    {"type": None},
    {"type": ["text"]},
    {"type": {}},
    {"group_id": "Y2FwaV9ncm91cDo5OTk"},
]


@pytest.fixture
def vendor(vendor: Vendor, caller: Caller) -> Vendor:
    """One with an AI bot."""
    caller.backend.seed_effects(
        vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="k", model="m")
    )
    return vendor


def _logs(caller: Caller, vendor: Vendor) -> list[Row]:
    return caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)


async def _answer(caller: Caller, vendor: Vendor, id_: str) -> UpdateResult:
    answer = {"id": id_, "vendor_uid": vendor.uid, "outcome": "answered", "at": now_ms()}
    found = await caller.call(contract.AI_ANSWERS, {"answers": [{**answer, "text": "We do."}]})
    (result,) = UpdateMessageStatusesAnswer.model_validate(found).results
    return result


@pytest.mark.parametrize("fields", UNANSWERED)
async def test_what_nobody_answers_is_stored(
    caller: Caller, vendor: Vendor, fields: dict[str, Any]
) -> None:
    bot, hello = caller.backend.seed_bots(vendor, OPEN, WELCOME)
    for bots in ([(bot, "contains"), (hello, "welcome")], [], None):
        (result,) = await caller.process(says(vendor, "open", bots, **fields))
        assert effects_of(result) == []
    rows = _logs(caller, vendor)
    assert len(rows) == 3
    assert {row["is_incoming_message"] for row in rows} == {1}


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "location", "location": {"name": "open"}},
        {"type": "audio", "audio": {}},
        {"type": "interactive", "interactive": {"nfm_reply": {"body": "open"}}},
    ],
)
async def test_bots_read_no_more_than_what_the_customer_wrote(
    caller: Caller, vendor: Vendor, fields: dict[str, Any]
) -> None:
    caller.backend.seed_bots(vendor, OPEN)
    (result,) = await caller.process(says(vendor, "open", None, **fields))
    assert effects_of(result) == []


@pytest.mark.parametrize("sender", [BUSINESS, f"+{BUSINESS}", "+999 (0) 000-0000"])
async def test_the_business_itself_is_no_customer(
    caller: Caller, vendor: Vendor, sender: str
) -> None:
    bot, hello = caller.backend.seed_bots(vendor, OPEN, WELCOME)
    updates = [
        says(vendor, "open", [(bot, "contains"), (hello, "welcome")], sender=sender),
        says(vendor, "open", None, sender=sender),
        echo(vendor, message_object("wamid.note", BUSINESS, to=sender)),
    ]
    for result in await caller.process(*updates):
        assert (result.result, result.reason) == ("ignored", "own_number")
    assert _logs(caller, vendor) == []
    assert caller.backend.rows("contacts", vendors__id=vendor.id) == []


async def test_an_old_message_is_not_answered_but_its_switches_are(
    caller: Caller, vendor: Vendor
) -> None:
    stop, is_open, hello = caller.backend.seed_bots(
        vendor, SeedBot("stop_promotional", "stop", "As you like."), OPEN, WELCOME
    )
    old = str(int(time.time()) - DAY_S)
    results = await caller.process(
        says(vendor, "stop", [(stop, "stop_promotional")], timestamp=old),
        says(vendor, "open", [(is_open, "contains"), (hello, "welcome")], timestamp=old),
        says(vendor, "open", None, timestamp=old),
        says(vendor, "Do you ship?", timestamp=old),
    )
    assert [effects_of(result) for result in results] == [[], [], [], []]
    assert contact(caller, vendor)["whatsapp_opt_out"] == 1
    why = [row["__data"]["sidecar"]["unanswered"] for row in _logs(caller, vendor)]
    assert why == ["window_closed"] * 4
    (now,) = await caller.process(says(vendor, "Hi", [(hello, "welcome")]))
    assert texts(sends(now)) == ["Welcome!"]


async def test_an_old_message_makes_no_answer_stale(caller: Caller, vendor: Vendor) -> None:
    (result,) = await caller.process(says(vendor, "Do you ship?"))
    await caller.process(says(vendor, "late", timestamp=str(int(time.time()) - DAY_S)))
    assert texts(sends(await _answer(caller, vendor, question(result).id))) == ["We do."]


async def test_a_switch_of_another_group_is_none(caller: Caller, vendor: Vendor) -> None:
    (stop,) = caller.backend.seed_bots(vendor, SeedBot("stop_promotional", "stop"))
    for bots in ([(stop, "stop_promotional")], None):
        await caller.process(says(vendor, "stop", bots, group_id="g"))
    assert not contact(caller, vendor)["whatsapp_opt_out"]


async def test_replies_and_questions_end_with_the_window(caller: Caller, vendor: Vendor) -> None:
    (bot,) = caller.backend.seed_bots(vendor, OPEN)
    sent = int(time.time()) - DAY_S + 6 * 60  # a minute is left
    replied, asked = await caller.process(
        says(vendor, "open", [(bot, "contains")], timestamp=str(sent)),
        says(vendor, "Do you ship?", timestamp=sent),
    )
    until = sent * 1000 + WINDOW_MS
    assert [one.expires_at for one in sends(replied)] == [until]
    assert question(asked).expires_at == until
    (answer,) = sends(await _answer(caller, vendor, question(asked).id))
    assert answer.expires_at == until


ODD_TIMES: dict[str, Callable[[int], Any]] = {
    "tomorrow": lambda now: str(now + DAY_S),
    "tomorrow, a number": lambda now: now + DAY_S,
    "far away": lambda now: "999999999999",
    "milliseconds": lambda now: str(now * 1000),
    "milliseconds, a number": lambda now: now * 1000,
    "float": float,
    "float, a text": lambda now: f"{now}.5",
    "list": lambda now: [now],
}


@pytest.mark.parametrize("odd", [*ODD_TIMES, "-5", -5, "today", "", None, True, 10**18])
async def test_no_timestamp_lengthens_the_window(caller: Caller, vendor: Vendor, odd: Any) -> None:
    (bot,) = caller.backend.seed_bots(vendor, OPEN)
    timestamp = ODD_TIMES[odd](int(time.time())) if odd in ODD_TIMES else odd
    received = now_ms() - 60_000
    update = says(vendor, "open", [(bot, "contains")], timestamp=timestamp)
    ask = says(vendor, "Do you ship?", timestamp=timestamp)
    replied, asked = await caller.process(
        {**update, "received_at": received}, {**ask, "received_at": received}
    )
    assert [one.expires_at for one in sends(replied)] == [received + WINDOW_MS]
    assert (question(asked).expires_at or 0) <= received + WINDOW_MS
    (answer,) = sends(await _answer(caller, vendor, question(asked).id))
    assert answer.expires_at == received + WINDOW_MS
    (first, *_) = _logs(caller, vendor)
    assert first["messaged_at"] <= first["created_at"]


async def test_an_answer_after_the_window_is_dropped(caller: Caller, vendor: Vendor) -> None:
    (result,) = await caller.process(says(vendor, "Do you ship?"))
    asked = question(result)
    past = {"__data.sidecar.answer_until": now_ms() - 1}
    caller.backend.change("whatsapp_message_logs", past, _uid=asked.id)
    for _ in range(2):
        dropped = await _answer(caller, vendor, asked.id)
        assert (dropped.result, dropped.reason, dropped.effects) == (
            "ignored",
            "window_closed",
            [],
        )
    assert len(_logs(caller, vendor)) == 1


@pytest.mark.parametrize("columns", [{"messaged_at": "2025-01-01 00:00:00"}, {"messaged_at": None}])
async def test_a_question_that_a_routine_has_stored_has_a_window_too(
    caller: Caller, vendor: Vendor, columns: dict[str, Any]
) -> None:
    (result,) = await caller.process(says(vendor, "Do you ship?"))
    asked = question(result)
    old = {"created_at": "2025-01-01 00:00:00"} if columns["messaged_at"] is None else {}
    changed = {"__data.sidecar.answer_until": None, **columns, **old}
    caller.backend.change("whatsapp_message_logs", changed, _uid=asked.id)
    dropped = await _answer(caller, vendor, asked.id)
    assert (dropped.result, dropped.reason) == ("ignored", "window_closed")


@pytest.mark.parametrize("fields", UNANSWERED)
async def test_what_nobody_answers_makes_no_answer_stale(
    caller: Caller, vendor: Vendor, fields: dict[str, Any]
) -> None:
    (result,) = await caller.process(says(vendor, "Do you ship?"))
    await caller.process(says(vendor, "open", **fields))
    assert texts(sends(await _answer(caller, vendor, question(result).id))) == ["We do."]


async def test_a_persons_reaction_makes_no_answer_stale(caller: Caller, vendor: Vendor) -> None:
    (result,) = await caller.process(says(vendor, "Do you ship?"))
    thumb = {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}}
    await caller.process(echo(vendor, message_object("wamid.e", BUSINESS, to=CUSTOMER, **thumb)))
    assert texts(sends(await _answer(caller, vendor, question(result).id))) == ["We do."]


@pytest.mark.parametrize("fields", UNANSWERED)
async def test_a_welcome_is_said_to_the_first_message_that_is_one(
    caller: Caller, vendor: Vendor, fields: dict[str, Any]
) -> None:
    (hello,) = caller.backend.seed_bots(vendor, WELCOME)
    match = [(hello, "welcome")]
    _, first, second = await caller.process(
        says(vendor, "open", match, **fields),
        says(vendor, "Hi", match),
        says(vendor, "Hi?", match),
    )
    assert texts(sends(first)) == ["Welcome!"]
    assert not [one for one in effects_of(second) if isinstance(one, SendMessage)]


async def test_the_ai_is_told_nothing_of_groups_and_reactions(
    caller: Caller, vendor: Vendor
) -> None:
    *_, result = await caller.process(
        says(vendor, "One"),
        *(says(vendor, "in a group", **fields) for fields in UNANSWERED),
        says(vendor, "late", timestamp=str(int(time.time()) - 2 * DAY_S)),
        says(vendor, "Two"),
    )
    assert [one.content for one in question(result).messages] == ["One", "late", "Two"]


async def test_a_system_message_is_one(caller: Caller, vendor: Vendor) -> None:
    system = {"type": "customer_identity_changed", "body": "Ada changed their phone"}
    await caller.process(says(vendor, "", type="system", system=system), says(vendor, "Hi"))
    told, said = _logs(caller, vendor)
    assert (told["is_system_message"], told["message"]) == (1, "Ada changed their phone")
    assert not said["is_system_message"]


async def test_a_reaction_names_what_it_is_about(caller: Caller, vendor: Vendor) -> None:
    about: dict[str, Any] = {
        "type": "reaction",
        "reaction": {"message_id": "wamid.AbC", "emoji": "👍"},
    }
    removed: dict[str, Any] = {"type": "reaction", "reaction": {"message_id": "wamid.AbC"}}
    await caller.process(
        says(vendor, "one", wamid="wamid.aBc"),
        says(vendor, "two", wamid="wamid.AbC"),
        says(vendor, "", **about, context={"id": "wamid.aBc"}),
        says(vendor, "", **removed),
        says(vendor, "", type="reaction", reaction={"message_id": "wamid.none", "emoji": "👍"}),
    )
    _, two, *reactions = _logs(caller, vendor)
    named = [row["replied_to_whatsapp_message_logs__uid"] for row in reactions]
    assert named == [two["_uid"], two["_uid"], None]
    assert [row["message"] for row in reactions] == ["👍", None, "👍"]
    assert reactions[1]["__data"]["message"]["reaction"] == {"message_id": "wamid.AbC"}


async def test_a_reply_names_its_message_letter_for_letter(caller: Caller, vendor: Vendor) -> None:
    await caller.process(
        says(vendor, "one", wamid="wamid.CaSe"),
        says(vendor, "two", wamid="wamid.cAsE"),
        says(vendor, "three", context={"id": "wamid.cAsE"}),
        says(vendor, "four", context={"id": "wamid.case"}),
    )
    _, two, three, four = _logs(caller, vendor)
    assert three["replied_to_whatsapp_message_logs__uid"] == two["_uid"]
    assert four["replied_to_whatsapp_message_logs__uid"] is None


async def test_a_raw_webhook_marks_what_nobody_answers(caller: Caller, vendor: Vendor) -> None:
    update = message(vendor, message_object("wamid.raw", CUSTOMER, type="unsupported"))
    raw = contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid)
    assert (await caller.call(raw, update["payload"]))["result"] == "done"
    (hello,) = caller.backend.seed_bots(vendor, WELCOME)
    (result,) = await caller.process(says(vendor, "Hi", [(hello, "welcome")]))
    assert texts(sends(result)) == ["Welcome!"]
