"""Tries to sign in, by name and by address."""

import asyncio

import pytest

from sidecar.console.attempts import (
    KNOWN_S,
    LIMITS,
    MAX_OF_USER,
    MAX_STRANGERS,
    WINDOW_S,
    Attempts,
    TooManyTries,
)
from sidecar.redis.client import Redis


async def tries(attempts: Attempts, name: str, address: str) -> int:
    """Return how many tries are let through, of more than are."""
    for number in range(100):
        try:
            await attempts.begin(name, address)
        except TooManyTries:
            return number
    raise AssertionError("all were let through")


async def test_a_name_wherever_it_is_tried_from(redis: Redis) -> None:
    attempts = Attempts(redis)
    for number in range(LIMITS["name"]):
        await attempts.begin("ada", f"10.0.0.{number}")
    with pytest.raises(TooManyTries) as refused:
        await attempts.begin("ada", "10.0.1.1")
    assert refused.value.scope == "name"
    assert 0 < refused.value.wait_s <= WINDOW_S
    await attempts.begin("grace", "10.0.1.1")


async def test_an_address_whatever_names_it_tries(redis: Redis) -> None:
    attempts = Attempts(redis)
    for number in range(LIMITS["address"]):
        await attempts.begin(f"name {number}", "10.0.0.1")
    with pytest.raises(TooManyTries) as refused:
        await attempts.begin("ada", "10.0.0.1")
    assert refused.value.scope == "address"
    await attempts.begin("ada", "10.0.0.2")


async def test_many_at_once_are_all_counted(redis: Redis) -> None:
    attempts = Attempts(redis)
    ends = await asyncio.gather(
        *(attempts.begin("ada", f"10.0.0.{n}") for n in range(30)), return_exceptions=True
    )
    assert ends.count(None) == LIMITS["name"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("no address", "no address", True),
    ],
)
async def test_what_is_one_address(redis: Redis, one: str, other: str, same: bool) -> None:
    attempts = Attempts(redis)
    for number in range(LIMITS["address"]):
        await attempts.begin(f"name {number}", one)
    assert (await tries(attempts, "ada", other) == 0) is same


async def test_who_succeeds_begins_anew(redis: Redis) -> None:
    attempts = Attempts(redis)
    for _ in range(5 * LIMITS["name"]):
        await attempts.begin("ada", "10.0.0.1")
        await attempts.succeeded("ada", "10.0.0.1")
    assert await tries(attempts, "ada", "10.0.0.1") == LIMITS["name"]


async def test_nobody_elsewhere_keeps_somebody_out(redis: Redis) -> None:
    attempts = Attempts(redis)
    await attempts.begin("ada", "10.0.0.1")
    await attempts.succeeded("ada", "10.0.0.1")
    assert await tries(attempts, "ada", "10.6.6.6") == LIMITS["name"]
    assert await tries(attempts, "ada", "10.0.0.1") == LIMITS["name"]
    assert await tries(attempts, "ada", "10.0.0.2") == 0


async def test_a_success_does_not_forget_the_addresses_other_tries(redis: Redis) -> None:
    attempts = Attempts(redis)
    for number in range(LIMITS["address"] - 1):
        await attempts.begin(f"name {number}", "10.0.0.1")
    await attempts.begin("ada", "10.0.0.1")
    await attempts.succeeded("ada", "10.0.0.1")
    assert await tries(attempts, "grace", "10.0.0.1") == 1


async def test_a_name_can_be_freed(redis: Redis) -> None:
    attempts = Attempts(redis)
    assert await tries(attempts, "ada", "10.0.0.1") == LIMITS["name"]
    await attempts.forget("ada")
    await attempts.succeeded("ada", "10.0.0.9")
    assert await tries(attempts, "ada", "10.0.0.9") == LIMITS["name"]
    await attempts.forget("ada")
    assert await tries(attempts, "ada", "10.0.0.9") == LIMITS["name"]
    assert await tries(attempts, "ada", "10.0.0.2") == LIMITS["name"]


async def test_all_counts_expire_and_hold_no_name(redis: Redis) -> None:
    attempts = Attempts(redis)
    await attempts.begin("ada", "10.0.0.1")
    await attempts.succeeded("ada", "10.0.0.1")
    await attempts.succeeded("ada", "10.0.0.9")  # its count has expired meanwhile
    await attempts.is_recorded()
    await attempts.is_recorded("ada")
    found = await redis.keys("console:*")
    assert found
    for key in found:
        longest_s = KNOWN_S if b":known:" in key else WINDOW_S
        assert 0 < await redis.ttl(key) <= longest_s
        assert b"ada" not in key
        assert b"10.0" not in key


async def test_so_much_is_recorded(redis: Redis) -> None:
    attempts = Attempts(redis)
    found = [await attempts.is_recorded() for _ in range(MAX_STRANGERS + 5)]
    assert found == [True] * MAX_STRANGERS + [False] * 5
    found = [await attempts.is_recorded("ada") for _ in range(MAX_OF_USER + 5)]
    assert found == [True] * MAX_OF_USER + [False] * 5
    assert await attempts.is_recorded("grace")
