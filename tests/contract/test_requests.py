"""What is not of the documented shape is refused with a clear message, never with a 500."""

import orjson
import pytest

from contracts import backend as contract
from tests.contract.caller import Caller, claim_request
from tests.contract.payloads import status, status_object
from tests.contract.under_test import Campaign, Vendor

JSON_ENDPOINTS = [
    contract.PROCESS_WEBHOOKS,
    contract.STORE_WEBHOOKS,
    contract.CLAIM_MESSAGES,
    contract.RELEASE_MESSAGES,
    contract.UPDATE_MESSAGE_STATUS,
    contract.UPDATE_MESSAGE_STATUSES,
    contract.DUE_CAMPAIGNS,
    contract.PENDING_WEBHOOKS,
    contract.UNKNOWN_MESSAGES,
    contract.RESOLVE_MESSAGES,
    contract.EPOCH,
    contract.VENDOR_CONFIG,
]

BODIES = [b"", b"not json", b"[]", b"null", b'{"surprise": 1}', b'{"a":' * 5000, b"\xff\xfe"]


@pytest.mark.parametrize("path", JSON_ENDPOINTS)
async def test_another_shape_is_refused(caller: Caller, path: str) -> None:
    for body in BODIES:
        answer = await caller.signed(path, body)
        assert (answer.status, answer.code) == (400, contract.ErrorCode.REQUEST_INVALID), body
        assert contract.ErrorAnswer.model_validate_json(answer.content).error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [("limit", 0), ("limit", contract.MAX_CLAIM + 1), ("limit", "many"), ("fence", 2**70)],
)
async def test_the_refusal_names_the_field(
    caller: Caller, campaign: Campaign, field: str, value: object
) -> None:
    # orjson cannot write an integer of more than 64 bits.
    request = orjson.dumps({**claim_request(campaign), field: "@"})
    body = request.replace(b'"@"', str(value).encode() if isinstance(value, int) else b'"many"')
    answer = await caller.signed(contract.CLAIM_MESSAGES, body)
    error = contract.ErrorAnswer.model_validate_json(answer.content).error
    assert (answer.status, error.code) == (400, contract.ErrorCode.REQUEST_INVALID)
    assert field in error.message


async def test_a_batch_over_the_limit_is_refused(caller: Caller, vendor: Vendor) -> None:
    updates = [status(vendor, status_object("w", "sent"))] * (contract.MAX_BATCH + 1)
    refusal = await caller.refusal(contract.PROCESS_WEBHOOKS, {"updates": updates})
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)


async def test_a_body_over_the_limit_is_refused(caller: Caller) -> None:
    body = b" " * (16 * 1024 * 1024 + 1)
    answer = await caller.signed(contract.PROCESS_WEBHOOKS, body)
    assert (answer.status, answer.code) == (413, contract.ErrorCode.BODY_TOO_LARGE)


@pytest.mark.parametrize("path", [contract.CLAIM_MESSAGES, contract.RELEASE_MESSAGES])
async def test_unknown_vendor_and_campaign(caller: Caller, campaign: Campaign, path: str) -> None:
    request = claim_request(campaign)
    if path == contract.RELEASE_MESSAGES:
        request = {name: request[name] for name in ("vendor_uid", "campaign_uid")}
    unknown = await caller.refusal(path, {**request, "vendor_uid": "nobody"})
    assert unknown == (404, contract.ErrorCode.VENDOR_UNKNOWN)
    unknown = await caller.refusal(path, {**request, "campaign_uid": "nothing"})
    assert unknown == (404, contract.ErrorCode.CAMPAIGN_UNKNOWN)


@pytest.mark.parametrize("path", [contract.CLAIM_MESSAGES, contract.RELEASE_MESSAGES])
async def test_a_campaign_of_another_vendor_is_unknown(
    caller: Caller, campaign: Campaign, path: str
) -> None:
    stranger = caller.backend.seed_vendor()
    request = {**claim_request(campaign), "vendor_uid": stranger.uid}
    if path == contract.RELEASE_MESSAGES:
        request = {name: request[name] for name in ("vendor_uid", "campaign_uid")}
    assert await caller.refusal(path, request) == (404, contract.ErrorCode.CAMPAIGN_UNKNOWN)
