"""``pending-effects``: what PHP has asked for, and of which it does not know what became."""

from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import PendingEffectsAnswer
from contracts.effects import AiProvider, AiReply, parse_effect
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import RATE_ERROR, now_ms, status, status_object, to_ms
from tests.contract.talk import log, outcome, question, says, sent
from tests.contract.under_test import Vendor

LOGS = "whatsapp_message_logs"
OLD = "2025-01-01 00:00:00"


async def _page(caller: Caller, kind: str, **fields: Any) -> PendingEffectsAnswer:
    answer = await caller.call(contract.PENDING_EFFECTS, {"kind": kind, **fields})
    return PendingEffectsAnswer.model_validate(answer)


async def _pages(caller: Caller, vendor: Vendor, kind: str, **fields: Any) -> list[dict[str, Any]]:
    """Return a vendor's effects, of all pages."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = await _page(caller, kind, after=after, **fields)
        for one in page.results:
            found += one.effects if one.vendor_uid == vendor.uid else []
        after = page.next
        if after is None:
            return found


async def _messages(caller: Caller, vendor: Vendor, **fields: Any) -> list[dict[str, Any]]:
    return await _pages(caller, vendor, "send_message", **{"older_than_s": 0, **fields})


async def _questions(caller: Caller, vendor: Vendor, **fields: Any) -> list[str]:
    found = await _pages(caller, vendor, "ai_reply", **fields)
    return [effect["id"] for effect in found]


async def _reply(caller: Caller, vendor: Vendor) -> dict[str, Any]:
    """Have a bot answer, and return the effect."""
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
    (result,) = await caller.process(says(vendor, "open", [(bot, "is")]))
    (effect,) = result.effects
    return dict(effect)


# -- messages --


async def test_a_message_that_waits_is_listed_as_it_was_asked_for(
    caller: Caller, vendor: Vendor
) -> None:
    effect = await _reply(caller, vendor)
    assert "asked_at" not in effect
    (found,) = await _messages(caller, vendor)
    asked_at = to_ms(log(caller, effect["id"])["created_at"])
    assert found == {**effect, "asked_at": asked_at}
    assert abs(asked_at - now_ms()) < 60_000
    assert await _messages(caller, vendor) == [found], "nothing is done to it"


async def test_phps_clock_is_told(caller: Caller) -> None:
    before = now_ms()
    page = await _page(caller, "send_message")
    assert before - 1000 <= page.now <= now_ms() + 1000


async def test_only_those_that_have_waited_for_long_enough(caller: Caller, vendor: Vendor) -> None:
    young, old = await _reply(caller, vendor), await _reply(caller, vendor)
    caller.backend.change(LOGS, {"created_at": OLD}, _uid=old["id"])
    age_s = (now_ms() - to_ms(OLD)) // 1000
    for older_than_s in (60, age_s - 60):
        (found,) = await _messages(caller, vendor, older_than_s=older_than_s)
        assert (found["id"], found["asked_at"]) == (old["id"], to_ms(OLD))
    assert await _messages(caller, vendor, older_than_s=age_s + 60) == []
    assert await _messages(caller, vendor, older_than_s=10**15) == []
    assert {one["id"] for one in await _messages(caller, vendor)} == {young["id"], old["id"]}


@pytest.mark.parametrize("name", ["accepted", "failed", "unknown"])
async def test_what_became_of_it_is_known(caller: Caller, vendor: Vendor, name: str) -> None:
    uid = (await _reply(caller, vendor))["id"]
    report = (
        sent(vendor, uid) if name == "accepted" else outcome(vendor, uid, name, error=RATE_ERROR)
    )
    await caller.report(report)
    assert await _messages(caller, vendor) == []


async def test_rows_of_the_applications_own_that_are_pending(
    caller: Caller, vendor: Vendor
) -> None:
    """There is nothing to send; nor of one that has a wamid."""
    theirs, begun = await _reply(caller, vendor), await _reply(caller, vendor)
    caller.backend.change(LOGS, {"__data": '{"mine": 1}'}, _uid=theirs["id"])
    caller.backend.change(LOGS, {"wamid": "wamid.theirs"}, _uid=begun["id"])
    assert await _messages(caller, vendor) == []


async def test_they_come_page_by_page(caller: Caller, vendor: Vendor) -> None:
    uids = [(await _reply(caller, vendor))["id"] for _ in range(5)]
    page = await _page(caller, "send_message", older_than_s=0, limit=1)
    assert page.next is not None
    found = await _messages(caller, vendor, limit=2)
    assert [one["id"] for one in found] == uids


async def test_vendors_are_kept_apart(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    mine, theirs = await _reply(caller, vendor), await _reply(caller, other)
    assert [one["id"] for one in await _messages(caller, vendor)] == [mine["id"]]
    assert [one["id"] for one in await _messages(caller, other)] == [theirs["id"]]


async def test_an_update_that_comes_again_says_since_when_it_waits(
    caller: Caller, vendor: Vendor
) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("is", "open", "We open at nine."))
    update = says(vendor, "open", [(bot, "is")])
    (first,) = await caller.process(update)
    (again,) = await caller.process({**update, "attempt": 2})
    (effect,) = first.effects
    asked_at = to_ms(log(caller, effect["id"])["created_at"])
    assert again.effects == [{**effect, "asked_at": asked_at}]


async def test_a_status_settles_what_is_unknown(caller: Caller, vendor: Vendor) -> None:
    """It was sent after all: its status names the row."""
    uid = (await _reply(caller, vendor))["id"]
    await caller.report(outcome(vendor, uid, "unknown", error=RATE_ERROR, phone_number_id=""))
    assert log(caller, uid)["status"] == "unknown"
    await caller.process(status(vendor, status_object(f"wamid.{uid}", "delivered", row_uid=uid)))
    row = log(caller, uid)
    assert (row["status"], row["wamid"]) == ("delivered", f"wamid.{uid}")


# -- questions --


@pytest.fixture
def asking(vendor: Vendor, caller: Caller) -> Vendor:
    """A vendor with an AI bot."""
    caller.backend.seed_effects(vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1/v1"))
    return vendor


async def _ask(caller: Caller, vendor: Vendor, **fields: Any) -> AiReply:
    (result,) = await caller.process(says(vendor, "Do you ship?", **fields))
    return question(result)


async def _answer(caller: Caller, vendor: Vendor, uid: str) -> None:
    answer = {"id": uid, "vendor_uid": vendor.uid, "outcome": "answered", "text": "Yes.", "at": 1}
    await caller.call(contract.AI_ANSWERS, {"answers": [answer]})


async def test_a_question_without_an_answer_is_listed(caller: Caller, asking: Vendor) -> None:
    asked = await _ask(caller, asking)
    (found,) = await _pages(caller, asking, "ai_reply")
    assert parse_effect(found) == asked
    assert await _messages(caller, asking) == []


async def test_one_that_is_answered_is_not(caller: Caller, asking: Vendor) -> None:
    asked = await _ask(caller, asking)
    await _answer(caller, asking, asked.id)
    assert await _questions(caller, asking) == []
    assert len(await _messages(caller, asking)) == 1, "but the answer, which waits"


async def test_one_that_a_newer_message_has_made_stale_is_not(
    caller: Caller, asking: Vendor
) -> None:
    first = await _ask(caller, asking)
    second = await _ask(caller, asking)
    other = await _ask(caller, asking, sender="999700000002")
    found = await _questions(caller, asking)
    assert first.id not in found
    assert set(found) == {second.id, other.id}


async def test_one_of_a_contact_who_wants_no_ai_is_not(caller: Caller, asking: Vendor) -> None:
    await _ask(caller, asking)
    caller.backend.change("contacts", {"disable_ai_bot": 1}, vendors__id=asking.id)
    assert await _questions(caller, asking) == []


async def test_one_that_has_expired_is_not(caller: Caller, asking: Vendor) -> None:
    asked = await _ask(caller, asking)
    row = log(caller, asked.id)
    data = row["__data"]
    for effect in data["sidecar"]["effects"]:
        effect["expires_at"] = now_ms() - 1
    caller.backend.change(LOGS, {"__data.sidecar": data["sidecar"]}, _uid=asked.id)
    assert await _questions(caller, asking) == []


async def test_one_that_is_older_than_is_asked_for_is_not(caller: Caller, asking: Vendor) -> None:
    asked = await _ask(caller, asking)
    caller.backend.change(LOGS, {"created_at": OLD}, _uid=asked.id)
    assert await _questions(caller, asking) == []


async def test_questions_come_page_by_page_from_the_newest(caller: Caller, asking: Vendor) -> None:
    asked = [await _ask(caller, asking, sender=f"99970000010{n}") for n in range(4)]
    found = await _questions(caller, asking, limit=3)
    assert found == [one.id for one in reversed(asked)]


# -- what is refused --


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"kind": "forward"},
        {"kind": "send_message", "after": "x"},
        {"kind": "send_message", "limit": 0},
        {"kind": "ai_reply", "limit": 1001},
        {"kind": "ai_reply", "newer_than_s": -1},
    ],
)
async def test_a_request_that_is_none(caller: Caller, request_: dict[str, Any]) -> None:
    refusal = await caller.refusal(contract.PENDING_EFFECTS, request_)
    assert refusal == (400, "request_invalid")


async def test_due_campaigns_says_that_they_can_be_asked_for(caller: Caller) -> None:
    assert (await caller.due(limit=1)).lists_pending_effects
