"""Pages of dead letters: each costs the same however many there are, and what comes or goes
meanwhile moves none of the others to another page."""

from bisect import insort
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import msgspec

from sidecar.ops.dead_letter import ALL, Choice, LetterRef, kind_of
from sidecar.ops.dead_letters import DeadLetters, batched, index_of
from sidecar.php.reasons import scrub
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.letter_bounds import LetterKind

Listed = list[tuple[bytes, float]]

#: Letters of a page, and those that are read at most to find them.
PAGE = 50
MAX_LOOKED_AT = 2000
#: Letters whose reasons are counted, the newest.
MAX_COUNTED = 500
#: Maximum letters that are meant at once.
MAX_CHOSEN = 50_000
#: Indexes that are read in one call, and ids of one at most: while answers are parsed, the process
#: does nothing else.
CHUNK = 100
_IDS = 50


@dataclass(frozen=True, slots=True)
class LetterHead:
    """What a list shows of a letter. ``kind`` is what the update or the effect says of itself.
    ``size`` is bytes, times are unix ms."""

    ref: LetterRef
    kind: str
    wamid: str | None
    received_at: int | None
    attempts: int
    reason: str
    size: int

    @property
    def why(self) -> "Reason":
        kind = self.kind if self.ref.kind is LetterKind.EFFECTS else None
        return Reason(self.ref.kind, kind, self.reason)


class Reason(NamedTuple):
    """Why letters are dead. ``kind`` is an effect's, None of updates."""

    letter: LetterKind
    kind: str | None
    text: str


@dataclass(frozen=True, slots=True)
class LetterPage:
    """``after`` is where the next page begins, None at the end. ``looked_at`` letters were read: a
    page of rare ones may be short, and others come after it."""

    letters: list[LetterHead]
    after: LetterRef | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class VendorLetters:
    """How many dead letters a vendor has, and their bytes."""

    vendor_uid: str
    updates: int
    effects: int
    size_bytes: int

    @property
    def number(self) -> int:
        return self.updates + self.effects


@dataclass(frozen=True, slots=True)
class Chosen:
    """The letters that a choice means, the oldest first; ``vendors`` and ``reasons`` are how many
    of each (reasons only where letters had to be read). ``complete``: no others are meant."""

    refs: list[LetterRef]
    vendors: Counter[str]
    reasons: Counter[str]
    complete: bool


class LetterPages:
    """Reads dead letters for a person who looks at them. Writes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._letters = DeadLetters(redis)

    async def vendors(self) -> list[VendorLetters]:
        """Return whose letters there are, those with most of them first."""
        found = cast(Listed, await self._redis.zrange(keys.DEAD, 0, -1, withscores=True))
        counts: list[VendorLetters] = []
        for chunk in batched(found, CHUNK):
            pipeline = self._redis.pipeline(transaction=False)
            for vendor, _ in chunk:
                for kind in LetterKind:
                    pipeline.zcard(index_of(vendor.decode(), kind))
            numbers = await pipeline.execute()
            for (vendor, size), updates, effects in zip(
                chunk, numbers[::2], numbers[1::2], strict=True
            ):
                counts.append(VendorLetters(vendor.decode(), updates, effects, int(size)))
        return sorted(counts, key=lambda one: (-one.number, one.vendor_uid))

    async def page(
        self, choice: Choice = ALL, after: LetterRef | None = None, limit: int = PAGE
    ) -> LetterPage:
        """Return some of the chosen ones, the newest first, behind this one."""
        found: list[LetterHead] = []
        looked_at, last = 0, after
        refs = self._walk(choice, after, newest_first=True)
        while looked_at < MAX_LOOKED_AT and len(found) < limit:
            some = await _some(refs, limit)
            looked_at += len(some)
            for head in await self._heads(some):
                if len(found) == limit:
                    return LetterPage(found, last, looked_at)
                last = head.ref
                if choice.fits(head.kind, head.reason):
                    found.append(head)
            if len(some) < limit:
                return LetterPage(found, None, looked_at)
            last = some[-1]
        return LetterPage(found, last if await _some(refs, 1) else None, looked_at)

    async def reasons(self, choice: Choice = ALL) -> tuple[Counter[Reason], int]:
        """Return the reasons of the newest letters of a choice, and how many were looked at."""
        refs = self._walk(choice, None, newest_first=True)
        heads = await self._heads(await _some(refs, MAX_COUNTED))
        return Counter(h.why for h in heads if choice.fits(h.kind, h.reason)), len(heads)

    async def chosen(self, choice: Choice) -> Chosen:
        """Return where the letters are that a choice means, as many as may be meant at once; reads
        them only where it must."""
        refs, vendors, reasons = list[LetterRef](), Counter[str](), Counter[str]()
        walk = self._walk(choice, None, newest_first=False)
        looked_at = 0
        while some := await _some(walk, min(10 * _IDS, MAX_CHOSEN - looked_at)):
            looked_at += len(some)
            if choice.reads:
                heads = [h for h in await self._heads(some) if choice.fits(h.kind, h.reason)]
                reasons.update(head.reason for head in heads)
                some = [head.ref for head in heads]
            refs += some
            vendors.update(ref.vendor_uid for ref in some)
        complete = looked_at < MAX_CHOSEN or not await _some(walk, 1)
        return Chosen(refs, vendors, reasons, complete)

    async def _heads(self, refs: list[LetterRef]) -> list[LetterHead]:
        return [_head(ref, data) async for ref, data in self._letters.stored(refs)]

    async def _walk(
        self, choice: Choice, after: LetterRef | None, *, newest_first: bool
    ) -> AsyncIterator[LetterRef]:
        """Yield where letters are that may be meant, in order, behind ``after``. Of each index no
        more is read than is needed."""
        if after is not None and choice.before is not None and after.given_up_at >= choice.before:
            after = None  # an address that somebody has made up
        vendors = [choice.vendor_uid] if choice.vendor_uid else await self._letters.vendors()
        names = [(vendor_uid, kind) for vendor_uid in vendors for kind in choice.kinds]
        indexes = {name: _Index(*name, choice, newest_first, after) for name in names}
        for chunk in batched(names, CHUNK):
            await self._fill([indexes[name] for name in chunk])
        heads = sorted(index.ids.popleft() for index in indexes.values() if index.ids)
        while heads:
            ref = heads.pop() if newest_first else heads.pop(0)
            yield ref
            index = indexes[ref.vendor_uid, ref.kind]
            if not index.ids:
                await self._fill([index])
            if index.ids:
                insort(heads, index.ids.popleft())

    async def _fill(self, indexes: list["_Index"]) -> None:
        """Read the next ids of these, where there are more."""
        while indexes := [index for index in indexes if not index.ids and not index.ended]:
            pipeline = self._redis.pipeline(transaction=False)
            for index in indexes:
                index.ask(pipeline)
            for index, found in zip(indexes, await pipeline.execute(), strict=True):
                index.take(found)


@dataclass(slots=True)
class _Index:
    """How far one index has been read. ``last`` is where; those given up at the same time as it,
    ``skip`` of them, were seen. Each time twice as many are read: of most indexes few are
    needed."""

    vendor_uid: str
    kind: LetterKind
    choice: Choice
    newest_first: bool
    last: LetterRef | None
    skip: int = 0
    count: int = 1
    ended: bool = False
    ids: deque[LetterRef] = field(default_factory=deque)

    def ask(self, pipeline: Any) -> None:
        start, end = self.choice.scores
        if self.newest_first:
            start, end = end, start
        pipeline.zrange(
            index_of(self.vendor_uid, self.kind),
            start if self.last is None else self.last.given_up_at,
            end,
            byscore=True,
            desc=self.newest_first,
            offset=self.skip,
            num=self.count,
            withscores=True,
        )

    def take(self, found: Listed) -> None:
        """Take what was read, but for what stands before where this begins."""
        refs = [LetterRef(int(at), self.vendor_uid, id_.decode(), self.kind) for id_, at in found]
        self.ids.extend(ref for ref in refs if self.last is None or self._is_behind(ref, self.last))
        self.ended, self.count = len(refs) < self.count, min(2 * self.count, _IDS)
        if refs:
            same = sum(1 for ref in refs if ref.given_up_at == refs[-1].given_up_at)
            again = self.last is not None and self.last.given_up_at == refs[-1].given_up_at
            self.skip = self.skip + len(refs) if again else same
            self.last = self._later(refs[-1])

    def _is_behind(self, ref: LetterRef, last: LetterRef) -> bool:
        return ref < last if self.newest_first else ref > last

    def _later(self, ref: LetterRef) -> LetterRef:
        """Return which of both stands behind the other: this one, or where it was to begin."""
        if self.last is None or self._is_behind(ref, self.last):
            return ref
        return self.last


class _Said(msgspec.Struct):
    kind: Any = None
    wamid: Any = None
    received_at: Any = None
    attempts: Any = None
    reason: Any = None


class _Stored(msgspec.Struct):
    update: _Said


def _head(ref: LetterRef, data: bytes) -> LetterHead:
    """Read what a list shows, and nothing of what the letter holds."""
    said = msgspec.json.decode(data, type=_Stored).update
    return LetterHead(
        ref,
        kind_of(said.kind),
        said.wamid if isinstance(said.wamid, str) else None,
        said.received_at if isinstance(said.received_at, int) else None,
        said.attempts if isinstance(said.attempts, int) else 0,
        scrub(said.reason) if isinstance(said.reason, str) else "no reason is known",
        len(data),
    )


async def _some(refs: AsyncIterator[LetterRef], count: int) -> list[LetterRef]:
    """Return the next ones, no more than so many."""
    found: list[LetterRef] = []
    while len(found) < count and (ref := await anext(refs, None)) is not None:
        found.append(ref)
    return found
