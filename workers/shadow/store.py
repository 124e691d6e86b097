"""What shadow keeps in Redis: webhooks that were recorded, what is planned, and what was found.

Every step is one script that runs only while the lease is held: a webhook leaves the stream
together with the plans that come of it, and a plan is closed together with the count of what was
found. So whoever dies repeats a step, or does not, and nothing is counted twice.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import orjson

from contracts.portable import flaw
from sidecar.redis import keys
from sidecar.redis.client import Members, Redis
from sidecar.redis.lease import Fenced, Lease
from sidecar.shadow.parity import FIRST, LAST, NOT_COMPARED, count_name
from sidecar.shadow.recorder import KEEP_S, day_of
from sidecar.shadow.rules import Class
from workers.shadow.comparison import Finding
from workers.shadow.planned import PlannedMessage

#: Maximum messages of a vendor that wait to be compared. Beyond that no webhooks are read.
MAX_PLANNED = 20_000

#: Messages of a vendor that are remembered after they were compared, and for how long.
MAX_KNOWN = 20_000
KNOWN_MS = 24 * 3_600_000

#: Rows of a vendor's campaigns that are remembered as compared, and for how long: much longer than
#: PHP names a row that has ended.
MAX_SENDS = 20_000
SENDS_S = 3600

#: Bytes of webhooks that are taken on at a time: each update makes some words for one script.
MAX_BYTES = 512 * 1024

#: Maximum arguments in one command: Lua can unpack only so many.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class RecordedWebhook:
    """``received_at`` is in unix ms."""

    id: str
    received_at: int
    body: bytes


class Changes:
    """Collects what is to be written for one vendor. Nothing happens before :meth:`commit`."""

    def __init__(self, redis: Redis, vendor_uid: str, now: int, most_examples: int) -> None:
        self._fenced = Fenced(redis)
        self._vendor_uid = vendor_uid
        self._now = now
        self._most_examples = most_examples
        self._commands: list[tuple[str | bytes | int, ...]] = []
        self._counts: Counter[str] = Counter()

    def taken(self, webhooks: list[RecordedWebhook]) -> None:
        """Take webhooks out of the stream."""
        stream, size = keys.shadow(self._vendor_uid), sum(len(one.body) for one in webhooks)
        self._chunked("XDEL", stream, [one.id for one in webhooks])
        self._commands.append(("DECRBY", keys.shadow_bytes(self._vendor_uid), size))

    def plan(self, planned: PlannedMessage, due: int) -> None:
        """Keep a plan, and look at it then; one without an open kind is only remembered."""
        vendor_uid, wamid = self._vendor_uid, planned.wamid
        self._commands.append(("HSET", keys.planned(vendor_uid), wamid, planned.dump()))
        if planned.open:
            self._commands.append(("ZADD", keys.planned_due(vendor_uid), due, wamid))
            self._commands.append(("ZREM", keys.planned_known(vendor_uid), wamid))
        else:
            self._commands.append(("ZREM", keys.planned_due(vendor_uid), wamid))
            self._commands.append(("ZADD", keys.planned_known(vendor_uid), self._now, wamid))

    def postpone(self, wamid: str, due: int) -> None:
        self._commands.append(("ZADD", keys.planned_due(self._vendor_uid), due, wamid))

    def forget(self, wamids: list[str]) -> None:
        """Drop plans, compared or not."""
        self._chunked("HDEL", keys.planned(self._vendor_uid), wamids)
        self._chunked("ZREM", keys.planned_due(self._vendor_uid), wamids)
        self._chunked("ZREM", keys.planned_known(self._vendor_uid), wamids)

    def not_compared(self, how_many: int) -> None:
        """Count updates of which nothing can be compared."""
        self._counts[NOT_COMPARED] += how_many

    def found(self, planned: PlannedMessage, finding: Finding) -> None:
        """Count a finding, and keep it as an example."""
        kind, class_ = finding.kind, finding.class_
        self._counts[count_name(kind, class_)] += 1
        if finding.rule is not None:
            self._counts[count_name(kind, class_, finding.rule)] += 1
        if class_ is Class.EQUAL:
            return
        example = {
            "kind": kind,
            "class": class_,
            "rule": finding.rule,
            "wamid": planned.wamid,
            "recorded_at": planned.since,
            "at": self._now,
            "sidecar": finding.sidecar,
            "php": finding.php,
        }
        name = keys.parity_examples(self._vendor_uid, kind, class_)
        if what := flaw(example):  # PHP has told it so
            example |= {"sidecar": None, "php": {"unreadable": what}}
        self._commands.append(("LPUSH", name, orjson.dumps(example)))
        self._commands.append(("LTRIM", name, 0, self._most_examples - 1))
        self._commands.append(("EXPIRE", name, KEEP_S))

    def compared(self, sends: list[str]) -> None:
        """Remember rows of campaigns as compared, and the vendor as one with results."""
        name, parity = keys.compared_sends(self._vendor_uid), keys.parity(self._vendor_uid)
        self._commands += [("ZADD", name, self._now, one) for one in sends]
        self._commands.append(("ZREMRANGEBYRANK", name, 0, -MAX_SENDS - 1))
        self._commands.append(("EXPIRE", name, SENDS_S))
        self._commands.append(("SADD", keys.SHADOWED, self._vendor_uid))
        self._commands.append(("HSETNX", parity, FIRST, self._now))
        self._commands.append(("HSET", parity, LAST, self._now))
        self._commands.append(("EXPIRE", parity, KEEP_S))

    async def commit(self, lease: Lease) -> None:
        """Write it all, or raise :class:`~sidecar.redis.lease.LeaseLost`."""
        if self._counts:
            day = keys.parity_day(self._vendor_uid, day_of(self._now))
            self._commands.append(("HSETNX", day, FIRST, self._now))
            self._commands.append(("HSET", day, LAST, self._now))
            self._commands += [("HINCRBY", day, name, by) for name, by in self._counts.items()]
            self._commands.append(("EXPIRE", day, KEEP_S))
        if not self._commands:
            return
        await self._fenced.run(lease, *self._commands)

    def _chunked(self, command: str, key: str, names: list[str]) -> None:
        for start in range(0, len(names), _CHUNK):
            self._commands.append((command, key, *names[start : start + _CHUNK]))


class ShadowStore:
    """The reading side. Use it under the lease."""

    def __init__(self, redis: Redis, most_examples: int) -> None:
        self._redis = redis
        self._most_examples = most_examples

    def changes(self, vendor_uid: str, now: int) -> Changes:
        return Changes(self._redis, vendor_uid, now, self._most_examples)

    async def vendors(self) -> list[str]:
        """Return the vendors with work, and drop those without."""
        members = cast(Members, await self._redis.smembers(keys.SHADOWED))
        vendors = sorted(member.decode() for member in members)
        pipeline = self._redis.pipeline(transaction=False)
        for vendor_uid in vendors:
            pipeline.xlen(keys.shadow(vendor_uid))
            pipeline.exists(keys.planned(vendor_uid))
            pipeline.exists(keys.parity(vendor_uid))
        answers = await pipeline.execute() if vendors else []
        busy = []
        for index, vendor_uid in enumerate(vendors):
            recorded, planned, results = answers[3 * index : 3 * index + 3]
            if recorded or planned:
                busy.append(vendor_uid)
            elif not results:
                await self.clear(vendor_uid)
                await self._redis.srem(keys.SHADOWED, vendor_uid)
        return busy

    async def recorded(self, vendor_uid: str, count: int) -> list[RecordedWebhook]:
        """Return the oldest webhooks, up to so many and to :data:`MAX_BYTES`; none while as many
        messages wait as may."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zcard(keys.planned_due(vendor_uid))
        pipeline.execute_command("XRANGE", keys.shadow(vendor_uid), "-", "+", "COUNT", count)
        waiting, entries = await pipeline.execute()
        found: list[RecordedWebhook] = []
        size = 0
        for id_, (at, body) in entries if waiting < MAX_PLANNED else []:
            size += len(body)
            if found and size > MAX_BYTES:
                break
            found.append(RecordedWebhook(id_.decode(), int(at), body))
        return found

    async def planned(self, vendor_uid: str, wamids: list[str]) -> dict[str, PlannedMessage]:
        """Return what is planned of these messages, or was."""
        if not wamids:
            return {}
        found = await self._redis.hmget(keys.planned(vendor_uid), wamids)
        return {
            wamid: PlannedMessage.load(cast(bytes, dumped))
            for wamid, dumped in zip(wamids, found, strict=True)
            if dumped is not None
        }

    async def due(self, vendor_uid: str, now: int, count: int) -> list[str]:
        """Return the messages that PHP is to be asked for now, the first ones first."""
        found = await cast(Any, self._redis).execute_command(
            "ZRANGEBYSCORE", keys.planned_due(vendor_uid), 0, now, "LIMIT", 0, count
        )
        return [wamid.decode() for wamid in found]

    async def outdated(self, vendor_uid: str, now: int) -> list[str]:
        """Return some messages that were compared, and need not be remembered any longer."""
        name = keys.planned_known(vendor_uid)
        command = cast(Any, self._redis).execute_command
        surplus = int(await self._redis.zcard(name)) - MAX_KNOWN
        most = min(_CHUNK, surplus)
        found = await command("ZRANGE", name, 0, most - 1) if most > 0 else []
        found = found or await command("ZRANGEBYSCORE", name, 0, now - KNOWN_MS, "LIMIT", 0, _CHUNK)
        return [wamid.decode() for wamid in found]

    async def not_compared(self, vendor_uid: str, sends: list[str]) -> set[str]:
        """Return which of these rows of campaigns were not compared yet."""
        command = cast(Any, self._redis).execute_command
        scores = await command("ZMSCORE", keys.compared_sends(vendor_uid), *sends)
        return {one for one, score in zip(sends, scores, strict=True) if score is None}

    async def dropped_at(self, vendor_uid: str) -> int:
        """Return when a webhook of the vendor was last dropped (unix ms), 0 if never."""
        return int(await self._redis.hget(keys.parity(vendor_uid), "dropped_at") or 0)

    async def clear(self, vendor_uid: str) -> None:
        """Drop all that waits; what was found is kept."""
        await self._redis.delete(
            keys.shadow(vendor_uid),
            keys.shadow_bytes(vendor_uid),
            keys.planned(vendor_uid),
            keys.planned_due(vendor_uid),
            keys.planned_known(vendor_uid),
        )
