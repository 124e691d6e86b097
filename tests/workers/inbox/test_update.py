"""Updates survive being written down, and are given to PHP as the contract has them."""

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import UpdateKind
from contracts.cloud_api.fields import LISTS
from tests.workers.payloads import (
    RECEIVED_AT,
    make_update,
    message,
    status,
    webhook,
)
from tests.workers.splitting import split
from workers.inbox.update import Update, with_reason

SENT = orjson.dumps(status("wamid.9", "sent"))


def kept(update: Update) -> Update:
    """Return what becomes of an update that is written down."""
    dumped = update.dump()
    loaded = Update.load(dumped)
    assert loaded.stored_bytes == len(dumped)
    loaded.stored_bytes = 0
    return loaded


@pytest.mark.parametrize("kind", [*UpdateKind, None])
def test_what_is_dumped_is_loaded_again(kind: UpdateKind | None) -> None:
    lower = [SENT] if kind is UpdateKind.STATUS else []
    before = make_update(
        kind,
        lower_statuses=lower,
        lower_around=[(b"{", b"}") for _ in lower],
        attempts=3,
        first_failed_at=12,
        reason="PHP said no",
        callback_data="row-1",
        signature="sha256=ab\xff",
        provisional=True,
        webhooks={"name": 7},
    )
    assert kept(before) == before


@pytest.mark.parametrize("name", LISTS)
def test_what_was_split_is_the_same_after_it_was_written_down(name: str) -> None:
    contact = {"wa_id": "99911", "profile": {"name": "Ada 😀"}}
    [before] = split(webhook(**{name: [message("99911", biz="ü")]}, contacts=[contact]))
    after = kept(before)
    assert after.raw_payload == before.raw_payload
    assert after.payload == before.payload
    assert after.element == before.element
    assert after.raw_element == before.raw_element
    assert after.as_update() == before.as_update()
    assert kept(after) == after


def test_the_bytes_of_a_whole_body_survive() -> None:
    body = bytes(range(256))
    assert Update.load(make_update(None, body=body).dump()).body == body


def test_a_later_version_may_add_fields_and_drop_those_with_a_default() -> None:
    values = orjson.loads(make_update().dump())
    del values["reason"]
    loaded = Update.load(orjson.dumps({**values, "added_later": 1}))
    assert loaded.reason is None


def test_another_reason_is_written_without_reading_the_rest() -> None:
    before = make_update(reason='it said "reason":1', attempts=2)
    other = 'worker died, "reason":"x"'
    after = Update.load(with_reason(before.dump(), other))
    assert after.reason == other
    after.reason, after.stored_bytes = before.reason, 0
    assert after == before


def as_the_contract_has_it(update: Update, **more: bool) -> contract.Update:
    return contract.Update.model_validate_json(update.as_update(**more))


def test_an_update_is_as_the_contract_has_it() -> None:
    one = make_update(UpdateKind.STATUS, attempts=2, lower_statuses=[SENT])
    update = as_the_contract_has_it(one)
    assert update.id == one.id
    assert update.vendor_uid == one.vendor_uid
    assert update.kind is UpdateKind.STATUS
    assert update.received_at == RECEIVED_AT
    assert update.attempt == 3
    assert update.payload == one.payload
    assert update.lower_statuses == [orjson.loads(SENT)]


def test_the_first_attempt_is_number_one_and_without_lower_statuses() -> None:
    update = orjson.loads(make_update().as_update())
    assert update["attempt"] == 1
    assert "lower_statuses" not in update
    assert "order" not in update


def test_it_names_its_order_where_there_is_another_of_it() -> None:
    assert (
        as_the_contract_has_it(make_update(order_key="v/99911"), in_order=True).order == "v/99911"
    )


def test_its_size_is_about_what_it_takes() -> None:
    for one in split(webhook(messages=[message("1", text="x" * 5000), message("2")])):
        assert len(one.as_update()) <= one.size <= len(one.as_update()) + 256
        assert len(one.dump()) <= one.size + 256
    body = make_update(None, body=bytes(9000))
    assert 9000 < body.size < 9500


@pytest.mark.parametrize("lower", [[], [SENT, SENT]])
def test_its_size_in_a_request_is_known(lower: list[bytes]) -> None:
    one = make_update(UpdateKind.STATUS, lower_statuses=lower, attempts=99)
    assert len(one.as_update()) < one.request_bytes <= len(one.as_update()) + 5


def test_updates_of_a_change_share_what_stands_before_them() -> None:
    first, second = split(webhook(messages=[message("1"), message("2")]))
    assert first.parts[0] is second.parts[0]
    assert first.raw_element == first.parts[1]


def test_one_that_is_set_aside_has_an_order_key_of_its_own() -> None:
    one, other = make_update(order_key="vendor-1/x"), make_update(order_key="vendor-1/x")
    before = one.is_aside
    one.set_aside()
    other.set_aside()
    assert (before, one.is_aside) == (False, True)
    assert one.order_key != other.order_key
    assert one.order_key.startswith("vendor-1/"), "by which the accounting finds its vendor"
    again = kept(one)
    assert again.is_aside
    again.set_aside()
    assert again.order_key == one.order_key


def test_how_often_it_was_refused_is_kept() -> None:
    assert kept(make_update(attempts=3, refused=2)).refused == 2
