"""Dead letters: updates that PHP refused repeatedly, and effects that failed, kept with the reason
until a person looks, within each vendor's bounds (sidecar/redis/letter_bounds.py)."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import msgspec

from sidecar.clock import now_ms
from sidecar.effects.outbox import EffectReplay, Queued
from sidecar.ops.dead_letter import ALL, Choice, DeadLetter, LetterRef
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.letter_bounds import Bounds, LetterKind, letter_keys

__all__ = ["ALL", "Choice", "DeadLetter", "DeadLetters", "LetterRef", "index_of"]

T = TypeVar("T")

#: Letters that are read, or discarded, in one call; bytes that are read in one, but for a single
#: letter that is larger: while they are parsed, the process does nothing else.
PAGE = 100
MAX_READ_BYTES = 1024 * 1024
#: Where earlier versions kept the letters of all vendors.
EARLIER, EARLIER_INDEX = "dead", "dead:index"
#: Vendors whose letters are listed in one call.
CHUNK = 500


class DeadLetters:
    """Lists, replays and discards them. Drains and effect runners write them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._effect = EffectReplay(redis)
        self._replay = script(redis, "dead_letters/replay")
        self._discard = script(redis, "dead_letters/discard")
        self._trim = script(redis, "dead_letters/trim")
        self._adopt = script(redis, "dead_letters/adopt")
        self._import = script(redis, "dead_letters/import")

    async def vendors(self) -> list[str]:
        """Return the vendors that have dead letters."""
        found = cast("list[bytes]", await self._redis.zrange(keys.DEAD, 0, -1))
        return [vendor.decode() for vendor in found]

    async def count(self) -> int:
        """Return how many there are."""
        pipeline = self._redis.pipeline(transaction=False)
        for vendor_uid in await self.vendors():
            pipeline.hlen(keys.dead_letters(vendor_uid))
        return sum(await pipeline.execute())

    async def all(self, choice: Choice = ALL) -> AsyncIterator[DeadLetter]:
        """Yield the chosen ones, the oldest first: those that are there now."""
        async for letter in self.read(await self.refs(choice)):
            if choice.fits(letter.update.get("kind"), letter.update.get("reason")):
                yield letter

    async def meant(self, choice: Choice = ALL) -> list[LetterRef]:
        """Return where the chosen ones are, the oldest first; reads them only where it must."""
        if choice.reads:
            return [letter.ref async for letter in self.all(choice)]
        return await self.refs(choice)

    async def refs(self, choice: Choice = ALL) -> list[LetterRef]:
        """Return where letters are that may be meant, the oldest first."""
        one, found = choice.vendor_uid, []
        for chunk in batched(await self.vendors() if one is None else [one], CHUNK):
            indexes = [(vendor_uid, kind) for vendor_uid in chunk for kind in choice.kinds]
            pipeline = self._redis.pipeline(transaction=False)
            for vendor_uid, kind in indexes:
                low, high = choice.scores
                pipeline.zrangebyscore(index_of(vendor_uid, kind), low, high, withscores=True)
            for (vendor_uid, kind), listed in zip(indexes, await pipeline.execute(), strict=True):
                found += [LetterRef(int(at), vendor_uid, id_.decode(), kind) for id_, at in listed]
        return sorted(found)

    async def read(self, refs: Sequence[LetterRef]) -> AsyncIterator[DeadLetter]:
        """Yield these letters, without those that are not there any more."""
        async for ref, data in self.stored(refs):
            yield DeadLetter.load(ref, data)

    async def stored(self, refs: Sequence[LetterRef]) -> AsyncIterator[tuple[LetterRef, bytes]]:
        """Yield these letters as they are stored, some at a time."""
        for page in batched(refs, PAGE):
            sizes = self._redis.pipeline(transaction=False)
            for ref in page:
                sizes.hstrlen(keys.dead_letters(ref.vendor_uid), ref.id)
            for some in _portions(page, await sizes.execute()):
                pipeline = self._redis.pipeline(transaction=False)
                for ref in some:
                    pipeline.hget(keys.dead_letters(ref.vendor_uid), ref.id)
                for ref, data in zip(some, await pipeline.execute(), strict=True):
                    if data is not None:
                        yield ref, data

    async def get(self, letter_id: str, vendor_uid: str | None = None) -> DeadLetter | None:
        """Return the one with this id, of this vendor or of any, or None."""
        for chunk in batched(await self.vendors() if vendor_uid is None else [vendor_uid], CHUNK):
            refs = [LetterRef(0, one, letter_id, LetterKind.UPDATES) for one in chunk]
            async for letter in self.read(refs):
                index = index_of(letter.vendor_uid, letter.kind)
                at = int(await self._redis.zscore(index, letter_id) or 0)
                return replace(letter, given_up_at=at)
        return None

    async def replay(self, letter: DeadLetter) -> bool:
        """Retry it as if for the first time. Return False if somebody else has done so. Workers
        find it within a second."""
        update = letter.update
        if letter.lane is None:
            queued = Queued.load(update["id"], letter.vendor_uid, update)
            return await self._effect.replay(letter.id, queued)
        again = {**update, "attempts": 0, "refused": 0, "first_failed_at": None}
        order_key = update["order_key"]
        *names, vendor_uid = letter_keys(letter.vendor_uid)
        answer = await self._replay(
            keys=[
                *names,
                keys.deferred(letter.lane),
                keys.deferred_updates(letter.lane, order_key),
            ],
            args=[
                *(vendor_uid, letter.id, msgspec.json.encode(again), order_key, now_ms()),
                *(keys.deferred_count(letter.lane), keys.deferred_bytes(letter.lane)),
                keys.STORED_BYTES,
            ],
        )
        return bool(answer)

    async def discard(self, letters: Iterable[DeadLetter | LetterRef]) -> int:
        """Delete them for good. Return how many were still there."""
        ids: dict[tuple[str, LetterKind], list[str]] = {}
        for letter in letters:
            ids.setdefault((letter.vendor_uid, letter.kind), []).append(letter.id)
        discarded = 0
        for (vendor_uid, kind), mine in ids.items():
            *names, _ = letter_keys(vendor_uid)
            for some in batched(mine, PAGE):
                discarded += int(await self._discard(keys=names, args=[vendor_uid, kind, *some]))
        return discarded

    async def put_back(self, letters: Iterable[DeadLetter], bounds: Bounds) -> int:
        """Import exported letters, except those that are still there. Return how many."""
        words: dict[tuple[str, LetterKind], list[str | bytes]] = {}
        for letter in letters:
            mine = words.setdefault((letter.vendor_uid, letter.kind), [])
            mine += [letter.id, letter.kept]
        imported, now = 0, now_ms()
        for (vendor, kind), mine in words.items():
            *names, vendor_uid = letter_keys(vendor)
            arguments = [vendor_uid, kind, now, *bounds.words(now), *mine]
            imported += int(await self._import(keys=[*names, keys.VENDORS], args=arguments))
        return imported

    async def trim(self, bounds: Bounds, now: int) -> int:
        """Apply the bounds while no letters are added: letters age, and settings change. Return
        how many were deleted."""
        dropped = 0
        for vendor in await self.vendors():
            *names, vendor_uid = letter_keys(vendor)
            arguments: list[str | int] = [vendor_uid, *bounds.words(now), now]
            dropped += int(await self._trim(keys=names, args=arguments))
        return dropped

    async def adopt(self) -> int:
        """Move some letters over from where earlier versions kept all vendors'. Return how
        many."""
        _, found = await cast(Any, self._redis).hscan(EARLIER, 0, count=PAGE)
        ids: dict[tuple[str, LetterKind], list[str]] = {}
        for letter_id, data in found.items():
            ref = LetterRef(0, "", letter_id.decode(), LetterKind.UPDATES)
            letter = DeadLetter.load(ref, data)
            vendor = letter.update["vendor_uid"]
            ids.setdefault((vendor, letter.kind), []).append(letter.id)
        adopted = 0
        for (vendor, kind), mine in ids.items():
            *names, vendor_uid = letter_keys(vendor)
            found = [EARLIER, EARLIER_INDEX, *names]
            adopted += int(await self._adopt(keys=found, args=[vendor_uid, kind, *mine]))
        return adopted


def index_of(vendor_uid: str, kind: LetterKind) -> str:
    """Return the key of the index that lists a vendor's letters of a kind."""
    name = keys.dead_updates if kind is LetterKind.UPDATES else keys.dead_effects
    return name(vendor_uid)


def batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Return these values, so many at a time."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _portions(refs: Sequence[LetterRef], sizes: list[int]) -> Iterator[list[LetterRef]]:
    """Return what is there, in portions of no more than MAX_READ_BYTES, or a single letter."""
    some: list[LetterRef] = []
    total = 0
    for ref, size in zip(refs, sizes, strict=True):
        if some and total + size > MAX_READ_BYTES:
            yield some
            some, total = [], 0
        some.append(ref)
        total += size
    yield some
