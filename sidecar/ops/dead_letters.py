"""Dead letters: updates that PHP refused repeatedly, and effects that failed, kept with the reason
until a person looks, within each vendor's bounds (sidecar/redis/letter_bounds.py)."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import msgspec

from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.outbox import EffectReplay, Queued
from sidecar.php.reasons import scrub
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.letter_bounds import Bounds, LetterKind, letter_keys

T = TypeVar("T")

#: Letters that are read, or discarded, in one call.
PAGE = 100
#: Where earlier versions kept the letters of all vendors.
EARLIER, EARLIER_INDEX = "dead", "dead:index"
#: Vendors whose letters are listed in one call.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """``update`` is the undelivered update, with its raw payload; or the effect, which has no
    ``lane``. Its reason is without personal data, also where an earlier version has kept more.
    Times are unix ms."""

    id: str
    vendor_uid: str
    lane: Lane | None
    update: dict[str, Any]
    given_up_at: int

    @property
    def kind(self) -> LetterKind:
        return LetterKind.UPDATES if self.lane else LetterKind.EFFECTS

    @classmethod
    def read(cls, line: bytes) -> Self:
        """Parse a line of :meth:`export`. Raises ValueError, KeyError or TypeError."""
        found = msgspec.json.decode(line)
        lane = None if found["lane"] is None else Lane(found["lane"])
        letter = cls(
            str(found["id"]),
            str(found["vendor_uid"]),
            lane,
            _scrubbed(found["update"]),
            found["given_up_at"],
        )
        if lane is None:
            Queued.load(letter.update["id"], letter.vendor_uid, letter.update)
        elif not isinstance(letter.update["order_key"], str):
            raise TypeError("order_key is no text")
        return letter

    @property
    def kept(self) -> bytes:
        """Return it as it is stored."""
        where = {"lane": self.lane.value} if self.lane else {"outbox": self.update["kind"]}
        return msgspec.json.encode({**where, "update": self.update})

    @property
    def summary(self) -> dict[str, Any]:
        """Return what may be shown in a list or a log: no payload."""
        names = ("vendor_uid", "kind", "wamid", "received_at", "attempts", "reason")
        shown = {name: self.update.get(name) for name in names}
        where = self.lane.value if self.lane else "outbox"
        return {"id": self.id, "lane": where, "given_up_at": self.given_up_at, **shown}

    def export(self) -> bytes:
        """Return all of it as one line of JSON."""
        where = {"lane": self.lane.value if self.lane else None, "vendor_uid": self.vendor_uid}
        return msgspec.json.encode(
            {"id": self.id, **where, "given_up_at": self.given_up_at, "update": self.update}
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter: of this vendor, with this text in the reason, given up before (unix ms). None
    matches all."""

    vendor_uid: str | None = None
    reason: str | None = None
    before: int | None = None

    def fits(self, letter: DeadLetter) -> bool:
        wanted = (self.reason or "").casefold()
        return wanted in (letter.update.get("reason") or "").casefold()


ALL = Choice()


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
        """Yield the chosen ones, the oldest first."""
        one = choice.vendor_uid
        listed = await self._listed(await self.vendors() if one is None else [one], choice.before)
        for page in _batched(sorted(listed), PAGE):
            pipeline = self._redis.pipeline(transaction=False)
            for _, vendor_uid, letter_id in page:
                pipeline.hget(keys.dead_letters(vendor_uid), letter_id)
            for (at, vendor_uid, letter_id), data in zip(
                page, await pipeline.execute(), strict=True
            ):
                if data is not None:
                    letter = _load(letter_id, vendor_uid, data, at)
                    if choice.fits(letter):
                        yield letter

    async def _listed(
        self, vendor_uids: Sequence[str], before: int | None
    ) -> list[tuple[int, str, str]]:
        """Return when letters were given up, whose they are, and their ids."""
        listed = []
        until = "+inf" if before is None else f"({before}"
        for chunk in _batched(vendor_uids, CHUNK):
            pipeline = self._redis.pipeline(transaction=False)
            for vendor_uid in chunk:
                for index in (keys.dead_updates(vendor_uid), keys.dead_effects(vendor_uid)):
                    pipeline.zrangebyscore(index, "-inf", until, withscores=True)
            answers = await pipeline.execute()
            for number, found in enumerate(answers):
                listed += [(int(at), chunk[number // 2], id_.decode()) for id_, at in found]
        return listed

    async def get(self, letter_id: str) -> DeadLetter | None:
        """Return the one with this id, or None."""
        vendor_uids = await self.vendors()
        pipeline = self._redis.pipeline(transaction=False)
        for vendor_uid in vendor_uids:
            pipeline.hget(keys.dead_letters(vendor_uid), letter_id)
        for vendor_uid, data in zip(vendor_uids, await pipeline.execute(), strict=True):
            if data is not None:
                letter = _load(letter_id, vendor_uid, data, 0)
                index = keys.dead_updates if letter.lane else keys.dead_effects
                at = int(await self._redis.zscore(index(vendor_uid), letter_id) or 0)
                return DeadLetter(letter_id, vendor_uid, letter.lane, letter.update, at)
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

    async def discard(self, letters: Iterable[DeadLetter]) -> int:
        """Delete them for good. Return how many were still there."""
        ids: dict[tuple[str, LetterKind], list[str]] = {}
        for letter in letters:
            ids.setdefault((letter.vendor_uid, letter.kind), []).append(letter.id)
        discarded = 0
        for (vendor_uid, kind), mine in ids.items():
            *names, _ = letter_keys(vendor_uid)
            for some in _batched(mine, PAGE):
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
            letter = _load(letter_id.decode(), "", data, 0)
            vendor = letter.update["vendor_uid"]
            ids.setdefault((vendor, letter.kind), []).append(letter.id)
        adopted = 0
        for (vendor, kind), mine in ids.items():
            *names, vendor_uid = letter_keys(vendor)
            found = [EARLIER, EARLIER_INDEX, *names]
            adopted += int(await self._adopt(keys=found, args=[vendor_uid, kind, *mine]))
        return adopted


def _batched(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _load(letter_id: str, vendor_uid: str, data: bytes, given_up_at: int) -> DeadLetter:
    letter = msgspec.json.decode(data)
    lane = Lane(letter["lane"]) if "lane" in letter else None
    return DeadLetter(letter_id, vendor_uid, lane, _scrubbed(letter["update"]), given_up_at)


def _scrubbed(update: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(update, dict):
        raise TypeError("a dead letter's update is no object")
    reason = update.get("reason")
    return {**update, "reason": scrub(reason)} if isinstance(reason, str) else update
