"""Questions for an AI, and ``ai-answers``: what comes of its answers."""

import uuid
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import UpdateMessageStatusesAnswer, UpdateResult
from contracts.effects import AiProvider, AiReply
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import accepted, echo, message_object, now_ms
from tests.contract.talk import (
    CUSTOMER,
    contact,
    effects_of,
    log,
    outcome,
    question,
    says,
    sends,
    sent,
    texts,
)
from tests.contract.under_test import Vendor

FAILURE = "Somebody will write to you."


@pytest.fixture
def vendor(vendor: Vendor, caller: Caller) -> Vendor:
    """One with an AI bot."""
    caller.backend.seed_effects(
        vendor,
        ai=AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="k", model="m"),
        ai_instructions="You sell shoes.",
        ai_failure_message=FAILURE,
    )
    return vendor


async def _ask(caller: Caller, vendor: Vendor, text: str = "Do you ship?") -> AiReply:
    (result,) = await caller.process(says(vendor, text))
    return question(result)


async def _answer(caller: Caller, *answers: dict[str, Any]) -> list[UpdateResult]:
    answer = await caller.call(contract.AI_ANSWERS, {"answers": list(answers)})
    results = UpdateMessageStatusesAnswer.model_validate(answer).results
    assert [result.id for result in results] == [one["id"] for one in answers]
    return results


def _answered(vendor: Vendor, id_: str, **fields: Any) -> dict[str, Any]:
    base = {"id": id_, "vendor_uid": vendor.uid, "outcome": "answered", "text": "We do."}
    return {**base, "at": now_ms(), **fields}


async def test_where_no_bot_matches_the_ai_is_asked(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    assert uuid.UUID(asked.id)
    assert asked.provider == "main"
    assert asked.messages[0].role == "system"
    assert "You sell shoes." in asked.messages[0].content
    assert (asked.messages[-1].role, asked.messages[-1].content) == ("user", "Do you ship?")


async def test_questions_of_a_contact_are_one_conversation(caller: Caller, vendor: Vendor) -> None:
    first, second = await _ask(caller, vendor), await _ask(caller, vendor, "Hello?")
    assert first.id != second.id
    assert first.conversation == second.conversation
    said = [one.content for one in second.messages if one.role == "user"]
    assert said == ["Do you ship?", "Hello?"]


async def test_where_a_bot_matches_the_ai_is_not_asked(caller: Caller, vendor: Vendor) -> None:
    silent, speaks = caller.backend.seed_bots(vendor, SeedBot("is", "a"), SeedBot("is", "b", "B"))
    quiet, loud = await caller.process(
        says(vendor, "a", [(silent, "is")]), says(vendor, "b", [(speaks, "is")])
    )
    assert effects_of(quiet) == []
    assert texts(sends(loud)) == ["B"]


async def test_a_contact_may_do_without(caller: Caller, vendor: Vendor) -> None:
    await _ask(caller, vendor)
    caller.backend.change("contacts", {"disable_ai_bot": 1}, vendors__id=vendor.id)
    (result,) = await caller.process(says(vendor, "Hello?"))
    assert effects_of(result) == []


async def test_a_vendor_without_an_ai_asks_none(caller: Caller) -> None:
    vendor = caller.backend.seed_vendor()
    caller.backend.seed_bots(vendor, SeedBot("is", "a", "A"))
    (result,) = await caller.process(says(vendor, "Hello?"))
    assert effects_of(result) == []


async def test_a_question_that_is_not_answered_comes_again(caller: Caller, vendor: Vendor) -> None:
    update = says(vendor, "Do you ship?")
    (first,) = await caller.process(update)
    (again,) = await caller.process({**update, "attempt": 2})
    assert question(first) == question(again)


async def test_an_answer_becomes_a_message(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    (reply,) = sends(result)
    assert texts([reply]) == ["We do."]
    assert (reply.to, reply.phone_number_id) == (CUSTOMER, vendor.phone_number_ids[0])
    row = log(caller, reply.id)
    assert (row["status"], row["wamid"], row["is_incoming_message"]) == ("pending", None, 0)
    assert (row["message"], row["contacts__id"]) == ("We do.", contact(caller, vendor)["_id"])
    assert (await caller.report(sent(vendor, reply.id, wamid="w1")))[0].result == "done"
    assert log(caller, reply.id)["status"] == "accepted"


async def test_the_same_answer_brings_the_same_message(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    answer = _answered(vendor, asked.id)
    (first,) = await _answer(caller, answer)
    (again,) = await _answer(caller, answer)
    assert effects_of(first) == effects_of(again)
    (reply,) = sends(first)
    await caller.report(sent(vendor, reply.id))
    (late,) = await _answer(caller, answer)
    assert late.effects == []
    outgoing = caller.backend.rows(
        "whatsapp_message_logs", vendors__id=vendor.id, is_incoming_message=0
    )
    assert len(outgoing) == 1


@pytest.mark.parametrize("name", ["failed", "unknown"])
async def test_an_answer_that_was_given_up_is_not_sent_again(
    caller: Caller, vendor: Vendor, name: str
) -> None:
    answer = _answered(vendor, (await _ask(caller, vendor)).id)
    (result,) = await _answer(caller, answer)
    await caller.report(outcome(vendor, sends(result)[0].id, name))
    assert (await _answer(caller, answer))[0].effects == []


async def test_a_newer_message_makes_it_stale(caller: Caller, vendor: Vendor) -> None:
    first = await _ask(caller, vendor)
    second = await _ask(caller, vendor, "Hello?")
    stale, fresh = await _answer(
        caller, _answered(vendor, first.id), _answered(vendor, second.id, text="Yes.")
    )
    assert (stale.result, stale.reason, stale.effects) == ("ignored", "stale", [])
    assert texts(sends(fresh)) == ["Yes."]


async def test_a_persons_reply_makes_it_stale(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    await caller.process(echo(vendor, message_object("wamid.echo", "99900000000", to=CUSTOMER)))
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    assert (result.result, result.reason, result.effects) == ("ignored", "stale", [])


async def test_a_reply_typed_in_the_application_makes_it_stale(
    caller: Caller, vendor: Vendor
) -> None:
    asked = await _ask(caller, vendor)
    await caller.process(echo(vendor, message_object("wamid.user", "99900000000", to=CUSTOMER)))
    caller.backend.change("whatsapp_message_logs", {"messaged_by_users__id": 7}, wamid="wamid.user")
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    assert (result.result, result.reason) == ("ignored", "stale")


async def test_another_contacts_message_does_not(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    other = says(vendor, "Hi", sender="999700000002")
    await caller.process(other)
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    assert texts(sends(result)) == ["We do."]


async def test_a_campaigns_message_does_not(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    campaign = caller.backend.seed_campaign(vendor, 1)
    row = campaign.row_uids[0]
    caller.backend.change(
        "whatsapp_message_queue", {"contacts__id": contact_id(caller, vendor)}, _uid=row
    )
    await caller.claim(campaign)
    await caller.report(accepted(campaign, row, wa_id=None))
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    assert texts(sends(result)) == ["We do."]


async def test_a_bots_message_does_not(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "b", "B"))
    (result,) = await caller.process(says(vendor, "b", [(bot, "is")], sender="999700000002"))
    (reply,) = sends(result)
    owner = {"contacts__id": contact_id(caller, vendor)}
    caller.backend.change("whatsapp_message_logs", owner, _uid=reply.id)
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    assert texts(sends(result)) == ["We do."]


def contact_id(caller: Caller, vendor: Vendor) -> int:
    (row,) = caller.backend.rows("contacts", vendors__id=vendor.id, wa_id=CUSTOMER)
    return int(row["_id"])


async def test_a_failure_is_told_in_the_vendors_words(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    failed = _answered(vendor, asked.id, outcome="failed", text=None, error="HTTP 500")
    (result,) = await _answer(caller, failed)
    assert texts(sends(result)) == [FAILURE]


async def test_without_words_a_failure_is_silent(caller: Caller, vendor: Vendor) -> None:
    caller.backend.set_setting(vendor, "ai_bot_failure_message", "")
    asked = await _ask(caller, vendor)
    failed = _answered(vendor, asked.id, outcome="failed", text=None, error="HTTP 500")
    (result,) = await _answer(caller, failed)
    assert (result.result in ("done", "ignored"), result.effects) == (True, [])


async def test_what_is_superseded_sends_nothing(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    answer = _answered(vendor, asked.id, outcome="superseded", text=None)
    (result,) = await _answer(caller, answer)
    assert (result.result in ("done", "ignored"), result.effects) == (True, [])


async def test_answers_to_no_question_are_ignored(caller: Caller, vendor: Vendor) -> None:
    asked = await _ask(caller, vendor)
    other = caller.backend.seed_vendor()
    results = await _answer(
        caller,
        _answered(vendor, str(uuid.uuid4())),
        _answered(vendor, "no uuid"),
        _answered(other, asked.id),
        _answered(Vendor("nobody", 0, (), "", "", ""), asked.id),
    )
    assert [result.result for result in results] == ["ignored"] * 4
    (result,) = await _answer(caller, _answered(vendor, asked.id))
    assert texts(sends(result)) == ["We do."]


async def test_what_is_no_request_is_refused(caller: Caller, vendor: Vendor) -> None:
    good = _answered(vendor, "a")
    requests: list[dict[str, Any]] = [
        {"answers": []},
        {"answers": [good] * 101},
        {"answers": [{**good, "outcome": "guessed"}]},
        {"answers": [{**good, "more": 1}]},
        {"answers": [{**good, "at": "now"}]},
    ]
    for request in requests:
        assert await caller.refusal(contract.AI_ANSWERS, request) == (400, "request_invalid")
