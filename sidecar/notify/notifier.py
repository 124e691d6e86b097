"""Looks at what is wrong, as ``sidecar status`` does, and tells people.

One process of all does, under a lease: a worker, or ``sidecar serve`` where no worker runs. What
was told is in Redis, so that neither a restart nor another process tells it again. While Redis
itself is away, whoever looked last tells of that, out of its memory.
"""

import secrets
from dataclasses import replace

import structlog

from contracts.notifications import Item, Notification
from sidecar.logs import LogOnce
from sidecar.notify.delivery import Delivery
from sidecar.notify.events import Pace, look
from sidecar.notify.outage import RedisOutage
from sidecar.notify.target import Target
from sidecar.notify.targets import make_targets
from sidecar.ops.notifications import LEASE, Notifications
from sidecar.ops.problem import Code
from sidecar.ops.problems import problems
from sidecar.ops.reach import read_reached
from sidecar.ops.report import Report, read_report
from sidecar.php.client import Backend
from sidecar.redis.client import Redis, RedisUnavailable, reason_of
from sidecar.redis.lease import Lease, LeaseLost, Leases
from sidecar.settings import Settings
from sidecar.tasks import tick

log = structlog.get_logger()

#: How often it is looked.
LOOK_S = 10.0
#: How often a process looks whether nobody does, and for how long a stand-by leaves it to others.
IDLE_S = 2.0
STAND_BY_S = 15.0
#: Items in one notification; the rest is counted.
MAX_ITEMS = 50


class Notifier:
    """``stand_by``: looks only where nobody else does, and never for long."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        redis_url: str,
        backend: Backend,
        targets: dict[str, Target],
        *,
        stand_by: bool = False,
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._redis_url = redis_url
        self._backend = backend
        self._targets = targets
        self._stand_by = stand_by
        self._leases = Leases(redis, settings.lease_ttl_ms)
        self._stored = Notifications(redis)
        self._delivery = Delivery(redis, self._stored, targets)
        self._pace = Pace(int(settings.notify_after_s * 1000), int(settings.notify_clear_s * 1000))
        self._outage = RedisOutage(targets, settings.notify_name, settings.notify_after_s)
        self._log_outage = LogOnce("notifier.redis_unavailable")

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            await tick(STAND_BY_S if self._stand_by else IDLE_S)
            try:
                await self._hold()
                self._log_outage.worked()
            except RedisUnavailable as error:
                self._log_outage.failed(reason_of(error))
                await self._outage.lasts(reason_of(error))
            except LeaseLost:
                continue  # said when it was lost; another process looks
            except Exception:
                # Whatever it was: this is what would tell people of it.
                log.exception("notifier.failed")

    async def close(self) -> None:
        for target in self._targets.values():
            await target.close()

    async def _hold(self) -> None:
        async with self._leases.hold(LEASE) as lease:
            await self._outage.over(self._stored)  # Redis has answered
            self._outage.looks_here = lease is not None
            while lease is not None and not lease.lost.is_set():
                await self.look(lease)
                if self._stand_by:
                    return
                await tick(LOOK_S)

    async def look(self, lease: Lease) -> None:
        """Look once, and tell what is new. If the process dies before it is recorded, the next look
        finds the same; if it dies after that, the next one sends it."""
        report = await read_report(self._redis, self._backend)
        reached = await read_reached(self._settings, self._redis_url)
        report = replace(report, reached=reached)
        found = problems(report, self._settings)
        now = report.overview.now
        changes = look(await self._stored.events(), found, now, self._pace, ids_of(report))
        queued = self._queued(changes.items, now)
        await self._stored.record(lease, changes.events, changes.forgotten, queued, now)
        await self._delivery.run(lease)

    def _queued(self, items: list[Item], now: int) -> dict[str, Notification]:
        """Return the notification for each target. None is told of its own failures."""
        queued = {}
        for name in self._targets:
            own = f"{Code.NOTIFICATIONS_FAILING}:{name}"
            of_others = [one for one in items if not one.event.startswith(own)]
            if of_others:
                queued[name] = make_notification(self._settings, of_others, now)
        return queued


def make_notification(settings: Settings, items: list[Item], now: int) -> Notification:
    """Return a notification of these, under a new id. ``now``: unix ms."""
    return Notification(
        id=secrets.token_hex(8),
        at=now,
        installation=settings.notify_name,
        items=items[:MAX_ITEMS],
        more=max(0, len(items) - MAX_ITEMS),
    )


def ids_of(report: Report) -> frozenset[str]:
    """Return Meta's ids of numbers, accounts and apps, which look like phone numbers."""
    of_numbers = {id_ for one in report.numbers for id_ in (one.number, one.account, one.app)}
    return frozenset(of_numbers | {one.id for one in report.paused})


def make_notifier(
    settings: Settings, redis: Redis, redis_url: str, backend: Backend, *, stand_by: bool = False
) -> Notifier | None:
    """Return a notifier with the targets of the settings, or None without any."""
    targets = make_targets(settings)
    if not targets:
        return None
    return Notifier(settings, redis, redis_url, backend, targets, stand_by=stand_by)
