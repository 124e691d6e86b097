"""Items survive being written down, and become updates as the contract has them."""

import orjson
import pytest

from contracts.backend import Update, UpdateKind
from tests.workers.payloads import RECEIVED_AT, item, status
from workers.inbox.update import Update


@pytest.mark.parametrize("kind", [*UpdateKind, None])
def test_what_is_dumped_is_loaded_again(kind: UpdateKind | None) -> None:
    before = item(
        kind,
        lower_statuses=[status("wamid.9", "sent")],
        attempts=3,
        first_failed_at=12,
        reason="PHP said no",
        callback_data="row-1",
        signature="sha256=ab\xff",
    )
    assert Update.load(before.dump()) == before


def test_the_bytes_of_a_whole_body_survive() -> None:
    body = bytes(range(256))
    assert Update.load(item(None, body=body).dump()).body == body


def test_a_later_version_may_add_fields_and_drop_those_with_a_default() -> None:
    values = orjson.loads(item().dump())
    del values["reason"]
    loaded = Update.load(orjson.dumps({**values, "added_later": 1}))
    assert loaded.reason is None


def test_an_update_is_as_the_contract_has_it() -> None:
    one = item(UpdateKind.STATUS, attempts=2, lower_statuses=[status("wamid.9", "sent")])
    update = Update.model_validate_json(orjson.dumps(one.as_update()))
    assert update.id == one.id
    assert update.vendor_uid == one.vendor_uid
    assert update.kind is UpdateKind.STATUS
    assert update.received_at == RECEIVED_AT
    assert update.attempt == 3
    assert update.payload == one.payload
    assert update.lower_statuses == one.lower_statuses


def test_the_first_attempt_is_number_one_and_without_lower_statuses() -> None:
    update = item().as_update()
    assert update["attempt"] == 1
    assert "lower_statuses" not in update


def test_what_was_folded_stands_in_the_whole_payload() -> None:
    value = {"metadata": {"phone_number_id": "1"}, "statuses": [{"id": "w", "status": "read"}]}
    payload = {"object": "o", "entry": [{"id": "a", "changes": [{"field": "f", "value": value}]}]}
    item = Update("i", "v", 1, UpdateKind.STATUS, "v/w", payload=payload)
    assert item.whole_payload() is payload
    item.lower_statuses = [{"id": "w", "status": "sent"}]
    whole = item.whole_payload()
    assert whole is not None
    [change] = whole["entry"][0]["changes"]
    assert [status["status"] for status in change["value"]["statuses"]] == ["sent", "read"]
    assert change["value"]["metadata"] == value["metadata"]
    assert len(value["statuses"]) == 1, "the payload itself stays as it is"
