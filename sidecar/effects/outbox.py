"""The outbox: effects that PHP has asked for, on disk until they have happened.

Each vendor has one for every kind of effect. An effect is put there once, by its id, before the
update that it came with is settled: whoever dies in between finds it known. It leaves in the step
that writes down how it ended.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
import structlog

from contracts.effects import Broadcast, Effect, EffectKind, Forward, parse_effect
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.metrics import EFFECTS_REFUSED, METRICS
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.lease import Lease, LeaseLost
from sidecar.redis.letter_bounds import DEFAULT_BOUNDS, Bounds, letter_keys
from sidecar.redis.marks import Marks, bucket_and_mark
from sidecar.sending.campaigns import campaign_lease
from sidecar.settings import Settings

log = structlog.get_logger()

#: Kinds of which an effect may happen twice, and may be left out when too many wait.
REPEATABLE = (EffectKind.FORWARD, EffectKind.BROADCAST)


def replies_of(vendor_uid: str) -> str:
    """Name under which a vendor's replies are sent: for the limiter, the ledger and its lease they
    are a campaign of their own."""
    return f"replies:{vendor_uid}"


def vendor_of_replies(campaign_uid: str) -> str | None:
    """Return whose replies a campaign of :func:`replies_of` is; None for any other campaign."""
    vendor_uid = campaign_uid.removeprefix("replies:")
    return vendor_uid if vendor_uid != campaign_uid else None


def effects_lease(kind: EffectKind, vendor_uid: str) -> str:
    """Name of the lease that whoever does a vendor's effects of a kind holds."""
    if kind is EffectKind.SEND_MESSAGE:
        return campaign_lease(replies_of(vendor_uid))
    return f"effects:{kind}:{vendor_uid}"


@dataclass(frozen=True, slots=True)
class Queued:
    """An effect that waits. ``attempts`` that have failed so far; ``put_at`` is when it came, unix
    ms. ``id`` is the effect's, or what stands for it."""

    id: str
    vendor_uid: str
    effect: Effect
    put_at: int
    attempts: int = 0
    reason: str | None = None

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
    """How many effects were taken, were there before, and were left out because too many wait."""

    taken: int = 0
    known: int = 0
    dropped: int = 0


def make_outbox(settings: Settings, redis: Redis) -> "Outbox":
    """Return the outbox as these settings want it kept."""
    return Outbox(
        redis,
        remember_s=settings.duplicate_window_s or 1,
        limit=settings.effects_limit,
        bounds=Bounds.of(settings),
    )


class Outbox:
    """``remember_s``: how long it is known that an effect was taken. ``limit``: so many forwards
    or broadcasts of a vendor may wait; more are left out. ``bounds`` are those of dead letters."""

    def __init__(
        self, redis: Redis, *, remember_s: int, limit: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self._redis = redis
        self._marks = Marks(redis, remember_s, keys.effect)
        self._limit = limit
        self._bounds = bounds
        self._put = script(redis, "effects/put_effects")
        self._end = script(redis, "effects/end_effects")

    async def put(self, vendor_uid: str, effects: Sequence[Effect]) -> Put:
        """Put effects on disk, each id once."""
        if not effects:
            return Put()
        kinds = list(dict.fromkeys(effect.kind for effect in effects))
        names = [keys.counters(vendor_uid), keys.VENDORS]
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
            mark: tuple[str, str | int] = ("", "")
            if effect.kind not in REPEATABLE:
                mark = bucket_and_mark(f"{vendor_uid}\0{effect_id}".encode())
            arguments += [kinds.index(effect.kind), effect_id, body, *mark]
        put = Put(*await self._put(keys=names, args=arguments))
        if put.dropped:
            log.error("effects.dropped", vendor=vendor_uid, dropped=put.dropped, limit=self._limit)
        return put

    async def due(self, kind: EffectKind, vendor_uid: str, now: int, most: int) -> list[Queued]:
        """Return so many effects that are due, the longest-standing first."""
        _, due, bodies = _keys(kind, vendor_uid)
        found = await self._redis.zrange(due, 0, now + 1, byscore=True, offset=0, num=most)
        ids = cast("list[bytes]", found)
        if not ids:
            return []
        values = cast("list[bytes | None]", await self._redis.hmget(bodies, ids))
        effects = []
        for effect_id, value in zip(ids, values, strict=True):
            if value is None:
                continue
            try:
                effects.append(Queued.load(effect_id.decode(), vendor_uid, orjson.loads(value)))
            except ValueError as error:
                # A later version has put it there; it is that one's again after an upgrade.
                log.error("effect.invalid", vendor=vendor_uid, kind=kind, error=str(error))
        return effects

    async def next_due_at(self, kind: EffectKind, vendor_uid: str) -> int | None:
        """Return when the first effect is due (unix ms), or None if there is none."""
        first = await self._redis.zrange(_keys(kind, vendor_uid)[1], 0, 0, withscores=True)
        return int(first[0][1]) if first else None

    async def end(
        self, lease: Lease, kind: EffectKind, vendor_uid: str, ended: Sequence[Ended]
    ) -> None:
        """Write down how effects have ended, all at once. Raises :class:`LeaseLost`."""
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
    """Brings dead effects back to life."""

    def __init__(self, redis: Redis) -> None:
        self._replay = script(redis, "effects/replay_effect")

    async def replay(self, name: str, queued: Queued) -> bool:
        """Have a dead effect tried again as if for the first time. Return False if somebody else
        has done so, or if the same effect waits already."""
        again = replace(queued, attempts=0, reason=None, put_at=now_ms())
        *letters, vendor_uid = letter_keys(queued.vendor_uid)
        answer = await self._replay(
            keys=[*letters, *_keys(queued.kind, vendor_uid)],
            args=[vendor_uid, name, queued.id, again.dump(), again.put_at],
        )
        return int(answer) == 1


def parse_effects(vendor_uid: str, values: Sequence[dict[str, Any]]) -> list[Effect]:
    """Return effects as PHP has named them. What is no effect is left out and counted, and the log
    says why: PHP would say the same if it were asked again."""
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
    """Return what an effect is known by. Broadcasts that say the same are the same."""
    if isinstance(effect, Broadcast):
        said = [sorted(effect.channels), effect.event, effect.data, effect.socket_id]
        return hashlib.blake2b(orjson.dumps(said), digest_size=16).hexdigest()
    return effect.id


def with_update(effect: Effect, payload: dict[str, Any] | None) -> Effect:
    """Return an effect with the update filled in that it came with, where that is what it needs."""
    if isinstance(effect, Forward) and effect.body is None:
        return effect.model_copy(update={"body": _within_64_bits(payload)})
    return effect


def _within_64_bits(payload: dict[str, Any] | None) -> dict[str, Any] | None:
    """Meta's JSON may hold any integer; a larger one becomes a float, as most readers have it."""
    try:
        orjson.dumps(payload)
    except TypeError:
        mended: dict[str, Any] = orjson.loads(json.dumps(payload))
        return mended
    return payload


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
