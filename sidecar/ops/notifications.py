"""What is kept in Redis of notifications: events that people were told of, and what waits.

One process at a time writes it, under a lease (``sidecar/notify/notifier.py``): in one step an
event is marked as told and its notification put into the queue of each target; it leaves a queue
when the target has taken it. So a process that dies in between costs a repetition, and never a
notification.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import structlog

from contracts.notifications import Notification
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis
from sidecar.redis.lease import Fenced, Lease
from sidecar.settings import Settings

log = structlog.get_logger()

#: The lease of whoever tells people.
LEASE = "notifier"
#: Events that are known at once, those included that were over within a day.
MAX_EVENTS = 1000
#: Notifications that wait for one target; the oldest are dropped.
MAX_WAITING = 100

#: The names of targets.
WEBHOOK = "webhook"
SLACK = "slack"
EMAIL = "email"

Command = Sequence[str | bytes | int]


class Event(msgspec.Struct, frozen=True):
    """Times are unix ms by Redis's clock, 0 for never. ``since``: it has stood; ``told_at``: people
    were told last, that it stands or has become worse, with ``size``; ``gone_at``: it stands no
    more; ``over``: people were told that. ``returns``: how often it has come back lately."""

    code: str
    what: str
    do: str
    since: int
    told_at: int = 0
    size: int = 0
    gone_at: int = 0
    over: bool = False
    returns: int = 0


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target stands. ``reason`` is why it has taken nothing ``failures`` times in a row,
    since ``since``; ``waiting`` notifications wait, and are tried again at ``again_at`` (unix ms).
    ``dropped``: those that were given up, the last at ``dropped_at``."""

    name: str
    waiting: int = 0
    reason: str = ""
    failures: int = 0
    since: int = 0
    again_at: int = 0
    dropped: int = 0
    dropped_at: int = 0


class Notifications:
    """Reads for everybody; writes for the holder of the lease, and raises
    :class:`~sidecar.redis.lease.LeaseLost` otherwise."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._fenced = Fenced(redis)

    async def events(self) -> dict[str, Event]:
        """Return the known events by their ids."""
        stored = cast(Hash, await self._redis.hgetall(keys.NOTIFY_EVENTS))
        return {id_.decode(): msgspec.json.decode(raw, type=Event) for id_, raw in stored.items()}

    async def targets(self, names: Iterable[str] = ()) -> list[TargetState]:
        """Return how these targets stand, and all others that have failed or dropped something."""
        stored = cast(Hash, await self._redis.hgetall(keys.NOTIFY_TARGETS))
        known = {
            name.decode(): msgspec.json.decode(raw, type=TargetState)
            for name, raw in stored.items()
        }
        all_names = list(dict.fromkeys([*names, *known]))
        pipeline = self._redis.pipeline(transaction=False)
        for name in all_names:
            pipeline.llen(keys.notify_queue(name))
        waiting = await pipeline.execute() if all_names else []
        return [
            replace(known.get(name, TargetState(name)), waiting=count)
            for name, count in zip(all_names, waiting, strict=True)
        ]

    async def next(self, target: str) -> bytes | None:
        """Return the first notification that waits for a target, as it is stored."""
        return cast("bytes | None", await self._redis.lindex(keys.notify_queue(target), 0))

    async def record(
        self,
        lease: Lease,
        events: dict[str, Event],
        forgotten: Iterable[str],
        queued: dict[str, Notification],
        now: int,
    ) -> None:
        """Store changed events, forget others, and queue a notification for each of these targets:
        all in one step."""
        commands: list[Command] = []
        for id_, event in events.items():
            commands.append(("HSET", keys.NOTIFY_EVENTS, id_, msgspec.json.encode(event)))
        commands += [("HDEL", keys.NOTIFY_EVENTS, id_) for id_ in forgotten]
        states = {state.name: state for state in await self.targets(queued)}
        for target, notification in queued.items():
            queue = keys.notify_queue(target)
            commands.append(("RPUSH", queue, notification.model_dump_json()))
            if states[target].waiting >= MAX_WAITING:
                commands += [
                    ("LTRIM", queue, -MAX_WAITING, -1),
                    _store(_dropped(states[target], now)),
                ]
        if commands:
            await self._fenced.run(lease, *commands)

    async def taken(self, lease: Lease, target: TargetState, raw: bytes) -> TargetState:
        """Remove a notification that a target has taken, and forget that the target has failed."""
        commands: list[Command] = [("LREM", keys.notify_queue(target.name), 1, raw)]
        state = replace(target, reason="", failures=0, since=0, again_at=0)
        if target.failures:
            commands.append(_store(state))
        await self._fenced.run(lease, *commands)
        return state

    async def give_up(self, lease: Lease, target: TargetState, raw: bytes, now: int) -> TargetState:
        """Remove a notification that a target has not taken for too long."""
        drop = ("LREM", keys.notify_queue(target.name), 1, raw)
        state = _dropped(target, now)
        await self._fenced.run(lease, drop, _store(state))
        return state

    async def failed(
        self, lease: Lease, target: TargetState, reason: str, now: int, again_at: int
    ) -> TargetState:
        """Record that a target has not taken a notification, and when it is tried again."""
        state = replace(
            target,
            reason=reason,
            failures=target.failures + 1,
            since=target.since or now,
            again_at=again_at,
        )
        await self._fenced.run(lease, _store(state))
        return state

    async def forget_targets(self, lease: Lease, names: Iterable[str]) -> None:
        """Forget targets that are not in the settings any more, with what waits for them."""
        commands: list[Command] = []
        for name in names:
            commands.append(("HDEL", keys.NOTIFY_TARGETS, name))
            commands.append(("DEL", keys.notify_queue(name)))
        if commands:
            await self._fenced.run(lease, *commands)

    async def add_told(self, id_: str, event: Event) -> None:
        """Store an event that people were told of while Redis was away. Needs no lease: whoever
        comes first stores it, and the next look finds that it is over."""
        known = (await self.events()).get(id_)
        if known is None:
            await self._redis.hsetnx(keys.NOTIFY_EVENTS, id_, msgspec.json.encode(event))
        elif known.over:
            again = msgspec.structs.replace(event, returns=known.returns + 1)
            await self._redis.hset(keys.NOTIFY_EVENTS, id_, msgspec.json.encode(again))


def configured(settings: Settings) -> list[str]:
    """Return the names of the targets that the settings name."""
    named = {
        WEBHOOK: settings.notify_webhook_url is not None,
        SLACK: settings.notify_slack_url is not None,
        EMAIL: bool(settings.notify_email_to),
    }
    return [name for name, is_named in named.items() if is_named]


def _dropped(target: TargetState, now: int) -> TargetState:
    log.warning("notification.dropped", target=target.name, waiting=target.waiting)
    return replace(target, dropped=target.dropped + 1, dropped_at=now)


def _store(state: TargetState) -> Command:
    return ("HSET", keys.NOTIFY_TARGETS, state.name, msgspec.json.encode(state))
