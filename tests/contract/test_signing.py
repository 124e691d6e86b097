"""A call that is unsigned, stale, repeated, for another path or changed is refused with a reason,
and nothing happens."""

import time
from collections.abc import Callable

import orjson
import pytest

from contracts import backend as contract
from contracts.signing import (
    DEFAULT_WINDOW_S,
    KEY_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Audience,
    Refusal,
    Signer,
)
from tests.contract.caller import Answer, Caller, claim_request
from tests.contract.under_test import Campaign

PATH = contract.CLAIM_MESSAGES
Headers = dict[str, str]


def _without(name: str) -> Callable[[Headers], Headers]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def _with(name: str, value: str) -> Callable[[Headers], Headers]:
    return lambda headers: {**headers, name: value}


CHANGED_HEADERS = [
    (_without(SIGNATURE_HEADER), Refusal.SIGNATURE_MISSING),
    (_without(KEY_HEADER), Refusal.SIGNATURE_MISSING),
    (_without(TIMESTAMP_HEADER), Refusal.SIGNATURE_MISSING),
    (_without(NONCE_HEADER), Refusal.SIGNATURE_MISSING),
    (_with(TIMESTAMP_HEADER, "yesterday"), Refusal.SIGNATURE_MALFORMED),
    (_with(NONCE_HEADER, "short"), Refusal.SIGNATURE_MALFORMED),
    (_with(NONCE_HEADER, "not/one/of/ours"), Refusal.SIGNATURE_MALFORMED),
    (_with(KEY_HEADER, "nobody"), Refusal.KEY_UNKNOWN),
    (_with(NONCE_HEADER, "another-nonce"), Refusal.SIGNATURE_MISMATCH),
    (_with(SIGNATURE_HEADER, "v2=" + "0" * 64), Refusal.SIGNATURE_MISMATCH),
    (_with(SIGNATURE_HEADER, "v0=x"), Refusal.SIGNATURE_MISMATCH),
]


async def _assert_refused(
    caller: Caller, campaign: Campaign, answer: Answer, reason: Refusal
) -> None:
    assert (answer.status, answer.code) == (401, reason)
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert {row["status"] for row in rows} == {contract.QueueStatus.QUEUED}


@pytest.mark.parametrize(("change", "reason"), CHANGED_HEADERS)
async def test_changed_headers_are_refused(
    caller: Caller, campaign: Campaign, change: Callable[[Headers], Headers], reason: Refusal
) -> None:
    body = orjson.dumps(claim_request(campaign))
    answer = await caller.raw(PATH, body, change(caller.signer.headers("POST", PATH, body)))
    await _assert_refused(caller, campaign, answer, reason)


@pytest.mark.parametrize("offset_s", [-DEFAULT_WINDOW_S - 30, DEFAULT_WINDOW_S + 30])
async def test_another_time_is_refused(caller: Caller, campaign: Campaign, offset_s: int) -> None:
    signer = Signer(
        Audience.BACKEND, caller.signer.key_id, caller.signer.secret, lambda: time.time() + offset_s
    )
    body = orjson.dumps(claim_request(campaign))
    answer = await caller.raw(PATH, body, signer.headers("POST", PATH, body))
    await _assert_refused(caller, campaign, answer, Refusal.TIMESTAMP_STALE)


async def test_a_changed_byte_is_refused(caller: Caller, campaign: Campaign) -> None:
    body = orjson.dumps(claim_request(campaign))
    headers = caller.signer.headers("POST", PATH, body)
    answer = await caller.raw(PATH, body.replace(b'"limit":100', b'"limit":101'), headers)
    await _assert_refused(caller, campaign, answer, Refusal.SIGNATURE_MISMATCH)


@pytest.mark.parametrize("signed_for", ["/internal/release-messages", PATH + "?x=1", PATH + "/"])
async def test_a_signature_for_another_target_is_refused(
    caller: Caller, campaign: Campaign, signed_for: str
) -> None:
    body = orjson.dumps(claim_request(campaign))
    headers = caller.signer.headers("POST", signed_for, body)
    answer = await caller.raw(PATH, body, headers)
    await _assert_refused(caller, campaign, answer, Refusal.SIGNATURE_MISMATCH)


async def test_a_signature_for_another_method_is_refused(
    caller: Caller, campaign: Campaign
) -> None:
    body = orjson.dumps(claim_request(campaign))
    answer = await caller.raw(PATH, body, caller.signer.headers("PUT", PATH, body))
    await _assert_refused(caller, campaign, answer, Refusal.SIGNATURE_MISMATCH)


async def test_the_query_is_part_of_what_is_signed(caller: Caller, campaign: Campaign) -> None:
    target = PATH + "?trace=a%20b"
    body = orjson.dumps(claim_request(campaign))
    unsigned = await caller.raw(target, body, caller.signer.headers("POST", PATH, body))
    await _assert_refused(caller, campaign, unsigned, Refusal.SIGNATURE_MISMATCH)
    signed = await caller.raw(target, body, caller.signer.headers("POST", target, body))
    assert signed.status == 200


async def test_a_call_for_the_sidecar_is_refused(caller: Caller, campaign: Campaign) -> None:
    body = orjson.dumps(claim_request(campaign))
    signer = Signer(Audience.SIDECAR, caller.signer.key_id, caller.signer.secret)
    answer = await caller.raw(PATH, body, signer.headers("POST", PATH, body))
    await _assert_refused(caller, campaign, answer, Refusal.SIGNATURE_MISMATCH)


async def test_a_repeated_call_is_refused(caller: Caller, campaign: Campaign) -> None:
    body = orjson.dumps(claim_request(campaign, limit=1))
    headers = caller.signer.headers("POST", PATH, body)
    first = await caller.raw(PATH, body, headers)
    assert first.status == 200
    second = await caller.raw(PATH, body, headers)
    assert (second.status, second.code) == (401, Refusal.NONCE_REPEATED)
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert [row["status"] for row in rows] == [3, 1, 1]


async def test_a_refused_call_cannot_be_repeated_either(caller: Caller, campaign: Campaign) -> None:
    body = orjson.dumps({**claim_request(campaign), "campaign_uid": "nobody"})
    headers = caller.signer.headers("POST", PATH, body)
    first = await caller.raw(PATH, body, headers)
    assert first.status == 404
    second = await caller.raw(PATH, body, headers)
    assert (second.status, second.code) == (401, Refusal.NONCE_REPEATED)


async def test_every_key_is_valid(caller: Caller, campaign: Campaign) -> None:
    body = orjson.dumps(claim_request(campaign, limit=1))
    for key_id, secret in caller.backend.keys.items():
        headers = Signer(Audience.BACKEND, key_id, secret).headers("POST", PATH, body)
        assert (await caller.raw(PATH, body, headers)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        contract.PROCESS_WEBHOOK.format(vendor_uid="x"),
        contract.PROCESS_WEBHOOKS,
        contract.STORE_WEBHOOKS,
        contract.CLAIM_MESSAGES,
        contract.RELEASE_MESSAGES,
        contract.UPDATE_MESSAGE_STATUS,
        contract.UPDATE_MESSAGE_STATUSES,
        contract.DUE_CAMPAIGNS,
        contract.VENDOR_CONFIG,
    ],
)
async def test_every_endpoint_asks_for_a_signature(caller: Caller, path: str) -> None:
    answer = await caller.raw(path, b"{}", {})
    assert (answer.status, answer.code) == (401, Refusal.SIGNATURE_MISSING)
