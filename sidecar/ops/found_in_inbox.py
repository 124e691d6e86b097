"""What has come in of whatever a query names, and PHP does not have: webhooks in the inbox, updates
that wait, dead letters, and what was ignored.

Nothing here blocks Redis: it is read in pages, from the newest, and each search ends after so much.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import orjson

from contracts.jobs import Lane
from sidecar.clock import utc_text
from sidecar.format import size
from sidecar.inbox.partitions import Partition
from sidecar.inbox.store import UID_FIELD
from sidecar.ops.dead_letter import LetterRef
from sidecar.ops.dead_letters import PAGE as LETTERS
from sidecar.ops.dead_letters import DeadLetters, index_of
from sidecar.ops.event import Event, Part, Source, Step
from sidecar.ops.wanted import (
    MAX_BYTES,
    MAX_LOOKED_AT,
    MAX_OF_KEY,
    MAX_ORDER_KEYS,
    MAX_VENDORS,
    PAGE,
    Budget,
    Wanted,
    describe,
    words,
)
from sidecar.php.reasons import scrub
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis, script
from sidecar.redis.letter_bounds import LetterKind

#: Whatever is due, until then (unix ms).
_FOREVER_MS = 10**15
#: Bytes of webhooks in one answer after which the next one has a single entry: while an answer is
#: parsed and searched, the process does nothing else.
MAX_PAGE_BYTES = 1024 * 1024


class InboxSearch:
    """One search, which adds to ``part`` what it finds."""

    def __init__(self, redis: Redis, wanted: Wanted, part: Part) -> None:
        self._redis = redis
        # On the same connections. redis-py makes a dictionary of an entry's fields; ours are pairs,
        # and one may come twice.
        self._raw = Redis(connection_pool=redis.connection_pool)
        cast(Any, self._raw).set_response_callback("XREVRANGE", lambda answer, **_: answer)
        self._letters = DeadLetters(redis)
        self._due = script(redis, "inbox/due")
        self._wanted = wanted
        self._marks = wanted.marks
        self._entries = 1
        self.part = part

    async def run(self) -> None:
        """Look everywhere. Raises redis-py's errors."""
        if not self._marks:
            return
        for lane in Lane:
            await self._inbox(lane)
            await self._deferred(lane)
        await self._dead_letters()
        await self._ignored()

    def _about(self, data: bytes) -> bool:
        return any(mark in data for mark in self._marks)

    def _event(self, at: int, step: Step, text: str, vendor: str, **details: Any) -> None:
        self.part.events.append(Event(at, step, text, Source.SIDECAR, vendor, details))

    def _limited(self, budget: Budget, what: str) -> None:
        if budget.used_up:
            self.part.notes.append(
                f"looked at {MAX_LOOKED_AT:,} {what} or {size(MAX_BYTES)} of them only"
            )

    # -- webhooks --

    async def _inbox(self, lane: Lane) -> None:
        budget = Budget()
        for vendor in await self._vendors(keys.ready(lane)):
            async for at, webhooks in self._newest(lane, vendor, budget):
                for body in webhooks:
                    if self._about(body):
                        self._waits(lane, vendor, at, body)
            if budget.used_up:
                break
        self._limited(budget, f"webhooks of the inbox ({lane}), the newest,")

    async def _vendors(self, index: str) -> list[str]:
        if self._wanted.vendor_uid is not None:
            return [self._wanted.vendor_uid]
        members = cast(Members, await self._redis.smembers(index))
        vendors = sorted(member.decode() for member in members)
        if len(vendors) > MAX_VENDORS:
            self.part.notes.append(
                f"looked at {MAX_VENDORS:,} of {len(vendors):,} vendors whose webhooks wait; "
                "--vendor looks at one"
            )
        return vendors[:MAX_VENDORS]

    async def _newest(
        self, lane: Lane, vendor: str, budget: Budget
    ) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Yield when webhooks came, and their bodies, the newest first."""
        before = "+"
        while True:
            count, size = self._entries, 0
            page = await cast(Any, self._raw).execute_command(
                "XREVRANGE", keys.inbox(lane, vendor), before, "-", "COUNT", count
            )
            for entry_id, fields in page:
                bodies = fields[3 if fields[0] == UID_FIELD else 1 :: 2]
                yield int(entry_id.partition(b"-")[0]), bodies
                size += (more := sum(map(len, bodies)))
                if not budget.take(len(bodies), more):
                    return
            self._entries = min(2 * count, PAGE) if size <= MAX_PAGE_BYTES else 1
            if len(page) < count:
                return
            before = f"({page[-1][0].decode()}"

    def _waits(self, lane: Lane, vendor: str, at: int, body: bytes) -> None:
        what = describe(body, self._marks)
        self._event(at, Step.RECEIVED, f"a webhook was received{what}", vendor, lane=lane.value)
        self.part.where.append(f"a webhook of {utc_text(at)}{what} waits in the inbox ({lane})")

    # -- updates that wait --

    async def _deferred(self, lane: Lane) -> None:
        found = await self._due(
            keys=[keys.deferred(lane)],
            args=[_FOREVER_MS, MAX_ORDER_KEYS, MAX_OF_KEY, MAX_BYTES, *Partition().words],
        )
        for name, updates in zip(found[::2], found[1::2], strict=True):
            places = [at for at, update in enumerate(updates) if self._about(update)]
            if places and self._is_wanted(name):
                due = int(await self._redis.zscore(keys.deferred(lane), name) or 0)
                for place in places:
                    self._is_deferred(msgspec.json.decode(updates[place]), due, place)
        waiting = await self._redis.zcard(keys.deferred(lane))
        if waiting > len(found) // 2:
            self.part.notes.append(
                f"looked at {len(found) // 2:,} of {waiting:,} contacts and messages whose updates "
                f"wait for a retry ({lane})"
            )

    def _is_wanted(self, order_key: bytes) -> bool:
        vendor = self._wanted.vendor_uid
        return vendor is None or order_key.startswith(vendor.encode() + b"/")

    def _is_deferred(self, update: dict[str, Any], due: int, place: int) -> None:
        vendor, what = update["vendor_uid"], words(update)
        details = {"wamid": update.get("wamid"), "update": update["id"]}
        self._event(
            update["received_at"],
            Step.RECEIVED,
            f"a webhook was received: {what}",
            vendor,
            **details,
        )
        reason = scrub(update.get("reason") or "no reason given")
        if place:
            self.part.where.append(f"{what} waits behind an earlier one of the same contact")
            return
        if (failed_at := update.get("first_failed_at")) is not None:
            self._event(
                failed_at, Step.REFUSED, f"PHP did not take it: {reason}", vendor, **details
            )
        tries = update.get("attempts", 0)
        self.part.where.append(
            f"{what} waits to be tried again at {utc_text(due)}, after {tries} tries: {reason}"
        )

    # -- what was given up, or ignored --

    async def _dead_letters(self) -> None:
        budget = Budget()
        for vendor in await self._letter_vendors():
            for kind in LetterKind:
                await self._letters_of(vendor, kind, budget)
            if budget.used_up:
                break
        self._limited(budget, "dead letters, the newest of each vendor,")

    async def _letter_vendors(self) -> list[str]:
        if self._wanted.vendor_uid is not None:
            return [self._wanted.vendor_uid]
        found = cast("list[bytes]", await self._redis.zrange(keys.DEAD, 0, MAX_VENDORS - 1))
        return [vendor.decode() for vendor in found]

    async def _letters_of(self, vendor: str, kind: LetterKind, budget: Budget) -> None:
        index, start = index_of(vendor, kind), 0
        while not budget.used_up:
            found = cast(
                "list[tuple[bytes, float]]",
                await self._redis.zrevrange(index, start, start + LETTERS - 1, withscores=True),
            )
            if not found:
                return
            refs = [LetterRef(int(at), vendor, id_.decode(), kind) for id_, at in found]
            async for ref, letter in self._letters.stored(refs):
                if self._about(letter):
                    self._is_dead(ref, letter)
                if not budget.take(1, len(letter)):
                    return
            start += LETTERS

    def _is_dead(self, ref: LetterRef, letter: bytes) -> None:
        vendor, letter_id = ref.vendor_uid, ref.id
        kept = msgspec.json.decode(letter)
        update = kept["update"]
        is_update = "lane" in kept
        what = words(update) if is_update else f"the effect {update['kind']}"
        details = {"letter": letter_id, "wamid": update.get("wamid")}
        if is_update:
            text = f"a webhook was received: {what}"
            self._event(update["received_at"], Step.RECEIVED, text, vendor, **details)
        do = f"sidecar dead-letters replay {letter_id}"
        reason = scrub(update.get("reason") or "no reason given")
        step = Step.DEAD if is_update else Step.EFFECT_DEAD
        text = f"{what} was given up: {reason}; once the cause is gone: {do}"
        self._event(ref.given_up_at, step, text, vendor, **details)
        self.part.where.append(f"{what} is a dead letter: {letter_id}")

    async def _ignored(self) -> None:
        """The last one of each reason is kept."""
        for vendor in self._wanted.vendors[:MAX_VENDORS]:
            kept = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.ignored_last(vendor)))
            for last in map(orjson.loads, kept.values()):
                if last["wamid"] in self._wanted.wamids:
                    text = f"a {last['kind']} was ignored: {last['reason']}"
                    self._event(last["at"], Step.IGNORED, text, vendor, wamid=last["wamid"])
