"""A number and its campaigns in simulated time: the real scripts on a real Redis, whose clock the
test sets. Minutes take seconds, and go the same way every time.

Campaigns ask for slots as the pacer does; each slot is a send to a Cloud API that lets so much
through.
"""

import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest

from sidecar.redis import keys
from sidecar.redis.client import AsyncScript, Redis, script
from sidecar.redis.lease import Lease
from sidecar.sending import numbers
from sidecar.sending.campaigns import campaign_lease
from simulator.cloud_api.bucket import TokenBucket
from workers.sending import limiter, outages
from workers.sending.limiter import AHEAD_S, Grant, Limiter
from workers.sending.limits import Limits
from workers.sending.pacer import POLL_S

#: When simulated time begins, unix seconds.
START = 1_750_000_000.0
#: The way to the Cloud API, and the way back.
LATENCY_S = 0.05

_TIME = 'redis.call("TIME")'
_SIMULATED = 'redis.call("MGET", "simulated:s", "simulated:us")'

Event = Callable[[], Awaitable[None]]


class Clock:
    """What the scripts take for Redis's clock."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.now = START

    async def set(self, now: float) -> None:
        self.now = now
        seconds, micros = divmod(round(now * 1_000_000), 1_000_000)
        await self._redis.mset({"simulated:s": seconds, "simulated:us": micros})


def simulated_limiter(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Limiter:
    """Return a limiter on :class:`Clock`, whose pauses are not stretched."""

    def on_clock(client: Redis, name: str) -> AsyncScript:
        real: Any = script(client, name)
        assert _TIME in real.script, name
        made: AsyncScript = client.register_script(real.script.replace(_TIME, _SIMULATED))
        return made

    def ask_for_time(pipeline: Any) -> None:
        pipeline.mget("simulated:s", "simulated:us")

    for module in (limiter, outages):
        monkeypatch.setattr(module, "script", on_clock)
    monkeypatch.setattr(numbers, "_ask_for_time", ask_for_time)
    return Limiter(redis, jitter=lambda: 0.0)


async def held_lease(redis: Redis, campaign_uid: str) -> Lease:
    """Return the campaign's lease, held for as long as the test takes."""
    lease = Lease(campaign_lease(campaign_uid), 1)
    await redis.set(lease.key, lease.token)
    return lease


@dataclass
class Campaign:
    """A campaign that wants ``demand`` messages per second, or as many as it can get."""

    uid: str
    lease: Lease
    begins_at: float
    ends_at: float
    demand: float | None
    taken: int = 0
    sent: list[float] = field(default_factory=list)

    def wants(self, now: float, most: int) -> int:
        if self.demand is None:
            return most
        return min(most, int((now - self.begins_at) * self.demand) - self.taken)


class World:
    """``allowed`` is what the Cloud API lets through, messages per second. Periods are seconds
    from the start."""

    def __init__(self, redis: Redis, limiter: Limiter, limits: Limits, *, allowed: float) -> None:
        self._redis = redis
        self._limiter = limiter
        self._limits = limits
        self._clock = Clock(redis)
        self._events: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._recipients = itertools.count(1)
        self._held_until = 0.0
        self._accepted: list[float] = []
        self._refused: list[float] = []
        self.campaigns: list[Campaign] = []
        self.allow(allowed)

    def allow(self, rate: float) -> None:
        self._bucket = TokenBucket(rate, 0.2, self._clock.now)

    async def add(
        self,
        uid: str,
        *,
        begins_s: float = 0.0,
        ends_s: float = float("inf"),
        demand: float | None = None,
    ) -> Campaign:
        lease = await held_lease(self._redis, uid)
        campaign = Campaign(uid, lease, START + begins_s, START + ends_s, demand)
        self.campaigns.append(campaign)
        self._at(campaign.begins_at, lambda: self._plan(campaign))
        return campaign

    async def run(self, until_s: float) -> None:
        """Go on until so many seconds after the start."""
        while self._events and self._events[0][0] <= START + until_s:
            at, _, event = heapq.heappop(self._events)
            self._clock.now = at
            await event()
        await self._clock.set(START + until_s)

    async def effective_rate(self) -> float:
        share = await self._redis.hget(keys.number(self._limits.number), "share")
        return float(share or 1) * self._limits.rate

    def accepted_per_s(self, begin_s: float, end_s: float) -> float:
        return _between(self._accepted, begin_s, end_s) / (end_s - begin_s)

    def refused(self, begin_s: float, end_s: float) -> int:
        return _between(self._refused, begin_s, end_s)

    def sent_per_s(self, begin_s: float, end_s: float) -> list[float]:
        """Return what each campaign has sent."""
        return [_between(c.sent, begin_s, end_s) / (end_s - begin_s) for c in self.campaigns]

    def worst_second(self) -> int:
        """Return the most that was sent in any window of a second."""
        sent = sorted(at for campaign in self.campaigns for at in campaign.sent)
        worst = first = 0
        for last, at in enumerate(sent):
            while sent[first] <= at - 1:
                first += 1
            worst = max(worst, last - first + 1)
        return worst

    def _at(self, at: float, event: Event) -> None:
        heapq.heappush(self._events, (at, next(self._order), event))

    async def _plan(self, campaign: Campaign) -> None:
        now = self._clock.now
        if now >= campaign.ends_at:
            return
        wants = campaign.wants(now, ceil(self._limits.rate * AHEAD_S) + 1)
        pause_s = 0.02
        if wants > 0:
            grant = await self._ask(campaign, wants)
            pause_s = min(POLL_S, max(0.001, grant.again_s))
        self._at(now + pause_s, lambda: self._plan(campaign))

    async def _ask(self, campaign: Campaign, wants: int) -> Grant:
        await self._clock.set(self._clock.now)
        recipients = [str(next(self._recipients)) for _ in range(wants)]
        grant = await self._limiter.grant(campaign.lease, campaign.uid, self._limits, recipients)
        campaign.taken += grant.count
        for slot in range(grant.count):
            at = grant.clock_s + grant.delay_s + slot * grant.gap_s
            self._at(at, lambda: self._send(campaign))
        return grant

    async def _send(self, campaign: Campaign) -> None:
        sent_at = self._clock.now
        if sent_at < self._held_until:
            campaign.taken -= 1  # begin.lua refuses it
            return
        campaign.sent.append(sent_at)
        self._at(sent_at + LATENCY_S, lambda: self._arrive(sent_at))

    async def _arrive(self, sent_at: float) -> None:
        now = self._clock.now
        if self._bucket.has_token(now):
            self._bucket.take()
            self._accepted.append(now)
        else:
            self._refused.append(now)
            self._at(now + LATENCY_S, lambda: self._throttled(sent_at))

    async def _throttled(self, sent_at: float) -> None:
        await self._clock.set(self._clock.now)
        number = self._limits.number
        await self._limiter.throttled(number, sent_at)
        self._held_until = int(await self._redis.hget(keys.number(number), "until") or 0) / 1e6


def _between(times: list[float], begin_s: float, end_s: float) -> int:
    return sum(START + begin_s <= at < START + end_s for at in times)
