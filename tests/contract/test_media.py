"""Media of messages: what the sidecar is asked to fetch, and what it reports."""

import asyncio
from typing import Any

import pytest

from contracts import backend as contract
from contracts.backend import UpdateMessageStatusesAnswer, UpdateResult
from contracts.effects import FetchMedia, parse_effect
from tests.contract.caller import Caller
from tests.contract.payloads import echo, message, message_object, now_ms
from tests.contract.under_test import Row, Vendor

SHA256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
SENDER = "999700000001"


def media(kind: str = "image", media_id: Any = "77", **facts: Any) -> dict[str, Any]:
    known = {"id": media_id, "mime_type": "image/jpeg", "sha256": SHA256, **facts}
    return {"type": kind, kind: known}


def update(vendor: Vendor, wamid: str, **fields: Any) -> dict[str, Any]:
    element = message_object(wamid, SENDER, **fields)
    if "text" not in fields:
        element.pop("text", None)
    return message(vendor, element)


def fetches(result: UpdateResult) -> list[FetchMedia]:
    assert result.result == "done", result.reason
    effects = [parse_effect(effect) for effect in result.effects]
    return [effect for effect in effects if isinstance(effect, FetchMedia)]


def report(vendor: Vendor, effect: FetchMedia, **known: Any) -> dict[str, Any]:
    stored = {
        "state": "stored",
        "path": f"{vendor.uid}/2026-11/{effect.id}.jpg",
        "bytes": 7,
        "mime_type": "image/jpeg",
        "sha256": "ab" * 32,
    }
    named = {"id": effect.id, "media_id": effect.media_id, "wamid": effect.wamid}
    return {**named, "vendor_uid": vendor.uid, "at": now_ms(), **(known or stored)}


async def tell(caller: Caller, *reports: dict[str, Any]) -> list[tuple[str, str | None]]:
    answer = await caller.call(contract.MEDIA, {"media": list(reports)})
    results = UpdateMessageStatusesAnswer.model_validate(answer).results
    assert [result.id for result in results] == [one["id"] for one in reports]
    return [(result.result, result.reason) for result in results]


def row(caller: Caller, vendor: Vendor, wamid: str) -> Row:
    [found] = [
        one
        for one in caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
        if one["wamid"] == wamid
    ]
    return found


@pytest.mark.parametrize("kind", ["image", "video", "document", "audio", "sticker"])
async def test_media_is_asked_for(caller: Caller, vendor: Vendor, kind: str) -> None:
    wamid = f"wamid.media.{kind}"
    [result] = await caller.process(update(vendor, wamid, **media(kind, filename="../x.php")))
    [effect] = fetches(result)
    assert effect.model_dump(exclude={"id"}) == {
        "kind": "fetch_media",
        "media_id": "77",
        "wamid": wamid,
        "type": kind,
        "mime_type": "image/jpeg",
        "sha256": SHA256,
        "filename": "../x.php",
    }
    kept = row(caller, vendor, wamid)["__data"]
    assert kept["media"] == {"id": "77", "state": "requested", "mime_type": "image/jpeg"}
    assert kept["message"][kind]["id"] == "77"


async def test_of_an_echo_too(caller: Caller, vendor: Vendor) -> None:
    element = message_object("wamid.media.echo", "1", to=SENDER, **media("image", "78"))
    [result] = await caller.process(echo(vendor, element))
    [effect] = fetches(result)
    assert effect.media_id == "78"


async def test_an_id_that_is_a_number(caller: Caller, vendor: Vendor) -> None:
    [result] = await caller.process(update(vendor, "wamid.media.int", **media(media_id=77)))
    assert [effect.media_id for effect in fetches(result)] == ["77"]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": {"body": "hi"}},
        {"type": "image", "image": {"mime_type": "image/jpeg"}},
        {"type": "image", "image": {"id": ""}},
        {"type": "image", "image": {"id": ["77"]}},
        {"type": "image", "image": "77"},
        {"type": "image"},
        {"type": "interactive", "interactive": {"button_reply": {"id": "77", "title": "x"}}},
        {"type": "location", "location": {"id": "77"}},
    ],
)
async def test_what_has_none(caller: Caller, vendor: Vendor, fields: dict[str, Any]) -> None:
    [result] = await caller.process(update(vendor, f"wamid.none.{hash(str(fields))}", **fields))
    assert fetches(result) == []


async def test_the_same_message_asks_for_the_same_until_it_is_reported(
    caller: Caller, vendor: Vendor
) -> None:
    wamid = "wamid.media.again"
    [first] = await caller.process(update(vendor, wamid, **media()))
    [again] = await caller.process(update(vendor, wamid, **media()))
    assert fetches(first) == fetches(again)
    [effect] = fetches(first)
    assert await tell(caller, report(vendor, effect)) == [("done", None)]
    [after] = await caller.process(update(vendor, wamid, **media()))
    assert fetches(after) == []


async def test_a_report_is_kept_with_the_message(caller: Caller, vendor: Vendor) -> None:
    wamid = "wamid.media.kept"
    [result] = await caller.process(update(vendor, wamid, **media()))
    [effect] = fetches(result)
    told = report(vendor, effect)
    for _ in range(2):
        assert await tell(caller, told) == [("done", None)]
        kept = row(caller, vendor, wamid)["__data"]
        assert {name: kept["media"].get(name) for name in ("id", "state", "path", "bytes")} == {
            "id": "77",
            "state": "stored",
            "path": told["path"],
            "bytes": 7,
        }
        assert kept["media"]["sha256"] == "ab" * 32
        assert kept["message"]["image"]["id"] == "77"


async def test_a_failure_is_kept_and_mended(caller: Caller, vendor: Vendor) -> None:
    wamid = "wamid.media.failed"
    [result] = await caller.process(update(vendor, wamid, **media()))
    [effect] = fetches(result)
    failed = report(vendor, effect, state="failed", reason="too_large: 9 bytes, at most 8")
    await tell(caller, failed)
    kept = row(caller, vendor, wamid)["__data"]["media"]
    assert (kept["state"], kept["reason"]) == ("failed", "too_large: 9 bytes, at most 8")
    # An operator has replayed it.
    await tell(caller, report(vendor, effect))
    # And an older report comes late.
    assert await tell(caller, failed) == [("done", None)]
    kept = row(caller, vendor, wamid)["__data"]["media"]
    assert (kept["state"], kept.get("reason")) == ("stored", None)


async def test_reports_of_many_at_once(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    wamids = [f"wamid.media.many.{n}" for n in range(3)]
    await caller.process(*(update(vendor, wamid, **media()) for wamid in wamids))
    results = await caller.process(*(update(other, wamid, **media()) for wamid in wamids[:1]))
    [effect] = fetches(results[0])
    named = [effect.model_copy(update={"wamid": wamid, "id": wamid}) for wamid in wamids]
    unknown = effect.model_copy(update={"wamid": "wamid.never"})
    nobody = report(vendor, unknown) | {"vendor_uid": "nobody"}
    told = [report(vendor, one) for one in named]
    found = await tell(caller, *told, report(vendor, unknown), nobody)
    assert found == [
        *[("done", None)] * 3,
        ("ignored", "message_unknown"),
        ("ignored", "vendor_unknown"),
    ]
    states = [row(caller, vendor, wamid)["__data"]["media"]["state"] for wamid in wamids]
    assert states == ["stored"] * 3
    assert row(caller, other, wamids[0])["__data"]["media"]["state"] == "requested"


async def test_ids_are_told_apart_by_case(caller: Caller, vendor: Vendor) -> None:
    upper, lower = "wamid.media.CASE", "wamid.media.case"
    [result, _] = await caller.process(*(update(vendor, one, **media()) for one in (upper, lower)))
    [effect] = fetches(result)
    await tell(caller, report(vendor, effect))
    assert row(caller, vendor, upper)["__data"]["media"]["state"] == "stored"
    assert row(caller, vendor, lower)["__data"]["media"]["state"] == "requested"


async def test_an_id_longer_than_its_column(caller: Caller, vendor: Vendor) -> None:
    wamid = "wamid." + "x" * 300
    [result] = await caller.process(update(vendor, wamid, **media()))
    [effect] = fetches(result)
    assert effect.wamid == wamid
    assert await tell(caller, report(vendor, effect)) == [("done", None)]
    [found] = caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert found["__data"]["media"]["state"] == "stored"


async def test_reports_of_the_same_at_the_same_time(caller: Caller, vendor: Vendor) -> None:
    wamids = [f"wamid.media.race.{n}" for n in range(20)]
    results = await caller.process(*(update(vendor, one, **media()) for one in wamids))
    effects = [effect for result in results for effect in fetches(result)]
    reports = [report(vendor, effect) for effect in effects]
    answers = await asyncio.gather(
        tell(caller, *reports), tell(caller, *reversed(reports)), tell(caller, *reports)
    )
    assert {one for answer in answers for one in answer} == {("done", None)}


async def test_a_raw_webhook_has_no_place_for_it(caller: Caller, vendor: Vendor) -> None:
    whole = update(vendor, "wamid.media.raw", **media())
    answer = await caller.call(
        contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid), whole["payload"]
    )
    assert answer["result"] == "done"
    assert "media" not in row(caller, vendor, "wamid.media.raw")["__data"]
