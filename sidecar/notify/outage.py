"""Telling people that Redis is away, out of a process's memory: nothing else is left."""

import secrets
import time

import structlog

from contracts.notifications import News, Notification
from sidecar.clock import now_ms
from sidecar.notify.delivery import PAUSES
from sidecar.notify.events import item
from sidecar.notify.target import NotTaken, Target
from sidecar.ops.masking import mask
from sidecar.ops.notifications import Event, Notifications
from sidecar.ops.problem import Code
from sidecar.ops.problems import redis_unavailable

log = structlog.get_logger()

ID = Code.REDIS_UNAVAILABLE.value


class RedisOutage:
    """``looks_here``: this process was the one that looked last, and so it tells. If it dies
    meanwhile, nobody does."""

    def __init__(self, targets: dict[str, Target], installation: str, after_s: float) -> None:
        self._targets = targets
        self._installation = installation
        self._after_s = after_s
        self._since: float | None = None
        self._event: Event | None = None
        self._notification: Notification | None = None
        self._told: set[str] = set()
        #: How often each target has failed, and when it is tried again (``time.monotonic``).
        self._failures: dict[str, int] = {}
        self._again_at: dict[str, float] = {}
        self.looks_here = False

    async def lasts(self, reason: str) -> None:
        """Note that Redis does not answer, and tell people once that has lasted."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if not self.looks_here or now - self._since < self._after_s:
            return
        if self._notification is None:
            self._notification = self._make(reason, now_ms())
        for name, target in self._targets.items():
            if name not in self._told and now >= self._again_at.get(name, 0.0):
                await self._send(name, target, self._notification)

    async def over(self, stored: Notifications) -> None:
        """If people were told, have them told that it is over: keep the event in Redis, where the
        next look finds that it stands no more. Raises redis-py's errors while it lasts."""
        if self._event is not None and self._told:
            await stored.add_told(ID, self._event)
        self._since = self._event = self._notification = None
        self._told, self._failures, self._again_at = set(), {}, {}

    def _make(self, reason: str, at: int) -> Notification:
        problem = redis_unavailable(mask(reason))
        what = problem.what.rstrip(". ")
        self._event = Event(ID, what, problem.do, since=at, told_at=at)
        return Notification(
            id=secrets.token_hex(8),
            at=at,
            installation=self._installation,
            items=[item(ID, self._event, News.PROBLEM)],
        )

    async def _send(self, name: str, target: Target, notification: Notification) -> None:
        try:
            await target.send(notification)
        except NotTaken as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            self._again_at[name] = time.monotonic() + PAUSES.pause(failures)
            log.warning("notification.not_sent", target=name, reason=str(error), failures=failures)
        else:
            self._told.add(name)
            log.info("notification.sent", target=name, notification=notification.id)
