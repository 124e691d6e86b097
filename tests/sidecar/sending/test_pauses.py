"""Numbers and accounts that are paused until a person acts."""

import asyncio

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.pauses import LIFTED_S, Paused, Pauses

SPAM = Paused("number", "110", "vendor-1", 131048, "131048 spam limit", 1000)
LOCKED = Paused("account", "waba-1", "vendor-1", 131031, "131031 locked", 2000)


@pytest.fixture
def pauses(redis: Redis) -> Pauses:
    return Pauses(redis)


async def test_what_is_paused_the_longest_first(pauses: Pauses) -> None:
    assert await pauses.all() == []
    assert await pauses.put(LOCKED)
    assert await pauses.put(SPAM)
    assert await pauses.all() == [SPAM, LOCKED]


@pytest.mark.parametrize(
    ("scope", "id_", "shared", "name", "said"),
    [
        ("number", "110", False, "number:v/110", "number 110 of vendor v is paused: why"),
        ("account", "waba", False, "account:v/waba", "account waba of vendor v is paused: why"),
        ("account", "", False, "account:v/", "account of vendor v is paused: why"),
        ("token", "v", False, "token:v", "the access token of vendor v is paused: why"),
        (
            *("account", "waba", True, "account:waba"),
            "account waba is paused for all its vendors, by a message of v: why",
        ),
    ],
)
def test_whom_it_stops_and_by_whom(
    scope: str, id_: str, shared: bool, name: str, said: str
) -> None:
    paused = Paused(scope, id_, "v", 1, "why", 1, shared)
    assert (paused.name, str(paused)) == (name, said)
    assert Paused.load(paused.dump()) == paused


@pytest.mark.parametrize(
    ("scope", "code", "fix"),
    [
        ("number", 100, "compare the phone number id in PHP"),
        ("number", 33, "compare the phone number id in PHP"),
        ("number", 131048, "settle it in WhatsApp Manager"),
        ("account", 131031, "settle it in WhatsApp Manager"),
        ("token", 190, "enter an access token in PHP"),
    ],
)
def test_what_can_be_done(scope: str, code: int, fix: str) -> None:
    assert Paused(scope, "110", "v", code, "why", 1).fix.startswith(fix)


def test_what_an_older_version_wrote_stops_whoever_names_it() -> None:
    """As it did there; it can be resumed as ever."""
    value = b'{"scope":"number","id":"110","vendor_uid":"v","code":1,"reason":"why","at":1}'
    assert Paused.load(value).name == "number:110"


async def test_the_first_reason_stands(pauses: Pauses) -> None:
    await pauses.put(SPAM)
    assert not await pauses.put(Paused("number", "110", "vendor-1", 33, "33 gone", 9000))
    assert await pauses.all() == [SPAM]


async def test_what_happened_before_a_person_acted_pauses_nothing(
    pauses: Pauses, redis: Redis
) -> None:
    await pauses.put(SPAM)
    await pauses.put(LOCKED)
    await pauses.lift([SPAM])
    assert await pauses.all() == [LOCKED]
    assert not await pauses.put(SPAM)
    lifted_at = int(await redis.get(keys.lifted("number", "110")) or 0)
    seconds, _ = await redis.time()
    assert abs(lifted_at / 1000 - seconds) < 10
    later = Paused("number", "110", "vendor-1", 131048, "again", lifted_at + 1)
    assert await pauses.put(later)
    assert await pauses.all() == [LOCKED, later]
    assert 0 < await redis.ttl(keys.lifted("number", "110")) <= LIFTED_S


async def test_a_clock_that_is_set_back_makes_no_failure_one_of_before(
    pauses: Pauses, redis: Redis
) -> None:
    """A person acted before that, on a clock that said more."""
    seconds, _ = await redis.time()
    await redis.set(keys.lifted("number", "110"), (seconds + 1200) * 1000)
    now = Paused("number", "110", "vendor-1", 131048, "again", seconds * 1000)
    assert await pauses.put(now)


async def test_lifting_nothing(pauses: Pauses, redis: Redis) -> None:
    await pauses.lift([])
    assert await redis.keys("*") == []


async def test_many_find_out_at_once(pauses: Pauses) -> None:
    assert sum(await asyncio.gather(*(pauses.put(SPAM) for _ in range(20)))) == 1
