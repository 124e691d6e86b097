"""The outbox: effects that PHP has requested, on disk until they have happened.

Each vendor has one for each kind of effect. An effect is added once, by its id, before the update
that requested it is committed; after a crash in between, the id is known. It is removed in the step
that records its outcome.
"""

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Any, cast

import orjson
import structlog

from contracts.effects import (
    Broadcast,
    Effect,
    EffectKind,
    Forward,
    SendMessage,
    parse_effect,
)
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.metrics import EFFECTS_REFUSED, METRICS
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.redis.letter_bounds import DEFAULT_BOUNDS, Bounds, letter_keys
from sidecar.redis.marks import Marks, bucket_and_mark
from sidecar.redis.replicas import InSync
from sidecar.sending.campaigns import campaign_lease
from sidecar.settings import Settings

log = structlog.get_logger()

#: Marks of effects are relied on for this share of their time: this machine's clock and PHP's may
#: differ.
REACH_SHARE = 0.75

#: Kinds whose effects may happen twice after a crash, and may be dropped when too many wait.
REPEATABLE = (EffectKind.FORWARD, EffectKind.BROADCAST)


def replies_of(vendor_uid: str) -> str:
    """Return the campaign id under which a vendor's replies are sent: to the limiter, the ledger
    and the lease they are a campaign of their own."""
    return f"replies:{vendor_uid}"


def vendor_of_replies(campaign_uid: str) -> str | None:
    """Return the vendor if this is a campaign id of :func:`replies_of`, else None."""
    vendor_uid = campaign_uid.removeprefix("replies:")
    return vendor_uid if vendor_uid != campaign_uid else None


def effects_lease(kind: EffectKind, vendor_uid: str) -> str:
    """Return the name of the lease for running a vendor's effects of a kind."""
    if kind is EffectKind.SEND_MESSAGE:
        return campaign_lease(replies_of(vendor_uid))
    return f"effects:{kind}:{vendor_uid}"


@dataclass(frozen=True, slots=True)
class Queued:
    """An effect that waits. ``attempts`` have failed so far; ``put_at`` is when it arrived, unix
    ms. ``id`` is the effect's, or one derived from its content. ``size`` is what it takes in Redis,
    if it was read from there."""

    id: str
    vendor_uid: str
    effect: Effect
    put_at: int
    attempts: int = 0
    reason: str | None = None
    size: int = field(default=0, compare=False)

    @property
    def kind(self) -> EffectKind:
        return self.effect.kind

    def dump(self) -> bytes:
        """Return it as bytes that :meth:`load` understands, also in later versions."""
        return orjson.dumps(self.as_json())

    def as_json(self) -> dict[str, Any]:
        return {
            "effect": self.effect.model_dump(mode="json"),
            "put_at": self.put_at,
            "attempts": self.attempts,
            "reason": self.reason,
        }

    @classmethod
    def load(cls, effect_id: str, vendor_uid: str, value: dict[str, Any]) -> "Queued":
        return cls(
            effect_id,
            vendor_uid,
            parse_effect(value["effect"]),
            value["put_at"],
            value["attempts"],
            value["reason"],
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What has become of an effect. One that is ``waiting`` again is due at ``due_at`` (unix ms).
    ``queued`` is what is kept of it if it is waiting or dead."""

    id: str
    state: EffectState
    queued: Queued | None = None
    due_at: int = 0


@dataclass(frozen=True, slots=True)
class Put:
    """How many effects were added, were known already, and were dropped because too many wait.
    ``forgotten`` are the ids of messages that PHP has asked for before, and that may have been sent
    before Redis was wiped: they were left out."""

    taken: int = 0
    known: int = 0
    dropped: int = 0
    forgotten: tuple[str, ...] = ()


def make_outbox(settings: Settings, redis: Redis) -> "Outbox":
    """Return the outbox with these settings."""
    return Outbox(
        redis,
        remember_s=settings.duplicate_window_s or 1,
        limit=settings.effects_limit,
        bounds=Bounds.of(settings),
    )


class Outbox:
    """``remember_s``: how long ids are remembered. ``limit``: how many forwards or broadcasts of a
    vendor may wait; more are dropped. ``bounds`` are those of dead letters."""

    def __init__(
        self, redis: Redis, *, remember_s: int, limit: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self._redis = redis
        self._marks = Marks(redis, remember_s, keys.effect)
        self._reach_ms = round(remember_s * 1000 * REACH_SHARE)
        self._limit = limit
        self._bounds = bounds
        self._put = script(redis, "effects/put_effects")
        self._put_in_sync = InSync(redis, "effects/put_effects")
        self._end = script(redis, "effects/end_effects")

    async def known(self, vendor_uid: str, facts: Sequence[str]) -> set[str]:
        """Return those of these facts that effects which were put have told."""
        names = [_name(vendor_uid, fact) for fact in facts]
        found = await self._marks.known(names, now_ms() / 1000)
        return {fact for fact, there in zip(facts, found, strict=True) if there}

    async def put(
        self,
        vendor_uid: str,
        effects: Sequence[Effect],
        facts: Mapping[str, Sequence[str]] = MappingProxyType({}),
        *,
        in_sync: bool = False,
    ) -> Put:
        """Write effects to disk, each id once. ``facts`` are what an effect tells, by its id: if
        all of them have been told, it is known. What PHP asks for again is left out where nobody
        remembers whether it was taken before. ``in_sync``: replicas are to have them, too; for
        nobody asks for them again."""
        if not effects:
            return Put()
        kinds = list(dict.fromkeys(effect.kind for effect in effects))
        names = [keys.counters(vendor_uid), keys.VENDORS, keys.MEMORY_SINCE]
        for kind in kinds:
            names += _keys(kind, vendor_uid)
        now = now_ms()
        window = self._marks.window(now / 1000)
        arguments: list[str | bytes | int] = [vendor_uid, now, self._limit, window.expires_at]
        arguments += [len(window.slices), *window.slices]
        for effect in effects:
            try:
                effect_id = id_of(effect)
                body = Queued(effect_id, vendor_uid, effect, now).dump()
            except TypeError as error:
                # It is not as it was parsed: an update that it forwards holds what JSON has not.
                _refuse(vendor_uid, effect.kind, effect.id, error)
                continue
            told = facts.get(effect_id, _remembered(effect.kind, effect_id))
            marks = [_name(vendor_uid, one) for one in told]
            droppable = "1" if effect.kind in REPEATABLE else ""
            arguments += [kinds.index(effect.kind), effect_id, body, droppable]
            arguments += [self._asked_at(effect, now), len(marks)]
            arguments += [word for mark in marks for word in bucket_and_mark(mark)]
        write = self._put_in_sync if in_sync else self._put
        taken, known, dropped, forgotten = await write(keys=names, args=arguments)
        put = Put(taken, known, dropped, tuple(one.decode() for one in forgotten))
        if put.dropped:
            log.error("effects.dropped", vendor=vendor_uid, dropped=put.dropped, limit=self._limit)
        if put.forgotten:
            log.warning("effects.forgotten", vendor=vendor_uid, forgotten=len(put.forgotten))
        return put

    def _asked_at(self, effect: Effect, now: int) -> int | str:
        """Return when PHP asked for an effect that it asks for again: 0 if its mark may be gone by
        now."""
        if not isinstance(effect, SendMessage) or effect.asked_at is None:
            return ""
        return effect.asked_at if effect.asked_at > now - self._reach_ms else 0

    async def due(
        self,
        kind: EffectKind,
        vendor_uid: str,
        now: int,
        most: int,
        *,
        in_hand: Container[str] = (),
        most_bytes: int | None = None,
    ) -> list[Queued]:
        """Return at most ``most`` effects that are due, the oldest first; without those that are
        ``in_hand``, and (but for one) no more than so many bytes."""
        _, due, bodies = _keys(kind, vendor_uid)
        found = await self._redis.zrange(due, 0, now + 1, byscore=True, offset=0, num=most)
        ids = [one for one in cast("list[bytes]", found) if one.decode() not in in_hand]
        if most_bytes is not None:
            ids = await self._within(bodies, ids, most_bytes)
        if not ids:
            return []
        values = cast("list[bytes | None]", await self._redis.hmget(bodies, ids))
        effects = []
        for effect_id, value in zip(ids, values, strict=True):
            if value is None:
                continue
            try:
                queued = Queued.load(effect_id.decode(), vendor_uid, orjson.loads(value))
                effects.append(replace(queued, size=len(value)))
            except ValueError as error:
                # A later version has put it there; it is that one's again after an upgrade.
                log.error("effect.invalid", vendor=vendor_uid, kind=kind, error=str(error))
        return effects

    async def _within(self, bodies: str, ids: list[bytes], most_bytes: int) -> list[bytes]:
        """Return the first effects that take no more than so many bytes; one at least."""
        pipeline = self._redis.pipeline(transaction=False)
        for effect_id in ids:
            pipeline.hstrlen(bodies, effect_id)
        sizes = accumulate(await pipeline.execute() if ids else [])
        fit = sum(1 for size in sizes if size <= most_bytes)
        return ids[: max(1, fit)]

    async def next_due_at(self, kind: EffectKind, vendor_uid: str) -> int | None:
        """Return when the first effect is due (unix ms), or None if there is none."""
        first = await self._redis.zrange(_keys(kind, vendor_uid)[1], 0, 0, withscores=True)
        return int(first[0][1]) if first else None

    async def end(
        self, lease: Lease, kind: EffectKind, vendor_uid: str, ended: Sequence[Ended]
    ) -> None:
        """Record how effects have ended, all at once. Raises :class:`LeaseLost`."""
        now = now_ms()
        arguments: list[str | bytes | int] = [
            *(lease.token, vendor_uid, now),
            *self._bounds.words(now),
        ]
        for one in ended:
            arguments += [one.id, one.state]
            if one.queued is None:
                arguments += ["", ""]
            elif one.state is EffectState.WAITING:
                arguments += [one.due_at, one.queued.dump()]
            else:
                arguments += [letter_id(one.queued), letter(one.queued)]
        names = [lease.key, *_keys(kind, vendor_uid), keys.counters(vendor_uid)]
        *letters, _ = letter_keys(vendor_uid)
        if not await self._end(keys=[*names, *letters], args=arguments):
            raise LeaseLost(lease.name)


class EffectReplay:
    """Replays dead effects."""

    def __init__(self, redis: Redis) -> None:
        self._replay = script(redis, "effects/replay_effect")

    async def replay(self, name: str, queued: Queued) -> bool:
        """Retry a dead effect as if for the first time. Return False if somebody else has done so,
        or if the same effect waits already."""
        again = replace(queued, attempts=0, reason=None, put_at=now_ms())
        *letters, vendor_uid = letter_keys(queued.vendor_uid)
        answer = await self._replay(
            keys=[*letters, *_keys(queued.kind, vendor_uid)],
            args=[vendor_uid, name, queued.id, again.dump(), again.put_at],
        )
        return int(answer) == 1


def parse_effects(vendor_uid: str, values: Sequence[dict[str, Any]]) -> list[Effect]:
    """Return the effects in PHP's answer. Invalid ones are dropped, counted and logged: PHP would
    answer the same if it were asked again."""
    effects = []
    for value in values:
        try:
            effects.append(parse_effect(value))
        except ValueError as error:
            _refuse(vendor_uid, value.get("kind"), value.get("id"), error)
    return effects


def _refuse(vendor_uid: str, kind: Any, effect_id: Any, error: Exception) -> None:
    known = str(kind) if kind in set(EffectKind) else "unknown"
    METRICS.counter(EFFECTS_REFUSED, known).add()
    reason = "; ".join(str(error).splitlines()[:3])
    log.error("effect.refused", vendor=vendor_uid, kind=kind, effect=effect_id, reason=reason)


def id_of(effect: Effect) -> str:
    """Return an effect's id. Broadcasts with the same content are the same, whatever the order of
    their keys: an effect that comes again comes from a JSON column, and MySQL's sorts keys."""
    if isinstance(effect, Broadcast):
        said = [sorted(effect.channels), effect.event, effect.data, effect.socket_id]
        sorted_by_key = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(sorted_by_key, digest_size=16).hexdigest()
    return effect.id


def with_update(effect: Effect, payload: bytes | None) -> Effect:
    """Return an effect with the update that requested it filled in, if it needs that."""
    if payload is not None and is_of_update(effect):
        return effect.model_copy(update={"raw": payload.decode()})
    return effect


def is_of_update(effect: Effect) -> bool:
    """Return whether an effect tells the update that requested it."""
    return isinstance(effect, Forward) and effect.body is None and effect.raw is None


def _remembered(kind: EffectKind, effect_id: str) -> list[str]:
    """Return what remains known of an effect when it has ended: nothing of a broadcast, whose id
    is its content, which may be told again."""
    if kind is EffectKind.BROADCAST:
        return []
    return [f"forward\0{effect_id}" if kind is EffectKind.FORWARD else effect_id]


def _name(vendor_uid: str, fact: str) -> bytes:
    return f"{vendor_uid}\0{fact}".encode()


def letter_id(queued: Queued) -> str:
    """Return the id of the dead letter that an effect becomes."""
    return f"{queued.vendor_uid}/{queued.kind}/{queued.id}"


def letter(queued: Queued) -> bytes:
    """Return the dead letter that an effect becomes."""
    fields = {
        "id": queued.id,
        "vendor_uid": queued.vendor_uid,
        "kind": queued.kind.value,
        "received_at": queued.put_at,
        **queued.as_json(),
    }
    return orjson.dumps({"outbox": queued.kind.value, "update": fields})


def _keys(kind: EffectKind, vendor_uid: str) -> tuple[str, str, str]:
    return keys.outbox(kind), keys.outbox_of(kind, vendor_uid), keys.effects(kind, vendor_uid)
