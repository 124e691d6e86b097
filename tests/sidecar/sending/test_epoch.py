"""How far Redis has come, as it is read."""

import pytest

from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.sending.epoch import (
    CARRIED_EVERY_S,
    NAMED_MS,
    Begun,
    Epoch,
    WentBack,
    Why,
    read_epoch,
)

RUN = {"master_replid": "b" * 40, "master_replid2": "a" * 40}
BACK = {
    b"back_at": b"9000000",
    b"back_from": b"1000000",
    b"back_to": b"1061500",
    b"back_why": b"behind",
    b"back_rows": b"7",
    b"back_replies": b"2",
}


async def test_a_redis_that_has_never_sent_has_nothing_to_compare(redis: Redis) -> None:
    epoch = await read_epoch(redis)
    assert (epoch.compared, epoch.begun, epoch.went_back) == (None, 0, None)
    assert not epoch.unchecked
    assert not epoch.failed_over


async def test_the_first_lease_to_send_begins_it(redis: Redis) -> None:
    async with Leases(redis, 1000).hold("campaign:c1"):
        epoch = await read_epoch(redis)
    assert epoch.compared == epoch.run
    assert epoch.begun == pytest.approx(now_ms() * 1000, abs=60_000_000), "by the clock"
    assert not epoch.unchecked
    await redis.hset(keys.EPOCH, "run", "another")
    assert (await read_epoch(redis)).unchecked


@pytest.mark.parametrize(
    ("compared", "followed", "kept", "failed_over"),
    [
        ("a" * 40, "a" * 40, {}, True),
        ("c" * 40, "a" * 40, {}, True),
        ("c" * 40, "0" * 40, {}, False),
        ("c" * 40, "0" * 40, {b"failed_over": b"1"}, True),
        ("b" * 40, "a" * 40, {}, False),
        (None, "a" * 40, {}, False),
    ],
    ids=["one", "two in a row", "a restart", "a restart after one", "compared", "never sent"],
)
def test_whether_a_replica_has_taken_over(
    compared: str | None, followed: str, kept: dict[bytes, bytes], failed_over: bool
) -> None:
    if compared is not None:
        kept = {**kept, b"run": compared.encode()}
    assert Epoch.load({**RUN, "master_replid2": followed}, kept).failed_over is failed_over


def test_going_back_is_told_for_a_day() -> None:
    epoch = Epoch.load(RUN, {b"run": b"b" * 40, b"begun": b"5", **BACK})
    back = WentBack(9_000_000, 1_000_000, 1_061_500, Why.BEHIND, rows=7, replies=2)
    assert epoch.went_back == back
    assert back.by_s == 61.5
    assert epoch.went_back_lately(9_000_000 + NAMED_MS - 1) == back
    assert epoch.went_back_lately(9_000_000 + NAMED_MS) is None


def test_how_far_is_not_known_of_one_that_had_sent_nothing() -> None:
    assert WentBack(9, 0, 5_000, Why.BEHIND, 0, 0).by_s == 0.0


def test_the_highest_number_is_remembered() -> None:
    begun = Begun()
    for number in (5, 3, 5):
        begun.note(number)
    assert begun.number == 5
    assert begun.at == pytest.approx(now_ms(), abs=60_000)


def test_it_is_told_when_it_is_new_and_not_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    begun = Begun()
    assert begun.due() is None, "there is nothing to tell"
    begun.note(5)
    assert begun.due() == (5, begun.at)
    assert begun.due() is None, "a call with it is under way"
    now[0] += CARRIED_EVERY_S
    assert begun.due() == (5, begun.at), "nobody said that it has arrived"
    begun.told(5)
    now[0] += CARRIED_EVERY_S
    assert begun.due() is None, "PHP has it"
    begun.note(6)
    assert begun.due() == (6, begun.at)
    begun.told(5)
    assert begun.is_news(0.0), "what arrived late was older"
