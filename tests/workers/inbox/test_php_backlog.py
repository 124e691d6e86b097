"""What PHP has stored while the sidecar was down is taken over: all of it, in its order."""

from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.jobs import Lane, drain
from sidecar.inbox.store import InboxReader
from tests.workers.conftest import MakeLane
from tests.workers.payloads import account, change, envelope, status, value
from tests.workers.stored_webhooks import PENDING, SIGNATURE, Stored
from workers.inbox.php_backlog import body_of, signature_of

STATUS = orjson.dumps(envelope(account(change(value(statuses=[status()])))))


# -- the way of one webhook --


async def test_what_is_stored_goes_into_the_inbox_and_out_of_the_table(stored: Stored) -> None:
    other = stored.embedded.seed_vendor()
    bodies = [b'{"a": "Gr\xc3\xbc\xc3\x9fe"}', b"\xff\x00", b"", b"not json"]
    await stored.store(*bodies, STATUS)
    await stored.store(b"[]", vendor=other)
    with capture_logs() as logs:
        assert await stored.backlog.take_over(stored.lease) is False
    assert await stored.inbox(Lane.MESSAGES) == bodies
    assert await stored.inbox(Lane.STATUSES) == [STATUS]
    assert await stored.inbox(Lane.MESSAGES, other) == [b"[]"]
    assert stored.left == 0
    assert set(stored.rung) == {drain(lane) for lane in Lane}
    assert [(log["event"], log["webhooks"]) for log in logs] == [("stored_webhooks.adopted", 6)]


async def test_metas_signature_goes_along(stored: Stored) -> None:
    await stored.store(b"{}")
    await stored.backlog.take_over(stored.lease)
    uid = stored.vendor.uid
    [entry] = (await InboxReader(stored.redis).read(Lane.MESSAGES, {uid: "0"}, 10))[uid]
    assert [webhook.signature for webhook in entry.webhooks] == [SIGNATURE.encode()]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"body": "ü"}, "ü".encode()),
        ({"body_base64": "/wA="}, b"\xff\x00"),
        ({"body_base64": "no base64!"}, b"no base64!"),
        ({"body_base64": "ü"}, "ü".encode()),
        ({"body": "a", "body_base64": None}, b"a"),
        ({}, b""),
    ],
)
def test_a_body_that_cannot_be_read_goes_on_as_it_stands(
    fields: dict[str, Any], body: bytes
) -> None:
    webhook = contract.PendingWebhook(uid="u", vendor_uid="v", received_at=0, **fields)
    assert body_of(webhook) == body


@pytest.mark.parametrize(
    ("headers", "signature"),
    [
        ({"x-hub-signature-256": SIGNATURE}, SIGNATURE.encode()),
        ({"A": "b", "X-Hub-Signature-256": SIGNATURE}, SIGNATURE.encode()),
        ({"x-hub-signature-256": f"{SIGNATURE}\r\nx: y"}, b""),
        ({"x-hub-signature-256": "sha256=ü"}, b""),
        ({}, b""),
    ],
)
def test_only_a_signature_counts_as_one(headers: dict[str, str], signature: bytes) -> None:
    webhook = contract.PendingWebhook(uid="u", vendor_uid="v", received_at=0, headers=headers)
    assert signature_of(webhook) == signature


async def test_nothing_is_stored(stored: Stored) -> None:
    with capture_logs() as logs:
        assert await stored.backlog.take_over(stored.lease) is False
    assert (len(stored.php.to(PENDING)), logs, stored.rung) == (1, [], [])


# -- many of them --


async def test_page_by_page_until_nothing_is_left(stored: Stored, small_pages: None) -> None:
    bodies = [b"%d" % number for number in range(10)]
    await stored.store(*bodies)
    assert await stored.backlog.take_over(stored.lease) is False
    assert await stored.inbox(Lane.MESSAGES) == bodies
    assert [len(uids) for uids in stored.named()] == [3, 3, 3, 1]
    assert [call.json for call in stored.fetched()] == [{"limit": 3}] * 4


async def test_a_large_page_is_written_in_parts(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its bytes, of which a character has up to four."""
    monkeypatch.setattr("workers.inbox.php_backlog.WRITE_BYTES", 100_000)
    monkeypatch.setattr("workers.inbox.php_backlog.WRITE_WEBHOOKS", 4)
    backlog = stored.another()
    sizes = [30_000, 30_000, 30_000, 10_000, 1, 100_001, 1, 1, 1, 1, 1]
    bodies = [("€" * (size // 3)).encode() + b"x" * (size % 3) for size in sizes]
    await stored.store(*bodies)
    assert await backlog.take_over(stored.lease) is False
    assert await stored.inbox(Lane.MESSAGES) == bodies
    assert backlog._inbox.writes == 5
    assert stored.left == 0


async def test_it_makes_room_for_other_things(
    stored: Stored, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inbox.php_backlog.MAX_RUN_S", 0.0001)
    await stored.store(*[b"{}"] * 7)
    for left in (4, 1):
        assert await stored.backlog.take_over(stored.lease) is True
        assert stored.left == left
    assert await stored.backlog.take_over(stored.lease) is False
    assert stored.left == 0


async def test_nothing_is_taken_while_much_waits_in_the_inbox(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, make_lane: MakeLane
) -> None:
    monkeypatch.setattr("workers.inbox.php_backlog.MAX_RUN_S", 0.2)
    monkeypatch.setattr("workers.inbox.php_backlog.ROOM", {Lane.MESSAGES: 3, Lane.STATUSES: 100})
    lane = make_lane(Lane.MESSAGES)
    for vendor in ("a", "b", "c"):
        await lane.receive(b"{}", vendor=vendor)
    await stored.store(b"1")
    assert await stored.backlog.take_over(stored.lease) is True
    assert (stored.left, stored.php.to(PENDING)) == (1, [])
    await lane.drain_when_it_may()
    assert await stored.backlog.take_over(stored.lease) is False
    assert stored.left == 0
