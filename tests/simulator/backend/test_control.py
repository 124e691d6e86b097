"""Faults and the report, over HTTP and against a real process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import orjson
import pytest

from contracts import backend as contract
from tests.contract.caller import Answer, Caller
from tests.contract.embedded import EmbeddedBackend
from tests.contract.payloads import accepted, message, message_object, status, status_object

FAULTS = "/_simulator/faults"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBackend]:
    with EmbeddedBackend(tmp_path_factory.mktemp("faulty-backend")) as running:
        yield running


@pytest.fixture
async def caller(backend: EmbeddedBackend) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(backend, session)
        async with session.delete(backend.base_url + FAULTS) as response:
            assert response.status == 200


async def _break(caller: Caller, **fault: Any) -> None:
    answer = await caller.raw(FAULTS, orjson.dumps(fault), {})
    assert answer.status == 200, answer.content


async def _undocumented(caller: Caller, path: str, body: bytes) -> Answer:
    """Make a signed call whose answer no document allows."""
    return await caller.raw(path, body, caller.signer.headers("POST", path, body))


async def _report(caller: Caller) -> Any:
    return (await caller.raw("/_simulator/report", b"", {}, "GET")).json


@pytest.mark.parametrize(
    ("kind", "status_code", "start"),
    [
        ("http_500", 500, b"{"),
        ("html_500", 500, b"<!DOCTYPE html>"),
        ("nonsense", 200, b"]{"),
        ("empty", 200, b""),
    ],
)
async def test_wrong_answers(caller: Caller, kind: str, status_code: int, start: bytes) -> None:
    campaign = caller.backend.seed_campaign(caller.backend.seed_vendor(), 1)
    await _break(caller, kind=kind, endpoint="claim-messages", times=1)
    body = orjson.dumps(
        {
            "vendor_uid": campaign.vendor.uid,
            "campaign_uid": campaign.uid,
            "claim_uid": "c",
            "fence": 1,
            "limit": 1,
        }
    )
    answer = await _undocumented(caller, contract.CLAIM_MESSAGES, body)
    assert answer.status == status_code
    assert answer.content.startswith(start)
    assert len(answer.content) > 0 or kind == "empty"
    (row,) = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert row["status"] == 1
    assert len((await caller.claim(campaign)).rows) == 1


@pytest.mark.parametrize(("kind", "committed"), [("close", False), ("after_commit_close", True)])
async def test_lost_answers(caller: Caller, kind: str, committed: bool) -> None:
    campaign = caller.backend.seed_campaign(caller.backend.seed_vendor(), 1)
    await _break(caller, kind=kind, endpoint="claim-messages", times=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.claim(campaign)
    (row,) = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert (row["status"] == 3) is committed
    assert len((await caller.claim(campaign, recover=committed)).rows) == 1


async def test_a_hanging_call_ends_without_an_answer(caller: Caller) -> None:
    await _break(caller, kind="hang", endpoint="vendor-config", seconds=0.05, times=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": ["x"]})


async def test_a_caller_may_leave_a_hanging_call(caller: Caller) -> None:
    await _break(caller, kind="hang", endpoint="vendor-config", times=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": ["x"]})
    await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": ["x"]})


async def test_a_slow_call_is_answered(caller: Caller) -> None:
    await _break(caller, kind="slow", seconds=0.05, times=1)
    loop = asyncio.get_running_loop()
    start = loop.time()
    await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": ["x"]})
    assert loop.time() - start >= 0.05


async def test_a_poisoned_request_is_known_by_its_text(caller: Caller) -> None:
    vendor = caller.backend.seed_vendor()
    await _break(caller, kind="http_500", endpoint="process-webhooks", body_contains="deadly")
    good = message(vendor, message_object("wamid.good", "9991"))
    bad = message(vendor, message_object("wamid.deadly", "9991"))
    assert (await caller.process(good))[0].result == "done"
    body = orjson.dumps({"updates": [good, bad]})
    assert (await _undocumented(caller, contract.PROCESS_WEBHOOKS, body)).status == 500


async def test_a_fault_that_is_not_known_is_refused(caller: Caller) -> None:
    answer = await caller.raw(FAULTS, b'{"kind": "earthquake"}', {})
    assert (answer.status, answer.code) == (400, "request_invalid")


async def test_faults_are_listed(caller: Caller) -> None:
    await _break(caller, kind="slow", seconds=0, times=2)
    (fault,) = (await caller.raw(FAULTS, b"", {}, "GET")).json["faults"]
    assert (fault["kind"], fault["left"]) == ("slow", 2)


async def test_the_report_counts(caller: Caller) -> None:
    before = await _report(caller)
    vendor = caller.backend.seed_vendor()
    campaign = caller.backend.seed_campaign(vendor, 2)
    await caller.claim(campaign)
    await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
    await caller.process(
        status(vendor, status_object("wamid.nothing", "sent")),
        message(vendor, message_object("wamid.a", "9991")),
    )
    await caller.process_raw(vendor, b"hello")
    await caller.raw(contract.DUE_CAMPAIGNS, b"{}", {})
    after = await _report(caller)

    def grown(*path: str) -> int:
        old, new = before, after
        for name in path:
            old, new = old.get(name, {}), new.get(name, {})
        return int(new or 0) - int(old or 0)

    assert grown("requests", "claim-messages", "200") == 1
    assert grown("requests", "due-campaigns", "401") == 1
    assert grown("refusals", "due-campaigns", "signature_missing") == 1
    assert grown("send_results", "accepted", "done") == 2
    assert grown("updates", "status", "retry") == 1
    assert grown("updates", "message", "done") == 1
    assert grown("reasons", "message_unknown") == 1
    assert grown("raw_webhooks", "ignored:body_not_json") == 1
    assert grown("calls_with_messages") == 1
    assert after["sql_statements"] > before["sql_statements"]


async def test_a_batch_of_results_takes_a_constant_number_of_statements(caller: Caller) -> None:
    vendor = caller.backend.seed_vendor()
    counts = []
    for size in (10, 200):
        campaign = caller.backend.seed_campaign(vendor, size)
        await caller.claim(campaign, size)
        before = (await _report(caller))["sql_statements"]
        await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
        counts.append((await _report(caller))["sql_statements"] - before)
    assert counts[0] == counts[1]
    assert counts[0] <= 8
