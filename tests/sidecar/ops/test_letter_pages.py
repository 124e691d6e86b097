"""Pages of dead letters: in order, stable, and none that costs more because there are more."""

import asyncio
from collections import Counter

import msgspec
import orjson
import pytest

from sidecar.ops import letter_pages
from sidecar.ops.dead_letter import ALL, Choice, LetterRef
from sidecar.ops.dead_letters import DeadLetters
from sidecar.ops.letter_pages import LetterPages, VendorLetters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.letter_bounds import LetterKind
from tests.sidecar.ops.test_dead_letters import add_dead_letter


@pytest.fixture
def pages(redis: Redis) -> LetterPages:
    return LetterPages(redis)


async def add_effect(redis: Redis, number: int, vendor_uid: str, at: int, kind: str) -> None:
    """Put a dead effect there, as a runner does."""
    letter_id = f"{vendor_uid}/{kind}/{number}"
    effect = {"kind": kind, "id": str(number)}
    update = {"id": str(number), "kind": kind, "reason": "gone", "effect": effect, "attempts": 3}
    letter = orjson.dumps({"outbox": kind, "update": update})
    pipeline = redis.pipeline(transaction=False)
    pipeline.hset(keys.dead_letters(vendor_uid), letter_id, letter)
    pipeline.zadd(keys.dead_effects(vendor_uid), {letter_id: at})
    pipeline.zincrby(keys.DEAD, len(letter), vendor_uid)
    for counter in ("effects", "effects_dead"):
        pipeline.hincrby(keys.counters(vendor_uid), counter, 1)
    await pipeline.execute()


async def add_many(redis: Redis, count: int) -> None:
    """Three vendors', of both kinds; many were given up in the same millisecond."""

    async def add(number: int) -> None:
        vendor_uid, at = "uvw"[number % 3], 5000 + number // 20
        if number % 5 == 0:
            await add_effect(redis, number, vendor_uid, at, "forward")
        else:
            reason = "PHP: Locked" if number % 7 == 0 else "the routine failed"
            await add_dead_letter(redis, number, vendor_uid, at, reason=reason)

    await asyncio.gather(*map(add, range(count)))


async def walked(pages: LetterPages, choice: Choice = ALL, limit: int = 9) -> list[LetterRef]:
    """Return what all pages show together."""
    found: list[LetterRef] = []
    after: LetterRef | None = None
    while True:
        page = await pages.page(choice, after, limit)
        assert len(page.letters) <= limit
        found += [letter.ref for letter in page.letters]
        after = page.after
        if after is None:
            return found


async def test_none(pages: LetterPages) -> None:
    page = await pages.page()
    assert (page.letters, page.after, page.looked_at) == ([], None, 0)
    assert await pages.vendors() == []
    assert await pages.reasons() == (Counter(), 0)
    assert (await pages.chosen(ALL)).refs == []


async def test_all_pages_show_all_the_newest_first(pages: LetterPages, redis: Redis) -> None:
    await add_many(redis, 130)
    expected = await DeadLetters(redis).refs()
    assert len(expected) == 130
    for limit in (1, 9, 130, 500):
        assert await walked(pages, limit=limit) == expected[::-1]
    first = (await pages.page(limit=1)).letters[0]
    assert (first.kind, first.attempts, first.size > 50) == ("forward", 3, True)


@pytest.mark.parametrize(
    "choice",
    [
        Choice(vendor_uid="v"),
        Choice(vendor_uid="x"),
        Choice(kind=LetterKind.EFFECTS),
        Choice(kind="forward"),
        Choice(kind="status"),
        Choice(reason="locked"),
        Choice(vendor_uid="u", reason="gone"),
        Choice(since=5002, before=5004),
    ],
)
async def test_filters_say_the_same_as_the_command_line(
    pages: LetterPages, redis: Redis, choice: Choice
) -> None:
    await add_many(redis, 130)
    expected = await DeadLetters(redis).meant(choice)
    assert await walked(pages, choice) == expected[::-1]
    chosen = await pages.chosen(choice)
    assert (chosen.refs, chosen.complete) == (expected, True)
    assert chosen.vendors == Counter(ref.vendor_uid for ref in expected)


async def test_a_page_behind_what_the_filter_leaves_out(pages: LetterPages, redis: Redis) -> None:
    await add_many(redis, 130)
    choice, newest = Choice(before=5004), (await pages.page()).letters[0].ref
    assert await pages.page(choice, newest) == await pages.page(choice)


async def test_what_comes_and_goes_moves_no_other_to_another_page(
    pages: LetterPages, redis: Redis
) -> None:
    await add_many(redis, 60)
    before = await walked(pages, limit=60)
    first = await pages.page(limit=20)
    assert [letter.ref for letter in first.letters] == before[:20]
    letters = DeadLetters(redis)
    await letters.discard(before[10:22])  # the last one of the page among them
    for number in range(1000, 1040):
        await add_dead_letter(redis, number, "v", 9000)
    second = await pages.page(ALL, first.after, limit=20)
    assert [letter.ref for letter in second.letters] == before[22:42]


async def test_many_in_the_same_millisecond(pages: LetterPages, redis: Redis) -> None:
    adds = (add_dead_letter(redis, number, "vw"[number < 9], 7000) for number in range(160))
    await asyncio.gather(*adds)
    refs = (await DeadLetters(redis).refs())[::-1]
    assert await walked(pages, limit=40) == refs


async def test_a_page_of_rare_ones_ends_somewhere(
    pages: LetterPages, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_pages, "MAX_LOOKED_AT", 20)
    await add_many(redis, 100)
    await add_dead_letter(redis, 999, "w", 1, reason="rare")
    page = await pages.page(Choice(reason="rare"), limit=10)
    assert (page.letters, page.looked_at) == ([], 20)
    assert page.after is not None
    found = await walked(pages, Choice(reason="rare"), limit=10)
    assert [ref.id for ref in found] == ["letter-999"]


async def test_a_letter_that_has_gone_since_its_index_was_read(
    pages: LetterPages, redis: Redis
) -> None:
    await add_many(redis, 10)
    await redis.zadd(keys.dead_updates("v"), {"gone": 9999})
    assert len(await walked(pages, limit=3)) == 10


async def test_a_page_costs_the_same_however_many_there_are(
    pages: LetterPages, redis: Redis
) -> None:
    async def cost() -> int:
        await redis.config_resetstat()
        page = await pages.page(limit=20)
        assert len(page.letters) == 20
        found = await redis.info("commandstats")
        return sum(int(one["calls"]) for name, one in found.items() if "info" not in name)

    await add_many(redis, 60)
    few = await cost()
    pipeline = redis.pipeline(transaction=False)
    pipeline.zadd(keys.dead_updates("v"), {f"id-{n}": n / 10 for n in range(30_000)})
    await pipeline.execute()
    assert await cost() <= few


async def test_vendors_and_reasons(
    pages: LetterPages, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_dead_letter(redis, 1, "v", 10, reason="SQLSTATE[22001]: ... values (Ada, 49151)")
    await add_dead_letter(redis, 2, "w", 11)
    await add_effect(redis, 3, "w", 12, "forward")
    [w, v] = await pages.vendors()
    assert (w.vendor_uid, w.updates, w.effects, w.number) == ("w", 1, 1, 2)
    size = int(await redis.zscore(keys.DEAD, "v") or 0)
    assert v == VendorLetters("v", 1, 0, size)
    counts, looked_at = await pages.reasons()
    assert {(why.kind, why.text): count for why, count in counts.items()} == {
        (None, "SQLSTATE[22001]"): 1,
        (None, "the routine failed"): 1,
        ("forward", "gone"): 1,
    }
    assert looked_at == 3
    monkeypatch.setattr(letter_pages, "MAX_COUNTED", 2)
    assert (await pages.reasons())[1] == 2
    [why] = (await pages.reasons(Choice(kind="forward")))[0]
    assert why == (LetterKind.EFFECTS, "forward", "gone")


async def test_more_than_may_be_meant_at_once(
    pages: LetterPages, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_many(redis, 110)
    monkeypatch.setattr(letter_pages, "MAX_CHOSEN", 100)
    chosen = await pages.chosen(Choice(reason="locked"))
    assert not chosen.complete
    assert set(chosen.reasons) == {"PHP: Locked"}
    assert chosen.reasons.total() == len(chosen.refs)
    oldest = (await DeadLetters(redis).refs())[:100]
    assert (await pages.chosen(ALL)).refs == oldest
    monkeypatch.setattr(letter_pages, "MAX_CHOSEN", 110)
    assert (await pages.chosen(ALL)).complete


async def test_what_a_later_version_may_have_kept(pages: LetterPages, redis: Redis) -> None:
    odd = {"id": "a", "kind": 1, "wamid": [], "received_at": "x", "attempts": None, "reason": {}}
    await redis.hset(keys.dead_letters("v"), "a", msgspec.json.encode({"update": odd}))
    await redis.zadd(keys.dead_updates("v"), {"a": 5})
    await redis.zadd(keys.DEAD, {"v": 1})
    [head] = (await pages.page()).letters
    assert (head.kind, head.wamid, head.received_at, head.attempts) == ("unreadable", None, None, 0)
    assert head.reason == "no reason is known"


async def test_huge_letters_are_read_some_at_a_time(
    pages: LetterPages, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await add_dead_letter(redis, number, payload={"text": "x" * 600})
    monkeypatch.setattr("sidecar.ops.dead_letters.MAX_READ_BYTES", 1000)
    assert len(await walked(pages, limit=4)) == 4
    assert len([one async for one in DeadLetters(redis).all()]) == 4
