"""``pending-webhooks``: what PHP has stored is handed over, and deleted when it is on disk
elsewhere."""

import base64
import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from tests.contract.caller import Caller
from tests.contract.payloads import T0, to_text
from tests.contract.under_test import BackendUnderTest, Vendor

TABLE = "whatsapp_webhook_queue"
BODY = b'{"entry": [ {"b":1,  "a":"Gr\xc3\xbc\xc3\x9fe"} ]}'


@pytest.fixture(autouse=True)
def empty(backend: BackendUnderTest) -> Iterator[None]:
    """What other tests have stored would be handed over too."""
    backend.delete(TABLE)
    yield
    backend.delete(TABLE)


async def _post(caller: Caller, vendor: Vendor, body: bytes = BODY, **headers: str) -> None:
    """Post a webhook to PHP's own route, as nginx does while the sidecar is down."""
    signed = {SIGNATURE_HEADER: sign(vendor.app_secret.encode(), body), **headers}
    answer = await caller.raw(f"/whatsapp-webhook/{vendor.uid}", body, signed)
    assert answer.status == 200


async def _ask(caller: Caller, **request: Any) -> contract.PendingWebhooksAnswer:
    answer = await caller.call(contract.PENDING_WEBHOOKS, request)
    return contract.PendingWebhooksAnswer.model_validate(answer)


def _uids(backend: BackendUnderTest, **where: Any) -> list[str]:
    return [row["_uid"] for row in backend.rows(TABLE, **where)]


def _content(webhook: contract.PendingWebhook) -> bytes:
    if webhook.body_base64 is not None:
        assert webhook.body is None
        return base64.b64decode(webhook.body_base64, validate=True)
    assert webhook.body is not None
    return webhook.body.encode()


def _assert_same(
    backend: BackendUnderTest, webhooks: Sequence[contract.PendingWebhook], *posted: bytes
) -> None:
    """Hold what came back to what was posted: to its value, where the column keeps no more. What
    is no value of the column's stands there in a text, of which each byte is kept."""
    found = [_content(webhook) for webhook in webhooks]
    if backend.keeps_json_text:
        assert found == list(posted)
    else:
        assert list(map(_value, found)) == list(map(_value, posted))


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


async def test_a_stored_webhook_is_returned_as_it_came(caller: Caller, vendor: Vendor) -> None:
    await _post(caller, vendor)
    caller.backend.change(TABLE, {"created_at": to_text(T0)})
    answer = await _ask(caller)
    (webhook,) = answer.webhooks
    assert [webhook.uid] == _uids(caller.backend)
    assert webhook.vendor_uid == vendor.uid
    assert webhook.received_at == T0 * 1000
    _assert_same(caller.backend, [webhook], BODY)
    headers = {name.lower(): value for name, value in webhook.headers.items()}
    assert headers[SIGNATURE_HEADER.lower()] == sign(vendor.app_secret.encode(), BODY)
    assert (answer.deleted, answer.pending) == (0, 0)


async def test_nothing_happens_to_what_is_returned(caller: Caller, vendor: Vendor) -> None:
    await _post(caller, vendor)
    before = caller.backend.rows(TABLE)
    assert await _ask(caller) == await _ask(caller)
    assert caller.backend.rows(TABLE) == before


async def test_what_was_taken_is_deleted_and_the_next_comes(caller: Caller, vendor: Vendor) -> None:
    for number in range(5):
        await _post(caller, vendor, b"%d" % number)
    first = await _ask(caller, limit=2)
    assert (len(first.webhooks), first.pending) == (2, 3)
    second = await _ask(caller, limit=2, taken=[webhook.uid for webhook in first.webhooks])
    assert [_content(webhook) for webhook in second.webhooks] == [b"2", b"3"]
    assert (second.deleted, second.pending) == (2, 1)
    assert len(caller.backend.rows(TABLE)) == 3


async def test_nothing_is_returned_with_a_limit_of_0(caller: Caller, vendor: Vendor) -> None:
    for _ in range(2):
        await _post(caller, vendor)
    answer = await _ask(caller, limit=0, taken=_uids(caller.backend)[:1])
    assert (answer.webhooks, answer.deleted, answer.pending) == ([], 1, 1)


async def test_what_was_taken_twice_or_never_was_is_passed_over(
    caller: Caller, vendor: Vendor
) -> None:
    await _post(caller, vendor)
    uids = _uids(caller.backend)
    taken = [*uids, *uids, str(uuid.uuid4()), "", "x" * 500]
    assert (await _ask(caller, taken=taken)).deleted == 1
    assert (await _ask(caller, taken=taken)).deleted == 0


async def test_the_oldest_comes_first_whatever_its_time(caller: Caller, vendor: Vendor) -> None:
    for number in range(3):
        await _post(caller, vendor, b"%d" % number)
        times = {"created_at": to_text(T0 - number)}
        caller.backend.change(TABLE, times, _uid=_uids(caller.backend)[-1])
    bodies = [_content(webhook) for webhook in (await _ask(caller)).webhooks]
    assert bodies == [b"0", b"1", b"2"]
    assert [_content(webhook) for webhook in (await _ask(caller, limit=1)).webhooks] == [b"0"]


async def test_only_pending_rows_are_returned_and_deleted(caller: Caller, vendor: Vendor) -> None:
    for _ in range(2):
        await _post(caller, vendor)
    failed, pending = _uids(caller.backend)
    caller.backend.change(TABLE, {"status": "failed"}, _uid=failed)
    answer = await _ask(caller, limit=1)
    assert ([webhook.uid for webhook in answer.webhooks], answer.pending) == ([pending], 0)
    assert (await _ask(caller, taken=[failed, pending])).deleted == 1
    assert _uids(caller.backend) == [failed]


async def test_vendors_that_are_not_on_the_sidecar_are_left_alone(
    caller: Caller, vendor: Vendor
) -> None:
    mine = caller.backend.seed_vendor()
    caller.backend.leave_to_php(vendor)
    await _post(caller, vendor)
    await _post(caller, mine)
    await _post(caller, vendor)
    answer = await _ask(caller)
    assert [webhook.vendor_uid for webhook in answer.webhooks] == [mine.uid]
    assert answer.pending == 0
    assert (await caller.due()).pending_webhooks == 1
    assert (await _ask(caller, taken=_uids(caller.backend))).deleted == 1
    assert len(_uids(caller.backend, vendors__id=vendor.id)) == 2
    assert (await caller.due()).pending_webhooks == 0


async def test_a_row_of_no_vendor_does_not_block_the_head(caller: Caller, vendor: Vendor) -> None:
    for _ in range(2):
        await _post(caller, vendor)
    nobodys, behind = _uids(caller.backend)
    caller.backend.change(TABLE, {"vendors__id": None}, _uid=nobodys)
    answer = await _ask(caller, limit=1)
    assert ([webhook.uid for webhook in answer.webhooks], answer.pending) == ([behind], 0)
    assert (await _ask(caller, taken=[nobodys, behind])).deleted == 1
    assert _uids(caller.backend) == [nobodys]
    assert (await caller.due()).pending_webhooks == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'not "json"',
        b"\xff\x00{",
        b"[]",
        b"YWJj",
        "\u2028 \U0001f600".encode(),
        # Deeper than a JSON column takes.
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"huge": 123456789012345678901234567890, "lone": "\\ud800"}',
    ],
)
async def test_whatever_was_posted_comes_back(caller: Caller, vendor: Vendor, body: bytes) -> None:
    await _post(caller, vendor, body)
    await _post(caller, vendor)
    first, second = (await _ask(caller)).webhooks
    _assert_same(caller.backend, [first, second], body, BODY)
    assert "x-sidecar-payload-encoding" not in first.headers


async def test_what_was_handed_back_comes_again(caller: Caller, vendor: Vendor) -> None:
    """Webhooks that the sidecar itself has put into the table."""
    given = {"vendor_uid": vendor.uid, "received_at": T0 * 1000, "headers": {"a": "b"}}
    stored = [
        {"id": str(uuid.uuid4()), **given, "body": "{}"},
        {"id": str(uuid.uuid4()), **given, "body_base64": base64.b64encode(b"\xff").decode()},
    ]
    await caller.call(contract.STORE_WEBHOOKS, {"webhooks": stored})
    webhooks = (await _ask(caller)).webhooks
    assert [_content(webhook) for webhook in webhooks] == [b"{}", b"\xff"]
    assert [webhook.received_at for webhook in webhooks] == [T0 * 1000] * 2
    assert [webhook.headers for webhook in webhooks] == [{"a": "b"}] * 2


@pytest.mark.parametrize(
    ("columns", "body"),
    [
        ({"payload": None, "headers": None}, b""),
        # Headers as some applications keep them, and such as nobody can read.
        ({"headers": '{"x-hub-signature-256": ["sha256=0"], "n": 1, "o": {}}'}, BODY),
        ({"headers": "[]"}, BODY),
        # It says that it is encoded, and is not.
        ({"payload": '"plain"', "headers": '{"x-sidecar-payload-encoding": "base64"}'}, b"plain"),
        ({"headers": '{"x-sidecar-payload-encoding": "base64"}'}, BODY),
    ],
)
async def test_an_odd_row_blocks_nobody(
    caller: Caller, vendor: Vendor, columns: dict[str, str | None], body: bytes
) -> None:
    await _post(caller, vendor)
    caller.backend.change(TABLE, columns)
    await _post(caller, vendor)
    first, second = (await _ask(caller)).webhooks
    _assert_same(caller.backend, [first, second], body, BODY)
    if "sha256" in (columns["headers"] or ""):
        assert first.headers[SIGNATURE_HEADER.lower()] == "sha256=0"


async def test_a_page_has_no_more_bytes_than_asked_for(caller: Caller, vendor: Vendor) -> None:
    body = orjson.dumps({"text": "ü" * 50_000})
    for _ in range(4):
        await _post(caller, vendor, body)
    answer = await _ask(caller, max_bytes=250_000)
    assert (len(answer.webhooks), answer.pending) == (2, 2)


async def test_one_webhook_is_returned_however_large(caller: Caller, vendor: Vendor) -> None:
    body = orjson.dumps({"text": "x" * 3_000_000})
    await _post(caller, vendor, body)
    await _post(caller, vendor)
    answer = await _ask(caller, max_bytes=1)
    _assert_same(caller.backend, answer.webhooks, body)
    assert answer.pending == 1


async def test_a_hint_tells_that_something_waits(caller: Caller, vendor: Vendor) -> None:
    campaign = caller.backend.seed_campaign(vendor, 1)
    assert (await caller.due()).pending_webhooks == 0
    for _ in range(3):
        await _post(caller, vendor)
    assert (await caller.due()).pending_webhooks == 3
    assert (await caller.due(campaign)).pending_webhooks == 0


async def test_what_is_left_is_counted_up_to_1000(caller: Caller, vendor: Vendor) -> None:
    webhook = {"vendor_uid": vendor.uid, "received_at": 0, "headers": {}, "body": "{}"}
    for _ in range(2):
        batch = [{"id": str(uuid.uuid4()), **webhook} for _ in range(600)]
        await caller.call(contract.STORE_WEBHOOKS, {"webhooks": batch})
    assert (await caller.due()).pending_webhooks == 1000
    answer = await _ask(caller)
    assert (len(answer.webhooks), answer.pending) == (200, 1000)
    answer = await _ask(caller, limit=1000)
    assert (len(answer.webhooks), answer.pending) == (1000, 200)


@pytest.mark.parametrize(
    "request_", [{"limit": -1}, {"limit": 1001}, {"max_bytes": 0}, {"taken": ["u"] * 1001}]
)
async def test_limits(caller: Caller, request_: dict[str, Any]) -> None:
    refusal = await caller.refusal(contract.PENDING_WEBHOOKS, request_)
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)


async def test_a_webhook_that_is_handled_twice_is_applied_once(
    caller: Caller, vendor: Vendor
) -> None:
    """By the cron, say, and by whoever has taken it over."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": vendor.phone_number_ids[0]},
        "contacts": [{"wa_id": "999777"}],
        "messages": [
            {"id": "wamid.twice", "from": "999777", "type": "text", "text": {"body": "a"}}
        ],
    }
    body = orjson.dumps(
        {"entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}
    )
    await _post(caller, vendor, body)
    (webhook,) = (await _ask(caller)).webhooks
    for _ in range(2):
        assert (await caller.process_raw(vendor, _content(webhook))).result == "done"
    assert len(caller.backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 1
