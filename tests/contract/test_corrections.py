"""Edits and revokes change the message that they name, and are none themselves."""

import asyncio
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import UpdateMessageStatusesAnswer
from contracts.effects import AiProvider, ForwardTarget
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import T0, echo, message, message_object, now_ms
from tests.contract.talk import CUSTOMER, question, says
from tests.contract.under_test import Row, Vendor

BUSINESS = "99900000000"


def edit(
    wamid: str, named: Any, text: str | None = "new", *, at: int = T0, **fields: Any
) -> dict[str, Any]:
    """Return the element of an edit, of a text or of what ``fields`` say."""
    content = {"type": "text", "text": {"body": text}, **fields}
    correction = {"original_message_id": named, "message": content}
    return correcting(wamid, "edit", correction, at=at)


def revoke(wamid: str, named: Any, *, at: int = T0) -> dict[str, Any]:
    return correcting(wamid, "revoke", {"original_message_id": named}, at=at)


def correcting(wamid: str, kind: str, correction: Any, *, at: int = T0) -> dict[str, Any]:
    element = message_object(wamid, CUSTOMER, type=kind, timestamp=str(at), **{kind: correction})
    del element["text"]
    return element


def _logs(caller: Caller, vendor: Vendor) -> list[Row]:
    return caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)


async def _row(caller: Caller, vendor: Vendor) -> Row:
    (row,) = _logs(caller, vendor)
    return row


@pytest.fixture
async def said(caller: Caller, vendor: Vendor) -> str:
    """The wamid of a message with the text "old"."""
    await caller.process(says(vendor, "old", wamid="wamid.Said"))
    return "wamid.Said"


async def _apply(caller: Caller, vendor: Vendor, *elements: dict[str, Any]) -> list[str | None]:
    """Return the reasons for which updates are ignored."""
    results = await caller.process(*(message(vendor, element) for element in elements))
    assert all((one.result == "ignored") == (one.reason is not None) for one in results)
    return [one.reason for one in results]


async def test_an_edit_changes_the_text(caller: Caller, vendor: Vendor, said: str) -> None:
    assert await _apply(caller, vendor, edit("wamid.e", said, at=T0 + 60)) == [None]
    row = await _row(caller, vendor)
    assert (row["message"], row["wamid"]) == ("new", said)
    assert row["__data"]["message"]["text"] == {"body": "old"}
    sidecar = row["__data"]["sidecar"]
    assert sidecar["edited_at"] == (T0 + 60) * 1000
    (entry,) = sidecar["corrections"]
    assert entry["replaced"] == "old"
    assert entry["message"] == {"type": "text", "text": {"body": "new"}}


async def test_a_revoke_empties_it(caller: Caller, vendor: Vendor, said: str) -> None:
    assert await _apply(caller, vendor, revoke("wamid.r", said, at=T0 + 60)) == [None]
    row = await _row(caller, vendor)
    assert row["message"] is None
    assert row["__data"]["message"]["text"] == {"body": "old"}
    assert row["__data"]["sidecar"]["revoked_at"] == (T0 + 60) * 1000
    assert row["__data"]["sidecar"]["corrections"][0]["replaced"] == "old"


async def test_what_comes_again_changes_nothing(caller: Caller, vendor: Vendor, said: str) -> None:
    first, second = edit("wamid.e1", said, "one"), edit("wamid.e2", said, "two")
    await _apply(caller, vendor, first, second)
    row = await _row(caller, vendor)
    assert row["message"] == "two"
    for again in (first, second, first):
        assert await _apply(caller, vendor, again) == [None]
    assert (await _row(caller, vendor))["__data"] == row["__data"]
    assert (await _row(caller, vendor))["message"] == "two"


async def test_an_older_edit_undoes_nothing(caller: Caller, vendor: Vendor, said: str) -> None:
    newer, older = edit("wamid.e2", said, "two", at=T0 + 60), edit("wamid.e1", said, "one")
    await _apply(caller, vendor, newer, older)
    row = await _row(caller, vendor)
    assert row["message"] == "two"
    assert row["__data"]["sidecar"]["edited_at"] == (T0 + 60) * 1000
    kept = [entry["message"]["text"]["body"] for entry in row["__data"]["sidecar"]["corrections"]]
    assert kept == ["two", "one"]


async def test_what_was_revoked_stays_so(caller: Caller, vendor: Vendor, said: str) -> None:
    await _apply(
        caller,
        vendor,
        edit("wamid.e1", said, "one"),
        revoke("wamid.r", said),
        edit("wamid.e2", said, "two", at=T0 + 60),
        revoke("wamid.r2", said, at=T0 + 60),
    )
    row = await _row(caller, vendor)
    assert row["message"] is None
    assert row["__data"]["sidecar"]["revoked_at"] == T0 * 1000
    replaced = [entry.get("replaced") for entry in row["__data"]["sidecar"]["corrections"]]
    assert replaced == ["old", "one", None, None]


async def test_the_message_itself_may_come_again(caller: Caller, vendor: Vendor, said: str) -> None:
    await _apply(caller, vendor, edit("wamid.e", said))
    await caller.process(says(vendor, "old", wamid=said))
    assert (await _row(caller, vendor))["message"] == "new"


async def test_a_caption_is_edited(caller: Caller, vendor: Vendor) -> None:
    image = {"id": "1", "caption": "old"}
    await caller.process(says(vendor, "", wamid="wamid.i", type="image", image=image))
    for wamid, caption in (("wamid.e1", {"caption": "new"}), ("wamid.e2", {})):
        element = edit(wamid, "wamid.i", None, type="image", image={"id": "1", **caption})
        assert await _apply(caller, vendor, element) == [None]
        assert (await _row(caller, vendor))["message"] == caption.get("caption")


async def test_the_businesss_own_phone_corrects_too(caller: Caller, vendor: Vendor) -> None:
    sent = message_object("wamid.echo", BUSINESS, to=CUSTOMER)
    changed = {**edit("wamid.e", "wamid.echo"), "from": BUSINESS, "to": CUSTOMER}
    deleted = {**revoke("wamid.r", "wamid.echo"), "from": BUSINESS, "to": CUSTOMER}
    await caller.process(echo(vendor, sent))
    for element, text in ((changed, "new"), (deleted, None)):
        for _ in range(2):
            (result,) = await caller.process(echo(vendor, element))
            assert result.result == "done"
            row = await _row(caller, vendor)
            assert (row["message"], row["is_incoming_message"]) == (text, 0)


@pytest.mark.parametrize(
    "element",
    [
        edit("wamid.e", "wamid.never"),
        edit("wamid.e", "wamid.said"),  # of other letters than wamid.Said
        edit("wamid.e", None),
        edit("wamid.e", ["wamid.Said"]),
        revoke("wamid.r", "wamid.never"),
        revoke("wamid.r", ""),
        correcting("wamid.e", "edit", None),
        correcting("wamid.e", "edit", []),
        correcting("wamid.r", "revoke", "wamid.Said"),
    ],
)
async def test_a_message_that_is_not_there(
    caller: Caller, vendor: Vendor, said: str, element: dict[str, Any]
) -> None:
    before = await _row(caller, vendor)
    assert await _apply(caller, vendor, element) == ["message_unknown"]
    assert await _row(caller, vendor) == before


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], "new", {}, {"type": "text"}, {"type": "text", "text": {"body": ""}}),
        *({"type": ["text"], "text": {"body": "new"}}, {"type": {}}, {"type": "of_tomorrow"}),
    ],
)
async def test_an_edit_without_a_text_changes_nothing(
    caller: Caller, vendor: Vendor, said: str, content: Any
) -> None:
    correction = {"original_message_id": said, "message": content}
    element = correcting("wamid.e", "edit", correction)
    assert await _apply(caller, vendor, element) == ["edit_without_text"]
    assert (await _row(caller, vendor))["message"] == "old"


async def test_another_vendors_message_is_not_changed(
    caller: Caller, vendor: Vendor, said: str
) -> None:
    other = caller.backend.seed_vendor()
    elements = (edit("wamid.e", said), revoke("wamid.r", said))
    assert await _apply(caller, other, *elements) == ["message_unknown"] * 2
    assert (await _row(caller, vendor))["message"] == "old"
    assert _logs(caller, other) == []


async def test_nobody_answers_an_edit(caller: Caller, vendor: Vendor, said: str) -> None:
    (bot,) = caller.backend.seed_bots(vendor, SeedBot("contains", "price", "It costs 10."))
    match = {"bot_uid": bot, "trigger_type": "contains", "trigger": "price"}
    element = edit("wamid.e", said, "what is the price?")
    for bots in ({"matches": [match]}, None):
        (result,) = await caller.process(message(vendor, element, bots=bots))
        assert (result.result, result.effects) == ("done", [])


async def test_a_correction_is_forwarded_under_one_id(
    caller: Caller, vendor: Vendor, said: str
) -> None:
    caller.backend.seed_effects(vendor, forward=ForwardTarget(url="http://127.0.0.1:1/"))
    results = []
    for element in (edit("wamid.e", said), revoke("wamid.r", said)) * 2:
        (result,) = await caller.process(message(vendor, element))
        results.append([(effect["kind"], effect["id"]) for effect in result.effects])
    assert results[:2] == results[2:]
    assert [kind for ((kind, _),) in results[:2]] == ["forward", "forward"]
    assert results[0] != results[1]


async def test_corrections_come_in_raw_webhooks(caller: Caller, vendor: Vendor, said: str) -> None:
    raw = contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid)
    for _ in range(2):
        update = message(vendor, edit("wamid.e", said))
        assert (await caller.call(raw, update["payload"]))["result"] == "done"
    assert (await _row(caller, vendor))["message"] == "new"


async def test_an_edit_with_the_messages_own_id(caller: Caller, vendor: Vendor, said: str) -> None:
    assert await _apply(caller, vendor, edit(said, said), edit(said, said)) == [None, None]
    assert (await _row(caller, vendor))["message"] == "new"


async def test_several_at_once(caller: Caller, vendor: Vendor, said: str) -> None:
    """None undoes another, and each is kept once."""
    elements = [edit(f"wamid.e{n}", said, f"text {n}", at=T0 + n) for n in range(8)]
    await asyncio.gather(*(_apply(caller, vendor, one) for one in elements * 2))
    row = await _row(caller, vendor)
    assert row["message"] == "text 7"
    ids = [entry["id"] for entry in row["__data"]["sidecar"]["corrections"]]
    assert sorted(ids) == [f"wamid.e{n}" for n in range(8)]


async def test_a_long_text_is_cut_as_any(caller: Caller, vendor: Vendor, said: str) -> None:
    assert await _apply(caller, vendor, edit("wamid.e", said, "é" * 80_000)) == [None]
    row = await _row(caller, vendor)
    assert row["message"] == "é" * 32_767
    (entry,) = row["__data"]["sidecar"]["corrections"]
    assert len(entry["message"]["text"]["body"]) == 80_000


async def test_a_revoked_question_is_not_answered(caller: Caller, vendor: Vendor) -> None:
    caller.backend.seed_effects(
        vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="k", model="m")
    )
    (result,) = await caller.process(says(vendor, "Do you ship?", wamid="wamid.q"))
    await _apply(caller, vendor, revoke("wamid.r", "wamid.q"))
    answer = {"id": question(result).id, "vendor_uid": vendor.uid, "outcome": "answered"}
    found = await caller.call(
        contract.AI_ANSWERS, {"answers": [{**answer, "text": "We do.", "at": now_ms()}]}
    )
    (dropped,) = UpdateMessageStatusesAnswer.model_validate(found).results
    assert (dropped.result, dropped.reason) == ("ignored", "stale")
