"""The accounting in words: each check has its title, its total and its parts."""

from typing import Any

import pytest

from contracts.jobs import Lane
from sidecar.ops.accounting import FIRST, Accounting, Counters
from sidecar.ops.accounting_words import Equation, Term, Totals, equations
from sidecar.redis import keys
from sidecar.redis.client import Redis


async def accounts(redis: Redis, **counters: dict[Any, Any]) -> list[Accounting]:
    for vendor_uid, values in counters.items():
        await redis.sadd(keys.VENDORS, vendor_uid)
        await redis.hset(keys.counters(vendor_uid), mapping=dict[Any, Any](values))
    return await Counters(redis).read()


def totals(found: list[Accounting]) -> list[Equation]:
    together = Totals()
    for one in found:
        together.add([one])
    return together.equations()


def named(found: list[Equation], title: str) -> Equation:
    return next(one for one in found if one.title == title)


async def test_every_check_is_said_in_words(redis: Redis) -> None:
    [account] = await accounts(redis, v={"webhooks_received": 3, "webhooks_done": 3})
    found = equations(account)
    assert len(found) == len(FIRST) == len({one.title for one in found})
    webhooks = found[0]
    assert webhooks.total == Term("put into the inbox", 3)
    assert [term.count for term in webhooks.terms] == [3, 0]
    assert (webhooks.balances, webhooks.verdict) == (True, "balances")
    assert all(term.words for one in found for term in one.terms)


@pytest.mark.parametrize(
    ("done", "verdict"), [(3, "2 missing"), (8, "3 too many"), (5, "balances")]
)
async def test_the_verdict(redis: Redis, done: int, verdict: str) -> None:
    [account] = await accounts(redis, v={"webhooks_received": 5, "webhooks_done": done})
    assert equations(account)[0].verdict == verdict


def test_too_much_to_be_measured() -> None:
    one = Equation("t", Term("w", 5), [Term("x", None)], None)
    assert (one.balances, one.verdict) == (False, "cannot be told: too many wait to be measured")


async def test_all_vendors_together(redis: Redis) -> None:
    found = await accounts(
        redis,
        v={"effects": 5, "effects_done": 3, "effects_dropped": 2},
        w={"effects": 2, "effects_done": 1},
    )
    effects = named(totals(found), "Effects")
    assert effects.total.count == 7
    assert [term.count for term in effects.terms] == [4, 2, 0, 0]
    assert effects.verdict == "1 missing"
    assert named(totals([]), "Effects").balances


async def test_what_is_not_known_of_one_is_not_known_of_all(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.ops.accounting.MAX_ORDER_KEYS", 0)
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v:contact": 1})
    found = await accounts(redis, v={"updates": 1}, w={"updates": 1, "updates_done": 1})
    updates = named(totals(found), "Updates of webhooks")
    assert [term.count for term in updates.terms if "tried again" in term.words] == [None]
    assert updates.difference is None
