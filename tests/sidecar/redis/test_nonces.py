"""A nonce is claimed once, and one that may have been claimed is not claimed again."""

import pytest

from contracts.signing import Refusal, SignatureRefused, VerifiedCall
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.redis.nonces import Nonces

NOW = 1_800_000_000.0


def call(nonce: str = "nonce-of-a-test", signed_at: float = NOW) -> VerifiedCall:
    return VerifiedCall("k1", nonce, signed_at)


async def refused(nonces: Nonces, verified: VerifiedCall) -> Refusal:
    with pytest.raises(SignatureRefused) as refusal:
        await nonces.claim(verified, 60)
    return refusal.value.code


async def test_once_for_as_long_as_it_is_remembered(redis: Redis) -> None:
    nonces = Nonces(redis, lambda: NOW)
    await redis.set(keys.NONCES_SINCE, 0)
    await nonces.claim(call(), 60)
    assert await redis.ttl(keys.nonce("nonce-of-a-test")) == 60
    assert await refused(nonces, call()) is Refusal.NONCE_REPEATED
    await nonces.claim(call("another-nonce"), 60)


async def test_what_was_signed_before_it_began(redis: Redis) -> None:
    nonces = Nonces(redis, lambda: NOW)
    await nonces.begin()
    assert await refused(nonces, call(signed_at=NOW - 0.001)) is Refusal.NONCES_LOST
    await nonces.claim(call("another-nonce", NOW), 60)
    await nonces.begin()
    assert await redis.get(keys.NONCES_SINCE) == str(int(NOW * 1000)).encode()


@pytest.mark.parametrize("ahead_s", [0, 5])
async def test_the_first_call_after_a_wipe_may_be_an_old_one(redis: Redis, ahead_s: int) -> None:
    nonces = Nonces(redis, lambda: NOW)
    assert await refused(nonces, call(signed_at=NOW + ahead_s)) is Refusal.NONCES_LOST
    await nonces.claim(call("another-nonce", NOW + ahead_s + 1), 60)


async def test_beginning_without_redis_is_no_fault() -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    await Nonces(away).begin()
    await away.aclose()
