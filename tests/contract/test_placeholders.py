"""What Meta cannot show may come once more, with its content: then that takes the row, once."""

import asyncio
import uuid
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import UpdateResult
from contracts.effects import AiProvider, ForwardTarget
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import message, message_object
from tests.contract.talk import CUSTOMER, effects_of, question, says, sends, sent, texts
from tests.contract.under_test import Row, Vendor

WAMID = "wamid.Late"
PRICE = SeedBot("contains", "price", "It costs 10.")
WELCOME = SeedBot("welcome", None, "Welcome!")


def placeholder(vendor: Vendor, kind: str = "unsupported", **fields: Any) -> dict[str, Any]:
    element = message_object(WAMID, CUSTOMER, type=kind, errors=[{"code": 131051}], **fields)
    del element["text"]
    return message(vendor, element, bots={"matches": []})


def _row(caller: Caller, vendor: Vendor) -> Row:
    (row,) = caller.backend.rows(
        "whatsapp_message_logs", vendors__id=vendor.id, is_incoming_message=1
    )
    return row


def _sent(results: list[UpdateResult]) -> set[str]:
    """Return the ids of all that is to be sent."""
    effects = [effect for result in results for effect in effects_of(result)]
    return {effect.id for effect in effects if effect.kind == "send_message" and effect.id}


@pytest.mark.parametrize("kind", ["unsupported", "unknown"])
async def test_the_message_takes_the_row_and_is_answered(
    caller: Caller, vendor: Vendor, kind: str
) -> None:
    """As the first that the contact has written, too."""
    hello, price = caller.backend.seed_bots(vendor, WELCOME, PRICE)
    (first,) = await caller.process(placeholder(vendor, kind))
    assert effects_of(first) == []
    before = _row(caller, vendor)
    assert before["message"] is None
    matches = [(hello, "welcome"), (price, "contains")]
    (result,) = await caller.process(says(vendor, "the price?", matches, wamid=WAMID))
    assert texts(sends(result)) == ["Welcome!", "It costs 10."]
    row = _row(caller, vendor)
    assert (row["_uid"], row["message"]) == (before["_uid"], "the price?")
    assert row["__data"]["message"]["type"] == "text"
    assert "unanswered" not in row["__data"]["sidecar"]


async def test_it_is_answered_once(caller: Caller, vendor: Vendor) -> None:
    (price,) = caller.backend.seed_bots(vendor, PRICE)
    text = says(vendor, "the price?", [(price, "contains")], wamid=WAMID)
    await caller.process(placeholder(vendor))
    results = [
        *await caller.process(text, placeholder(vendor), text),
        *await caller.process(placeholder(vendor)),
        *await caller.process(text),
    ]
    (uid,) = _sent(results)
    await caller.report(sent(vendor, uid))
    assert _sent(await caller.process(text, placeholder(vendor))) == set()
    assert _row(caller, vendor)["message"] == "the price?"


async def test_both_in_one_request(caller: Caller, vendor: Vendor) -> None:
    (price,) = caller.backend.seed_bots(vendor, PRICE)
    text = says(vendor, "the price?", [(price, "contains")], wamid=WAMID)
    results = await caller.process(placeholder(vendor), placeholder(vendor), text, text)
    assert [texts(sends(one)) for one in results] == [[], [], ["It costs 10."], ["It costs 10."]]
    assert len(_sent(results)) == 1
    assert _row(caller, vendor)["message"] == "the price?"


async def test_the_message_stays_if_it_came_first(caller: Caller, vendor: Vendor) -> None:
    (price,) = caller.backend.seed_bots(vendor, PRICE)
    text = says(vendor, "the price?", [(price, "contains")], wamid=WAMID)
    results = await caller.process(text)
    results += await caller.process(placeholder(vendor))
    assert len(_sent(results)) == 1
    row = _row(caller, vendor)
    assert (row["message"], row["__data"]["message"]["type"]) == ("the price?", "text")


@pytest.mark.parametrize("text_first", [False, True])
async def test_both_at_the_same_moment(caller: Caller, vendor: Vendor, text_first: bool) -> None:
    (price,) = caller.backend.seed_bots(vendor, PRICE)
    text = says(vendor, "the price?", [(price, "contains")], wamid=WAMID)
    pair = [text, placeholder(vendor)] if text_first else [placeholder(vendor), text]
    answers = await asyncio.gather(*(caller.process(one) for one in pair * 4))
    results = [result for results in answers for result in results]
    assert {result.result for result in results} == {"done"}
    assert len(_sent(results)) == 1
    assert _row(caller, vendor)["message"] == "the price?"
    rows = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert len(rows) == 2


async def test_the_ai_is_asked_about_it(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(
        vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="k", model="m")
    )
    await caller.process(placeholder(vendor))
    (result,) = await caller.process(says(vendor, "Do you ship?", wamid=WAMID))
    assert [one.content for one in question(result).messages] == ["Do you ship?"]
    assert question(result).id == _row(caller, vendor)["_uid"]


async def test_both_are_forwarded(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(vendor, forward=ForwardTarget(url="http://127.0.0.1:1/"))
    text = says(vendor, "Hi", wamid=WAMID)
    results = [
        *await caller.process(placeholder(vendor)),
        *await caller.process(text),
        *await caller.process(text),
    ]
    first, second, again = [[effect["id"] for effect in one.effects] for one in results]
    assert len(first) == 1
    assert first != second
    assert second == again


async def test_a_raw_webhook_brings_the_message_too(caller: Caller, vendor: Vendor) -> None:
    raw = contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid)
    for update in (placeholder(vendor), says(vendor, "Hi", wamid=WAMID), placeholder(vendor)):
        assert (await caller.call(raw, update["payload"]))["result"] == "done"
    assert _row(caller, vendor)["message"] == "Hi"


async def test_another_vendors_row_is_not_taken(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    await caller.process(placeholder(vendor), says(other, "Hi", wamid=WAMID))
    assert _row(caller, vendor)["message"] is None
    assert _row(caller, other)["message"] == "Hi"


async def test_letter_for_letter(caller: Caller, vendor: Vendor) -> None:
    await caller.process(placeholder(vendor), says(vendor, "Hi", wamid=WAMID.lower()))
    rows = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [(row["wamid"], row["message"]) for row in rows] == [
        (WAMID, None),
        (WAMID.lower(), "Hi"),
    ]


async def test_the_row_may_be_the_crons(caller: Caller, vendor: Vendor) -> None:
    """Its ``_uid`` follows from nothing."""
    await caller.process(placeholder(vendor))
    uid = str(uuid.uuid4())
    caller.backend.change("whatsapp_message_logs", {"_uid": uid}, vendors__id=vendor.id)
    for _ in range(2):
        (result,) = await caller.process(says(vendor, "Hi", wamid=WAMID))
        assert result.result == "done"
    row = _row(caller, vendor)
    assert (row["_uid"], row["message"]) == (uid, "Hi")
