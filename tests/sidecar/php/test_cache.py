"""A cache of what PHP has: who shares a request, what a change does, and what a failure spoils."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from structlog.testing import capture_logs

from sidecar.php.bisect import MAX_FAILURES
from sidecar.php.cache import MAX_AT_ONCE, RETRY_S, SWEEP_S, RemoteCache
from sidecar.php.client import (
    BackendError,
    BackendFailed,
    BackendRefused,
    BackendTimedOut,
    BackendUnavailable,
)
from tests.eventually import eventually

TTL_S = 60.0
KEEP_S = 600.0


class Cache(RemoteCache[str, str]):
    """Asks this test. ``there`` is what there is; ``bad`` are keys that PHP fails on, each in its
    way. While ``open`` is not set, answers wait, and are what there was when they were asked
    for."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(
            "not_there",
            batch=10,
            ttl_s=TTL_S,
            unknown_ttl_s=10.0,
            keep_s=KEEP_S,
            clock=lambda: self.now,
        )
        self.there: dict[str, str] = {}
        self.bad: dict[str, Exception] = {}
        self.requests: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, wanted: list[str]) -> Mapping[str, str]:
        self.requests.append(wanted)
        found = {key: self.there[key] for key in wanted if key in self.there}
        bad = [self.bad[key] for key in wanted if key in self.bad]
        await self.open.wait()
        if bad:
            raise bad[0]
        return found


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    cache = Cache()
    yield cache
    await cache.close()


# -- who shares a request --


async def test_what_is_asked_for_in_one_turn_of_the_loop(cache: Cache) -> None:
    cache.there = {"a": "1", "b": "2"}
    found = await asyncio.gather(*(cache.get(key) for key in "abcab"))
    assert found == ["1", "2", None, "1", "2"]
    [request] = cache.requests
    assert sorted(request) == ["a", "b", "c"]


async def test_what_is_asked_for_while_a_request_is_under_way(cache: Cache) -> None:
    cache.open.clear()
    first = asyncio.create_task(cache.get("a"))
    await eventually(lambda: cache.requests == [["a"]])
    others = []
    for key in "bcd":
        others.append(asyncio.create_task(cache.get(key)))
        await asyncio.sleep(0)
    cache.open.set()
    await asyncio.gather(first, *others)
    assert [sorted(request) for request in cache.requests] == [["a"], ["b", "c", "d"]]


async def test_a_request_that_takes_long_does_not_hold_up_the_next(cache: Cache) -> None:
    cache.open.clear()
    questions = []
    for number in range(MAX_AT_ONCE + 2):
        questions.append(asyncio.create_task(cache.get(f"k{number}")))
        await eventually(lambda: len(cache.requests) == min(len(questions), MAX_AT_ONCE))
    assert cache.requests == [[f"k{number}"] for number in range(MAX_AT_ONCE)]
    cache.open.set()
    await asyncio.gather(*questions)
    assert sorted(cache.requests[MAX_AT_ONCE]) == ["k4", "k5"]


async def test_a_request_is_not_larger_than_it_may_be(cache: Cache) -> None:
    await asyncio.gather(*(cache.get(f"k{number}") for number in range(25)))
    assert [len(request) for request in cache.requests] == [10, 10, 5]


async def test_who_waits_comes_before_what_is_renewed(cache: Cache) -> None:
    cache.there = {f"k{number}": "old" for number in range(20)}
    await asyncio.gather(*map(cache.get, cache.there))
    cache.requests.clear()
    cache.forget(None)
    await cache.get("new")
    assert "new" in cache.requests[0]


# -- changes --


async def test_what_has_changed_is_fetched_though_nobody_asks(cache: Cache) -> None:
    cache.there = {"a": "1", "b": "1"}
    await asyncio.gather(cache.get("a"), cache.get("b"))
    cache.there = {"a": "2", "b": "2"}
    cache.forget(["a", "never asked for"])
    await eventually(lambda: cache.peek("a") == (True, "2"))
    assert cache.peek("b") == (True, "1")
    assert len(cache.requests) == 2


async def test_an_answer_from_before_the_change(cache: Cache) -> None:
    """PHP has read before it wrote: what it brings is old already."""
    cache.there = {"a": "1"}
    cache.open.clear()
    question = asyncio.create_task(cache.get("a"))
    await eventually(lambda: len(cache.requests) == 1)
    cache.there = {"a": "2"}
    cache.forget(["a"])
    cache.open.set()
    assert await question == "1"
    await eventually(lambda: cache.peek("a") == (True, "2"))
    assert len(cache.requests) == 2


async def test_a_change_while_php_is_away_is_fetched_when_it_is_back(cache: Cache) -> None:
    cache.there = {"a": "1"}
    await cache.get("a")
    cache.there = {"a": "2"}
    cache.bad = {"a": BackendUnavailable("gone")}
    cache.forget(["a"])
    await eventually(lambda: len(cache.requests) == 2)
    assert cache.peek("a") == (True, "1")
    for _ in range(3):
        cache.renew()
        await asyncio.sleep(0.01)
    assert len(cache.requests) == 2, "asked again before the pause was over"
    cache.bad = {}
    cache.now += RETRY_S
    cache.renew()
    await eventually(lambda: len(cache.requests) == 3)
    await eventually(lambda: cache.peek("a") == (True, "2"))
    cache.now += RETRY_S
    cache.renew()
    await asyncio.sleep(0.01)
    assert len(cache.requests) == 3, "asked again for what has been answered"


async def test_what_vanished_and_what_came(cache: Cache) -> None:
    cache.there = {"a": "1"}
    await cache.get("a")
    await cache.get("b")
    cache.there = {"b": "1"}
    cache.forget(["a", "b"])
    assert await cache.get("b") == "1"
    await eventually(lambda: cache.peek("a") == (True, None))


async def test_a_value_that_came_along(cache: Cache) -> None:
    cache.put("a", "1", cache.version)
    assert cache.peek("a") == (True, "1")
    before = cache.version
    cache.forget(["b"])
    cache.put("b", "old", before)
    assert cache.peek("b") == (False, None)


# -- failures --


async def test_one_key_that_php_fails_on_does_not_spoil_the_others(cache: Cache) -> None:
    cache.there = {f"k{number}": "1" for number in range(10)}
    cache.bad = {"k3": BackendFailed("boom"), "k7": BackendFailed("bang")}
    found = await asyncio.gather(*map(cache.get, cache.there), return_exceptions=True)
    assert [str(f) for f in found] == [
        "boom" if n == 3 else "bang" if n == 7 else "1" for n in range(10)
    ]
    assert [isinstance(f, BackendError) for f in found].count(True) == 2


async def test_a_php_that_fails_on_everything_is_not_asked_for_each_key(cache: Cache) -> None:
    cache._batch = 1000
    cache.bad = {f"k{number}": BackendFailed("boom") for number in range(1000)}
    found = await asyncio.gather(*map(cache.get, cache.bad), return_exceptions=True)
    assert all(isinstance(error, BackendFailed) for error in found)
    assert len(cache.requests) < 2 * MAX_FAILURES


async def test_bad_keys_in_a_row_do_not_keep_the_others_unknown(cache: Cache) -> None:
    cache._batch = 1000
    cache.there = {f"k{number}": "1" for number in range(1000)}
    cache.bad = {f"k{number}": BackendFailed("boom") for number in range(30)}
    found = await asyncio.gather(*map(cache.get, cache.there), return_exceptions=True)
    assert found[500:] == ["1"] * 500
    assert all(isinstance(error, BackendFailed) for error in found[:30])


async def test_one_key_that_php_refuses_does_not_spoil_the_others(cache: Cache) -> None:
    cache.there = {"a": "1", "b": "2"}
    cache.bad = {"a": BackendRefused(422, "invalid", "no such thing as an a")}
    found = await asyncio.gather(cache.get("a"), cache.get("b"), return_exceptions=True)
    assert isinstance(found[0], BackendFailed)
    assert found[1] == "2"


@pytest.mark.parametrize(
    "error", [BackendUnavailable("gone"), BackendRefused(401, "key_unknown", "no such key")]
)
async def test_a_php_that_is_not_there_is_asked_once_for_all(
    cache: Cache, error: BackendError
) -> None:
    cache.bad = {f"k{number}": error for number in range(35)}
    found = await asyncio.gather(*map(cache.get, cache.bad), return_exceptions=True)
    assert all(isinstance(one, BackendUnavailable) for one in found)
    assert len(cache.requests) == 1


async def test_a_time_out_is_not_repeated_at_once(cache: Cache) -> None:
    cache.bad = {"a": BackendTimedOut("no answer")}
    found = await asyncio.gather(cache.get("a"), cache.get("b"), return_exceptions=True)
    assert [type(error) for error in found] == [BackendTimedOut, BackendTimedOut]
    assert len(cache.requests) == 1


async def test_a_fault_of_ours_leaves_nobody_waiting(cache: Cache) -> None:
    cache.bad = {"a": ZeroDivisionError("ours")}
    cache.there = {"b": "1"}
    with capture_logs() as logs:
        found = await asyncio.gather(cache.get("a"), cache.get("b"), return_exceptions=True)
    assert isinstance(found[0], BackendFailed)
    assert found[1] == "1"
    assert "error" in {line["log_level"] for line in logs}


# -- memory --


async def test_what_nobody_uses_is_dropped(cache: Cache) -> None:
    cache.there = {"a": "1", "b": "1", "c": "1"}
    await asyncio.gather(cache.get("a"), cache.get("b"))
    cache.now += KEEP_S - SWEEP_S
    cache.peek("b")
    cache.now += SWEEP_S + 1
    await cache.get("c")
    assert set(cache._known) == {"b", "c"}


async def test_a_renewal_is_no_use(cache: Cache) -> None:
    cache.there = {"a": "1", "b": "1"}
    await cache.get("a")
    cache.now += KEEP_S - 1
    cache.forget(["a"])
    await eventually(lambda: len(cache.requests) == 2)
    cache.now += SWEEP_S
    await cache.get("b")
    assert set(cache._known) == {"b"}


async def test_nothing_is_dropped_while_php_is_away(cache: Cache) -> None:
    cache.there = {"a": "1"}
    await cache.get("a")
    cache.bad = {"b": BackendUnavailable("gone")}
    cache.now += 10 * KEEP_S
    with pytest.raises(BackendError):
        await cache.get("b")
    assert cache.peek("a") == (True, "1")


async def test_the_end(cache: Cache) -> None:
    cache.open.clear()
    question = asyncio.create_task(cache.get("a"))
    await eventually(lambda: len(cache.requests) == 1)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await question


# -- what PHP has said since --


async def test_what_was_asked_for_since_then_is_not_asked_again(cache: Cache) -> None:
    cache.there = {"a": "1"}
    before = cache.now
    assert await cache.get("a") == "1"
    cache.there = {"a": "2"}
    assert await cache.get_since("a", before) == "1"
    cache.now += 1
    assert await cache.get_since("a", before + 1) == "2"
    assert cache.requests == [["a"], ["a"]]
    assert await cache.get("a") == "2", "everybody has it now"


async def test_an_answer_to_an_older_question_does_not_count(cache: Cache) -> None:
    """It is on its way, and may be of before the change."""
    cache.there = {"a": "1"}
    cache.open.clear()
    asked = asyncio.create_task(cache.get("a"))
    await eventually(lambda: cache.requests == [["a"]])
    cache.now += 1
    cache.there = {"a": "2"}
    since = asyncio.create_task(cache.get_since("a", cache.now))
    cache.open.set()
    assert await asked == "1"
    assert await since == "2"


async def test_many_that_ask_at_once_share_a_question(cache: Cache) -> None:
    cache.there = {"a": "1"}
    await cache.get("a")
    cache.there = {"a": "2"}
    first = cache.now + 1
    cache.now += 5
    found = await asyncio.gather(*(cache.get_since("a", first + n / 10) for n in range(20)))
    assert set(found) == {"2"}
    assert len(cache.requests) == 2


async def test_what_does_not_exist_by_now(cache: Cache) -> None:
    cache.there = {"a": "1"}
    await cache.get("a")
    cache.there = {}
    cache.now += 1
    assert await cache.get_since("a", cache.now) is None


async def test_php_does_not_say_what_it_has_now(cache: Cache) -> None:
    """Though an old value is known. It is not asked as fast as it fails."""
    cache.there = {"a": "1"}
    await cache.get("a")
    cache.bad = {"a": BackendUnavailable("gone")}
    cache.now += 1
    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            await cache.get_since("a", cache.now)
    assert len(cache.requests) == 2
    cache.bad = {}
    cache.now += RETRY_S
    assert await cache.get_since("a", cache.now) == "1"
