"""``store-webhooks``: raw webhooks go into PHP's own table, each once."""

import base64
import itertools
from typing import Any

from contracts import backend as contract
from tests.contract.caller import Caller
from tests.contract.payloads import T0, to_text
from tests.contract.under_test import BackendUnderTest, Row, Vendor

_ids = itertools.count()


def _webhook(vendor_uid: str, **fields: Any) -> dict[str, Any]:
    base = {
        "id": f"stored-{next(_ids)}",
        "vendor_uid": vendor_uid,
        "received_at": T0 * 1000,
        "headers": {"x-hub-signature-256": "sha256=0"},
    }
    return {**base, **fields}


async def _store(caller: Caller, *webhooks: dict[str, Any]) -> list[contract.UpdateResult]:
    answer = await caller.call(contract.STORE_WEBHOOKS, {"webhooks": list(webhooks)})
    results = contract.StoreWebhooksAnswer.model_validate(answer).results
    assert [result.id for result in results] == [webhook["id"] for webhook in webhooks]
    return results


def _stored(backend: BackendUnderTest, vendor: Vendor) -> list[Row]:
    return backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)


async def test_a_webhook_is_stored_as_pending(caller: Caller, vendor: Vendor) -> None:
    (result,) = await _store(caller, _webhook(vendor.uid, body='{"entry": [1, "ü"]}'))
    assert result.result == "done"
    (row,) = _stored(caller.backend, vendor)
    assert row["payload"] == {"entry": [1, "ü"]}
    assert row["headers"]["x-hub-signature-256"] == "sha256=0"
    assert row["status"] == "pending"
    assert row["attempted_at"] is None
    assert row["created_at"] == to_text(T0)


async def test_an_id_is_stored_once(caller: Caller, vendor: Vendor) -> None:
    first, second = _webhook(vendor.uid, body="{}"), _webhook(vendor.uid, body="{}")
    for batch in ((first, first), (first, second), (second,)):
        assert {result.result for result in await _store(caller, *batch)} == {"done"}
    assert len(_stored(caller.backend, vendor)) == 2


async def test_text_that_is_no_json_becomes_a_string(caller: Caller, vendor: Vendor) -> None:
    await _store(caller, _webhook(vendor.uid, body='not "json"'), _webhook(vendor.uid, body=""))
    assert [row["payload"] for row in _stored(caller.backend, vendor)] == ['not "json"', ""]


async def test_bytes_are_kept(caller: Caller, vendor: Vendor) -> None:
    body = b"\xff\x00{"
    encoded = base64.b64encode(body).decode()
    (result,) = await _store(caller, _webhook(vendor.uid, body_base64=encoded))
    assert result.result == "done"
    (row,) = _stored(caller.backend, vendor)
    assert base64.b64decode(row["payload"]) == body


async def test_a_webhook_without_a_body_is_ignored(caller: Caller, vendor: Vendor) -> None:
    results = await _store(
        caller, _webhook(vendor.uid), _webhook(vendor.uid, body_base64="not base64!")
    )
    assert [result.result for result in results] == ["ignored", "ignored"]
    assert _stored(caller.backend, vendor) == []


async def test_an_unknown_vendor_is_ignored(caller: Caller, vendor: Vendor) -> None:
    unknown, known = await _store(
        caller, _webhook("nobody", body="{}"), _webhook(vendor.uid, body="{}")
    )
    assert (unknown.result, unknown.reason) == ("ignored", "vendor_unknown")
    assert known.result == "done"


async def test_the_oldest_comes_first(caller: Caller, vendor: Vendor) -> None:
    await _store(caller, *(_webhook(vendor.uid, body=str(n)) for n in range(5)))
    assert [row["payload"] for row in _stored(caller.backend, vendor)] == [0, 1, 2, 3, 4]


async def test_what_is_nested_too_deeply_for_a_column_becomes_a_string(
    caller: Caller, vendor: Vendor
) -> None:
    bodies = ["[" * levels + "]" * levels for levels in (20, 40, 400)]
    await _store(caller, *[_webhook(vendor.uid, body=body) for body in bodies])
    kept = [row["payload"] for row in _stored(caller.backend, vendor)]
    assert [isinstance(payload, str) for payload in kept] == [False, True, True]
    assert kept[1:] == bodies[1:]
